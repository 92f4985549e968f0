"""The manifests against the published schemas, the rules in them, and the script that names a node."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from support import ROOT

FOLDER = ROOT / "deploy" / "kubernetes"
CHECK = FOLDER / "check"
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())


def documents() -> dict[str, dict]:
    found = [yaml.safe_load((FOLDER / name).read_text()) for name in KUSTOMIZATION["resources"]]
    return {document["kind"]: document for document in found}


STATEFUL = documents()["StatefulSet"]["spec"]
POD = STATEFUL["template"]["spec"]
EXPORTER = next(c for c in POD["containers"] if c["name"] == "exporter")


@pytest.fixture(scope="module")
def schemas() -> Path:
    if shutil.which("node") is None or not (CHECK / "node_modules").is_dir():
        message = "Kubernetes' schemas are not installed (make kubernetes)"
        if os.environ.get("SWARM_TEST_REQUIRE_REAL") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return CHECK / "check.js"


def check(schemas: Path, *given: dict) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["node", schemas],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_kubernetes_and_the_operator_know_every_key_and_value(schemas):
    result = check(schemas, *documents().values())
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_what_they_would_not_take_is_found(schemas):
    wrong = documents()
    container = wrong["StatefulSet"]["spec"]["template"]["spec"]["containers"][1]
    container["livenessProb"] = container.pop("livenessProbe")
    wrong["Service"]["spec"]["ports"][0]["port"] = "many"
    wrong["PodMonitor"]["spec"]["podMetricsEndpoints"][0]["interval"] = "half a minute"
    del wrong["PrometheusRule"]["spec"]["groups"][0]["name"]
    result = check(schemas, *wrong.values())
    assert result.returncode == 1
    for word in (
        "livenessProb",
        "/spec/ports/0/port",
        "podMetricsEndpoints/0/interval",
        "required property name",
    ):
        assert word in result.stdout
    result = check(schemas, {"apiVersion": "v1", "kind": "Pot", "metadata": {}})
    assert "v1 has no Pot" in result.stdout


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", FOLDER / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_rules_are_up_to_date_and_all_there(generate):
    committed = (FOLDER / "prometheusrule.yaml").read_text()
    assert committed == generate.manifest(), "run `make kubernetes`"
    rules = [
        group
        for path in sorted((ROOT / "prometheus/rules").glob("*.yml"))
        for group in yaml.safe_load(path.read_text())["groups"]
    ]
    assert yaml.safe_load(committed)["spec"]["groups"] == rules


@pytest.mark.real
def test_promtool_takes_the_rules_of_the_manifest(real_binary, tmp_path):
    spec = yaml.safe_load((FOLDER / "prometheusrule.yaml").read_text())["spec"]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(spec))
    subprocess.run([real_binary("promtool"), "check", "rules", tmp_path / "rules.yml"], check=True)


def test_what_is_there_is_in_the_kustomization():
    files = {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}
    assert files == set(KUSTOMIZATION["resources"])
    images = {image["name"] for image in KUSTOMIZATION["images"]}
    assert images == {c["image"] for c in POD["containers"] + POD["initContainers"]}
    assert KUSTOMIZATION["namespace"] == documents()["Namespace"]["metadata"]["name"]


@pytest.mark.parametrize("name", KUSTOMIZATION["resources"])
def test_no_manifest_needs_anchors(name):
    """kubectl and kustomize do not read them alike."""
    tokens = yaml.scan((FOLDER / name).read_text())
    assert not [t for t in tokens if isinstance(t, yaml.AnchorToken | yaml.AliasToken)]


def test_labels_find_the_pods():
    labels = STATEFUL["template"]["metadata"]["labels"]
    kinds = documents()
    assert STATEFUL["selector"]["matchLabels"] == labels
    assert kinds["Service"]["spec"]["selector"] == labels
    assert kinds["PodMonitor"]["spec"]["selector"]["matchLabels"] == labels
    assert STATEFUL["serviceName"] == kinds["Service"]["metadata"]["name"]
    (port,) = EXPORTER["ports"]
    (endpoint,) = kinds["PodMonitor"]["spec"]["podMetricsEndpoints"]
    assert endpoint["port"] == port["name"] == kinds["Service"]["spec"]["ports"][0]["targetPort"]
    assert EXPORTER["args"][EXPORTER["args"].index("--listen") + 1].endswith(
        f":{port['containerPort']}"
    )


def test_series_are_labelled_as_rules_and_boards_need_it():
    (endpoint,) = documents()["PodMonitor"]["spec"]["podMetricsEndpoints"]
    targets = {r["targetLabel"]: r for r in endpoint["relabelings"]}
    assert targets["job"]["replacement"] == "swarm"
    assert targets["instance"]["sourceLabels"] == ["__meta_kubernetes_pod_name"]
    assert targets["machine"]["sourceLabels"] == ["__meta_kubernetes_pod_node_name"]


def test_nothing_runs_as_root_or_writes_where_it_should_not():
    assert POD["securityContext"]["runAsNonRoot"] is True
    assert POD["securityContext"]["runAsUser"] > 0
    assert POD["automountServiceAccountToken"] is False
    # Kubernetes' own SWARM_SERVICE_HOST would be taken for a setting of the exporter.
    assert POD["enableServiceLinks"] is False
    for container in POD["containers"] + POD["initContainers"]:
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"]
        if container["image"] == "swarm-exporter":
            assert security["readOnlyRootFilesystem"] is True
    # The image's own user, to whom its folders belong.
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert f"USER {POD['securityContext']['runAsUser']}:" in dockerfile
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert EXPORTER[probe]["httpGet"] == {"path": "/-/healthy", "port": "metrics"}


def test_a_node_is_called_by_its_pods_ordinal(tmp_path):
    (init,) = POD["initContainers"]
    interpreter, flag = init["command"]
    assert (interpreter, flag) == ("python", "-c")
    (script,) = init["args"]
    (ordinal,) = (e for e in init["env"] if e["name"] == "ORDINAL")
    assert "pod-index" in ordinal["valueFrom"]["fieldRef"]["fieldPath"]
    given = {e["name"]: e["value"] for e in init["env"] if "value" in e}
    # The one folder of the pod that is none of this machine.
    script = script.replace("/config/", f"{tmp_path}/")
    subprocess.run([sys.executable, flag, script], env={**given, "ORDINAL": "7"}, check=True)
    config = tmp_path / EXPORTER["args"][EXPORTER["args"].index("--config") + 1].rpartition("/")[2]
    done = subprocess.run(
        [sys.executable, "-m", "swarm_exporter", "check", "--json", "--config", config],
        capture_output=True,
        text=True,
        check=True,
        env={k: v for k, v in os.environ.items() if not k.startswith("SWARM_")},
    )
    (node,) = json.loads(done.stdout)["nodes"]
    assert (node["name"], node["api"], node["folder"]) == ("7", given["API"], "/node")
    mounts = {m["name"]: m["mountPath"] for m in EXPORTER["volumeMounts"]}
    assert (mounts["config"], mounts["node"]) == ("/config", node["folder"])
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", node["api"])


def test_what_was_earned_outlives_the_pod():
    claims = {claim["metadata"]["name"] for claim in STATEFUL["volumeClaimTemplates"]}
    assert claims == {"node", "state"}
    assert set(STATEFUL["persistentVolumeClaimRetentionPolicy"].values()) == {"Retain"}
    volumes = {volume["name"] for volume in POD["volumes"]} | claims
    for container in POD["containers"] + POD["initContainers"]:
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
