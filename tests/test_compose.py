"""docker-compose.yml and the Dockerfile, as far as they can be judged without Docker."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import yaml

from support import COMMAND, ROOT, eventually, free_port, reachable, running
from swarm_exporter.sd.hosts import read_hosts

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict] = COMPOSE["services"]
TEXT = (ROOT / "docker-compose.yml").read_text()
EXAMPLE = (ROOT / ".env.example").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
FLEET_BARE = ROOT / "prometheus/fleet/prometheus.yml"
FLEET_DOCKER = ROOT / "prometheus/fleet/docker.yml"
_DEFAULT = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


def interpolated(text: str) -> str:
    """Fill variables in with their defaults, as Compose does without an environment."""
    return _DEFAULT.sub(lambda found: found[3] if found[2] == "-" else "", text)


def test_it_is_valid_by_the_published_schema():
    check = [str(Path(sys.executable).with_name("check-jsonschema"))]
    check += ["--builtin-schema", "vendor.compose-spec", str(ROOT / "docker-compose.yml")]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_pinned_bounded_and_watched(name):
    service = SERVICES[name]
    image, _, tag = service["image"].partition(":")
    assert image == "swarm-exporter" or re.fullmatch(r"v?\d+\.\d+\.\d+", tag)
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    # The exporter's image brings its own.
    assert "healthcheck" in service or "HEALTHCHECK" in DOCKERFILE
    assert "privileged" not in service
    assert not any("docker.sock" in str(volume) for volume in service.get("volumes", ()))


@pytest.mark.parametrize("name", SERVICES)
def test_a_port_is_published_on_loopback_unless_somebody_says_otherwise(name):
    for port in SERVICES[name].get("ports", ()):
        assert interpolated(port).startswith("127.0.0.1:")


@pytest.mark.parametrize("name", ["grafana", "grafana-fleet"])
def test_grafana_has_no_default_password(name):
    password = SERVICES[name]["environment"]["GF_SECURITY_ADMIN_PASSWORD"]
    assert re.fullmatch(r"\$\{GRAFANA_ADMIN_PASSWORD:\?.+\}", password)


@pytest.mark.parametrize("profile", ["container", "host"])
def test_a_profile_is_whole_and_has_one_prometheus_called_prometheus(profile):
    names = {name for name, service in SERVICES.items() if profile in service["profiles"]}
    (prometheus,) = {name for name in names if name.startswith("prometheus")}
    assert {"alertmanager", "grafana"} < names
    assert ("exporter" in names) == (profile == "container")
    assert SERVICES[prometheus]["networks"]["default"]["aliases"] == ["prometheus"]
    assert SERVICES["grafana"]["environment"]["SWARM_PROMETHEUS"] == "http://prometheus:9090"
    targets = next(v for v in SERVICES[prometheus]["volumes"] if "targets" in v).split(":")[0]
    ((target,),) = [entry["targets"] for entry in yaml.safe_load((ROOT / targets).read_text())]
    host = target.rpartition(":")[0]
    hosts = {name.split(":")[0] for name in SERVICES[prometheus].get("extra_hosts", ())}
    assert host in names | hosts


def test_the_profile_of_many_machines_is_whole():
    names = {name for name, service in SERVICES.items() if "fleet" in service["profiles"]}
    assert names == {"prometheus-fleet", "victoria-metrics", "alertmanager", "grafana-fleet"}
    assert SERVICES["prometheus-fleet"]["networks"]["default"]["aliases"] == ["prometheus"]
    config = yaml.safe_load(FLEET_DOCKER.read_text())
    (remote,) = config["remote_write"]
    (alertmanagers,) = config["alerting"]["alertmanagers"]
    (targets,) = alertmanagers["static_configs"]
    environment = SERVICES["grafana-fleet"]["environment"]
    for url in (
        remote["url"],
        f"http://{targets['targets'][0]}",
        environment["SWARM_VICTORIA"],
        environment["SWARM_PROMETHEUS"],
    ):
        host, port = httpx.URL(url).host, httpx.URL(url).port
        assert host in names | {"prometheus"}
        if host == "victoria-metrics":
            assert f"--httpListenAddr=:{port}" in SERVICES[host]["command"]


def test_many_machines_are_scraped_alike_with_docker_and_without():
    """The two files differ in two addresses, and in nothing else."""
    bare = yaml.safe_load(FLEET_BARE.read_text())
    docker = FLEET_DOCKER.read_text()
    for theirs, ours in (
        ("alertmanager:9093", "127.0.0.1:9093"),
        ("victoria-metrics:8428", "127.0.0.1:8428"),
    ):
        assert theirs in docker
        docker = docker.replace(theirs, ours)
    assert yaml.safe_load(docker) == bare
    assert FLEET_BARE.read_text().partition("global:")[2] == docker.partition("global:")[2]


def test_a_targets_file_that_is_replaced_is_seen_in_the_container():
    """A file that is mounted by itself stays the one that was there at the start."""
    (folder,) = {v.split(":")[1] for v in SERVICES["prometheus-fleet"]["volumes"] if "fleet" in v}
    (config,) = yaml.safe_load(FLEET_DOCKER.read_text())["scrape_configs"]
    (pattern,) = config["file_sd_configs"][0]["files"]
    assert (ROOT / "prometheus/fleet" / pattern).parent.is_dir()
    assert SERVICES["prometheus-fleet"]["command"][0] == f"--config.file={folder}/docker.yml"


@pytest.mark.real
@pytest.mark.parametrize("name", ["prometheus.yml", "docker.yml"])
def test_the_examples_of_tls_and_login_are_ones_that_prometheus_takes(real_binary, tmp_path, name):
    text = (ROOT / "prometheus/fleet" / name).read_text()
    before, marker, rest = text.partition("    # scheme: https")
    lines = (marker + rest).splitlines()
    end = next(i for i, line in enumerate(lines) if not line.startswith("    # "))
    (tmp_path / "fleet").mkdir()
    (tmp_path / "rules").symlink_to(ROOT / "prometheus/rules")
    (tmp_path / "secrets").mkdir()
    for secret in ("scrape-password", "scrape-ca.pem"):
        (tmp_path / "secrets" / secret).write_text("")
    config = tmp_path / "fleet" / name
    given = [line.replace("# ", "", 1) for line in lines[:end]]
    config.write_text(before + "\n".join(given + lines[end:]))
    (scrape,) = yaml.safe_load(config.read_text())["scrape_configs"]
    assert {"scheme", "basic_auth", "tls_config"} < scrape.keys()
    checked = promtool_check(real_binary, config)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_example_of_hosts_is_one_that_the_program_takes():
    path = ROOT / "prometheus/fleet/hosts.example.txt"
    machines = read_hosts(path, form=None, group="swarm", default_port=10331)
    assert len({machine.name for machine in machines}) == 4


def test_everything_that_is_mounted_is_there_and_cannot_be_written():
    for service in SERVICES.values():
        for volume in service.get("volumes", ()):
            source, _, rest = interpolated(volume).partition(":")
            if source.startswith("./"):
                assert rest.endswith(":ro")
                # Secrets are a person's own.
                assert (ROOT / source).exists() or source == "./prometheus/secrets"
            else:
                assert source in COMPOSE["volumes"]


def test_every_variable_is_told_in_the_example_and_used():
    asked = {name for name, *_ in _DEFAULT.findall(TEXT)}
    told = set(re.findall(r"^(\w+)=", EXAMPLE, re.MULTILINE))
    assert told == asked | {"COMPOSE_PROFILES"}
    defaults = {name: value for name, kind, value in _DEFAULT.findall(TEXT) if kind == "-"}
    for name in (
        "VICTORIA_RETENTION",
        "SWARM_BIND",
        "SWARM_BOARDS",
        "SWARM_API_HOST",
        "PROMETHEUS_RETENTION",
    ):
        assert f"\n{name}={defaults[name]}\n" in EXAMPLE


@pytest.mark.parametrize("name", ["grafana", "grafana-fleet"])
def test_grafana_is_told_what_its_provisioning_asks_for(name):
    files = []
    for volume in SERVICES[name]["volumes"]:
        source, _, target = volume.partition(":")
        if target.startswith("/etc/grafana/provisioning"):
            files += (ROOT / source).rglob("*.yml")
    provisioning = "".join(path.read_text() for path in files)
    asked = re.findall(r"(?:url|path): \$(\w+)", provisioning)
    assert len(asked) == (3 if name == "grafana-fleet" else 2)
    for variable in asked:
        assert variable in SERVICES[name]["environment"]
    home = SERVICES[name]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (ROOT / "grafana/dashboards" / Path(home).name).is_file()


@pytest.mark.real
@pytest.mark.parametrize("name", ["prometheus", "prometheus-host", "prometheus-fleet"])
def test_prometheus_accepts_what_it_is_given(real_binary, tmp_path, name):
    command = SERVICES[name]["command"]
    for volume in SERVICES[name]["volumes"]:
        source, target, *_ = interpolated(volume).split(":")
        if source.startswith("./"):
            place = tmp_path / target.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to((ROOT / source).resolve())
    config = tmp_path / command[0].removeprefix("--config.file=/")
    checked = promtool_check(real_binary, config)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "rule files found" in checked.stdout


def promtool_check(real_binary, config: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [real_binary("promtool"), "check", "config", str(config)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_image_copies_what_there_is_and_runs_as_nobody():
    for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE):
        *sources, _ = line.split()
        assert all((ROOT / source).exists() for source in sources)
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert all(re.fullmatch(r"\S+:\d+\.\d+\.\d+\S*", base) for base in bases)
    last = DOCKERFILE.rpartition("FROM")[2]
    assert "USER 65532:65532" in last


def test_what_the_image_needs_of_the_repository_is_not_ignored():
    """The wheel's own list of files outside the package has to be in the build."""
    pyproject = (ROOT / "pyproject.toml").read_text()
    section = pyproject.partition("force-include]")[2].partition("[tool.")[0]
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    copied = {
        word
        for line in re.findall(r"^COPY (.+)$", DOCKERFILE, re.MULTILINE)
        for word in line.split()
    }
    for source in re.findall(r'^"([^"]+)" =', section, re.MULTILINE):
        parents = {source, *map(str, Path(source).parents)}
        assert parents & copied
        assert parents & {line.removeprefix("!") for line in ignored if line.startswith("!")}
    assert "prometheus/secrets" in ignored


def test_the_health_check_tells_a_healthy_exporter_from_none(tmp_path):
    check = json.loads(re.search(r"CMD (\[\"python\".+\])", DOCKERFILE)[1])
    entry = json.loads(re.search(r"ENTRYPOINT (\[.+\])", DOCKERFILE)[1])
    assert entry == ["swarm-exporter"]
    port = free_port()
    check = [sys.executable, *check[1:]]
    check[-1] = check[-1].replace("10331", str(port))
    assert subprocess.run(check, capture_output=True, check=False).returncode != 0
    arguments = [
        word.replace("0.0.0.0:10331", f"127.0.0.1:{port}")
        for word in SERVICES["exporter"]["command"]
    ]
    state = ["--state-dir", str(tmp_path / "state")]
    with running([*COMMAND, *arguments, *state], tmp_path / "log"):
        eventually(lambda: reachable(f"http://127.0.0.1:{port}/-/healthy"), "an exporter")
        done = subprocess.run(check, capture_output=True, text=True, check=False)
        assert done.returncode == 0, shlex.join(check) + done.stderr
