from __future__ import annotations

import contextlib
import http.server
import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from typing import TextIO

import msgspec
import pytest
from click.testing import CliRunner
from rich.console import Console

from support import COMMAND, free_port, make_snapshot
from swarm_exporter.cli.status import command
from swarm_exporter.cli.table import bars, status_table
from swarm_exporter.errors import SwarmExporterError
from swarm_exporter.status import StatusDocument, status_document


def document() -> StatusDocument:
    return status_document(make_snapshot(), 1_800_000_001.0, 0.01)


@contextlib.contextmanager
def answering(body: bytes, status: int = 200) -> Iterator[str]:
    """A server that answers everything with this body."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def invoke(*arguments: str, **environ: str):
    return CliRunner().invoke(command, arguments, env={"COLUMNS": "150", **environ})


def test_the_table_of_a_running_exporter():
    with answering(msgspec.json.encode(document())) as url:
        result = invoke("--url", url)
    assert result.exit_code == 0
    assert "1 of 2 nodes earning, round 7, stage 1, 3 peers on the board" in result.stdout
    row = next(line for line in result.stdout.splitlines() if line.startswith("1   "))
    for text in ("tall slow flamingo", "earning", "1 of 3", "42.50", "3.50", "6.00", "16m41s ago"):
        assert text in row
    assert "node 2: not earned for 5h. Look at the node's log." in result.stdout


def test_the_document_as_json():
    with answering(msgspec.json.encode(document())) as url:
        result = invoke("--url", url, "--json")
    assert json.loads(result.stdout)["nodes"][0]["rank"] == 1


def test_the_address_comes_from_the_environment():
    with answering(msgspec.json.encode(document())) as url:
        assert invoke("--json", SWARM_STATUS_URL=url).exit_code == 0
        assert invoke("--json", SWARM_LISTEN=url.removeprefix("http://")).exit_code == 0


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        (b"<html>", 200, "is no swarm-exporter"),
        (b"{}", 200, "is no swarm-exporter"),
        (b"", 500, "does not answer as an exporter does"),
    ],
)
def test_another_server_is_one_sentence(body, status, sentence):
    with answering(body, status) as url:
        result = invoke("--url", url)
    assert isinstance(result.exception, SwarmExporterError)
    assert sentence in str(result.exception)


def test_no_exporter_at_the_address_given():
    url = f"http://me:hunter2@127.0.0.1:{free_port()}"
    for result in (invoke("--url", url), invoke(SWARM_STATUS_URL=url)):
        assert isinstance(result.exception, SwarmExporterError)
        assert "start one with `swarm-exporter --instances N`" in str(result.exception)
        assert "hunter2" not in str(result.exception)


def test_nothing_answers_anywhere():
    result = invoke(
        SWARM_LISTEN=f"127.0.0.1:{free_port()}", SWARM_API_URL=f"http://127.0.0.1:{free_port()}"
    )
    assert isinstance(result.exception, SwarmExporterError)
    assert "no exporter answers at http://127.0.0.1:" in str(result.exception)
    assert "and nothing at the nodes' own addresses" in str(result.exception)


def test_a_terminal_of_another_encoding_shows_what_it_can():
    status = document()
    node = msgspec.structs.replace(status.nodes[0], nickname="café " + "of the long name " * 3)
    body = msgspec.json.encode(msgspec.structs.replace(status, nodes=[node]))
    with answering(body) as url:
        result = subprocess.run(
            [*COMMAND, "status", "--url", url],
            capture_output=True,
            check=True,
            env={**os.environ, "COLUMNS": "150", "PYTHONIOENCODING": "ascii"},
        )
    assert b"caf? of the long name" in result.stdout


def test_an_exporter_and_nodes_at_once_is_wrong_usage():
    result = invoke("--url", "http://127.0.0.1:9", "--instances", "3")
    assert (result.exit_code, "give one" in result.stderr) == (2, True)


def test_without_an_exporter_the_nodes_are_asked_directly():
    board = {
        "leaders": [
            {"id": "QmB", "nickname": "other cat name", "cumulativeScore": 9.0},
            {"id": "QmA", "nickname": "tall slow flamingo", "cumulativeScore": 6.0},
        ],
        "total": 2,
    }
    with answering(json.dumps(board).encode()) as api:
        result = invoke("--api-url", api, "--nickname", "tall slow flamingo", "--json")
    (node,) = json.loads(result.stdout)["nodes"]
    assert (node["rank"], node["total_peers"], node["cumulative_reward"]) == (2, 2, 6.0)
    assert node["earned"] is None, "earnings are counted over time"


def watching(url: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, "status", "--url", url, "--watch", "--every", "10ms", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_watch_goes_on_until_ctrl_c():
    with answering(msgspec.json.encode(document())) as url, watching(url) as process:
        seen = [next_line(process.stdout, "nodes earning") for _ in range(3)]
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
    assert all(seen)
    assert process.returncode == 0


def test_a_watch_outlives_an_exporter_that_is_restarted():
    with answering(msgspec.json.encode(document())) as url:
        process = watching(url, "--json")
        assert next_line(process.stdout, '"rank":1')
    with process:
        assert "start one with" in next_line(process.stderr, "no exporter answers")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
    assert process.returncode == 0


def next_line(stream: TextIO, words: str) -> str:
    """Read on until a line has these words; empty where the stream ends before."""
    return next((line for line in iter(stream.readline, "") if words in line), "")


def rendered(status: StatusDocument, width: int, **how) -> str:
    console = Console(
        width=width, force_terminal=True, color_system=None, legacy_windows=False, **how
    )
    with console.capture() as capture:
        console.print(status_table(status, console))
    return capture.get()


@pytest.mark.parametrize(
    ("width", "shown", "hidden"),
    [
        (150, ("Peer", "CPU", "Memory", "Stage by stage", "API reward"), ()),
        (130, ("Memory", "Stage by stage"), ("CPU", "API reward")),
        (100, ("Peer", "Per hour"), ("Stage by stage", "API reward")),
        (80, ("Peer", "Rank", "Earned"), ("Per hour",)),
        (50, ("Node", "State", "Rank", "Earned"), ("Peer",)),
    ],
)
def test_a_narrow_terminal_loses_columns_and_not_figures(width, shown, hidden):
    text = rendered(document(), width)
    header = next(line for line in text.splitlines() if line.startswith("Node"))
    assert all(title in header for title in shown)
    assert not any(title in header for title in hidden)
    assert "42.50" in text
    assert "1 of 3" in text


def test_a_strangers_text_is_neither_markup_nor_control():
    status = document()
    node = msgspec.structs.replace(status.nodes[0], nickname="[red]x\x1b[31m\u202e")
    text = rendered(msgspec.structs.replace(status, nodes=[node]), 140)
    assert "[red]x?[31m?" in text
    assert "\x1b" not in text


def test_trouble_of_a_source_shows_where_the_node_earns_all_the_same():
    status = document()
    trouble = msgspec.structs.replace(
        status.nodes[0].sources[0], up=False, reason="timeout", detail="", action="Look there."
    )
    node = msgspec.structs.replace(status.nodes[0], sources=[trouble])
    text = rendered(msgspec.structs.replace(status, nodes=[node]), 140)
    assert "node 1: leaderboard: timeout. Look there." in text


@pytest.mark.parametrize(
    ("scores", "shown"),
    [([], ""), ([1.0, 0.5, 0.0], "█▅▁"), ([0.0, -1.0], "▁▁"), ([2.0] * 30, "█" * 20)],
)
def test_bars(scores, shown):
    assert bars(scores, fancy=True) == shown


def test_bars_without_unicode():
    assert bars([1.0, 0.0], fancy=False) == "#_"
