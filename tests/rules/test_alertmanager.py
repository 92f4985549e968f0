"""Who is told what: the project's Alertmanager configuration, as the real amtool takes it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from support import ROOT

CONFIG = ROOT / "prometheus" / "alertmanager.yml"
ALERTS = {
    rule["alert"]: rule["labels"]
    for path in (ROOT / "prometheus" / "rules").glob("*.yml")
    for group in yaml.safe_load(path.read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
}


def amtool(real_binary, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [real_binary("amtool"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def with_receiver(name: str, tmp_path: Path) -> Path:
    """The configuration as a person changes it, who wants to be told by `name`."""
    text = CONFIG.read_text()
    assert "receiver: nobody #" in text
    (tmp_path / "templates").symlink_to(CONFIG.parent / "templates")
    path = tmp_path / "alertmanager.yml"
    path.write_text(text.replace("receiver: nobody #", f"receiver: {name} #"))
    return path


def test_amtool_accepts_it_as_it_is(real_binary):
    result = amtool(real_binary, "check-config", CONFIG)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "1 templates" in result.stdout


@pytest.mark.parametrize("name", ["slack", "discord", "email", "webhook"])
def test_one_word_chooses_who_is_told(real_binary, tmp_path, name):
    path = with_receiver(name, tmp_path)
    assert amtool(real_binary, "check-config", path).returncode == 0
    for alert, severity, receiver in (
        ("RewardStalled", "warning", name),
        ("SwarmHalted", "warning", name),
        ("RankDrop", "info", name),
        ("Watchdog", "none", "deadman"),
    ):
        labels = [f"alertname={alert}", f"severity={severity}", "instance=mini:10331", "node=2"]
        result = amtool(real_binary, "config", "routes", "test", "--config.file", path, *labels)
        assert result.stdout.strip() == receiver


@pytest.mark.parametrize("name", ["telegram", "deadman"])
def test_what_is_marked_out_is_right_once_the_marks_are_away(real_binary, tmp_path, name):
    """Debian's 0.25 takes Telegram's token from its own text alone; the rest is as it will be."""
    path = with_receiver(name, tmp_path)
    text, count = re.subn(
        rf"( *(?:# )?- name: {name}\n)((?: *# .*\n)+)",
        lambda m: re.sub(r"(?m)^( *)# ", r"\1", m[0]),
        path.read_text(),
    )
    assert count == 1
    path.write_text(text.replace("bot_token_file: secrets/telegram-token", "bot_token: '1:x'"))
    result = amtool(real_binary, "check-config", path)
    assert result.returncode == 0, result.stdout + result.stderr
    (chosen,) = (r for r in yaml.safe_load(text)["receivers"] if r["name"] == name)
    assert len(chosen) == 2, "a name and how to reach it"


def test_no_secret_stands_in_it():
    def values(part: Any) -> list[tuple[str, Any]]:
        if isinstance(part, dict):
            return [pair for key, value in part.items() for pair in [(key, value), *values(value)]]
        return [pair for each in part for pair in values(each)] if isinstance(part, list) else []

    keys = {key for key, _ in values(yaml.safe_load(CONFIG.read_text()))}
    assert keys & {"api_url_file", "auth_password_file", "credentials_file"}
    assert not keys & {"api_url", "auth_password", "credentials", "bot_token", "webhook_url"}


def matching(matchers: list[str]) -> set[str]:
    """The alerts that Alertmanager's matchers choose; each name in them must be one."""
    chosen = set(ALERTS)
    for matcher in matchers:
        label, operator, pattern = re.fullmatch(r'(\w+) (=~?) "?([^"]+)"?', matcher).groups()
        wanted = set(pattern.split("|")) if operator == "=~" else {pattern}
        known = {name if label == "alertname" else labels[label] for name, labels in ALERTS.items()}
        assert wanted <= known, matcher
        chosen &= {
            name
            for name, labels in ALERTS.items()
            if (name if label == "alertname" else labels[label]) in wanted
        }
    return chosen


def test_nothing_holds_back_what_is_worse_or_itself():
    for rule in yaml.safe_load(CONFIG.read_text())["inhibit_rules"]:
        sources = matching(rule["source_matchers"])
        targets = matching(rule["target_matchers"])
        assert sources
        assert targets
        assert not sources & targets
        assert {"job", "instance"} <= set(rule["equal"])
        # A machine's warning never hides a node that is down, or was killed.
        if sources & {"MemoryPressure", "GpuHot", "ClockSkew", "SwarmHalted"}:
            assert not targets & {"NodeDown", "NodeOutOfMemory", "NodeCrashLooping"}


def test_a_machine_is_one_message_and_so_is_a_halted_swarm():
    route = yaml.safe_load(CONFIG.read_text())["route"]
    assert route["group_by"] == ["machine", "instance"]
    (halted,) = (r for r in route["routes"] if r["matchers"] == ["alertname = SwarmHalted"])
    assert halted["group_by"] == ["alertname"]
