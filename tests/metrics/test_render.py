from __future__ import annotations

import gzip
import re
import zlib
from itertools import count, product

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from support import GOLDEN, make_board, make_node, make_snapshot, make_standing
from swarm_exporter.metrics import CATALOGUE
from swarm_exporter.metrics.catalogue import Kind, Metric
from swarm_exporter.metrics.reference import reference
from swarm_exporter.metrics.render import OPENMETRICS, TEXT, Renderer, choose_content_type
from swarm_exporter.model import Condition, Earnings, SourceStatus, Stage
from swarm_exporter.reasons import Reason

#: What Prometheus 3 sends.
PROMETHEUS_ACCEPT = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
#: What changes from run to run, and from machine to machine.
_OWN = re.compile(r"(# (HELP|TYPE) )?(process_|swarm_exporter_build_info)")


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scrape(snapshot, accept: str = "") -> str:
    return Renderer().render(snapshot, accept)[0].decode()


def test_a_whole_scrape_is_the_golden_one(request):
    """Reviewed as a diff: `pytest --golden` writes it anew after a change that is meant."""
    lines = scrape(make_snapshot()).splitlines(keepends=True)
    text = "".join(line for line in lines if not _OWN.match(line))
    if request.config.getoption("--golden"):
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


@pytest.mark.parametrize("metric", CATALOGUE, ids=lambda metric: metric.name)
def test_every_metric_is_exported_with_the_labels_it_declares(metric):
    found = list(metric.read(make_snapshot()))
    assert found, "no sample in a snapshot that knows everything"
    for labels, value in found:
        assert set(metric.labels) <= set(labels)
        assert isinstance(value, float | int)
    keys = [tuple(sorted(labels.items())) for labels, _ in found]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("metric", CATALOGUE, ids=lambda metric: metric.name)
def test_names_follow_the_conventions(metric):
    assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
    assert metric.name.endswith("_info") == (metric.kind is Kind.INFO)
    assert metric.help.endswith(".")


def test_openmetrics_is_served_to_who_asks_for_it():
    body, content_type = Renderer().render(make_snapshot(), OPENMETRICS)
    assert content_type.startswith("application/openmetrics-text")
    families = {family.name: family for family in openmetrics(body.decode())}
    assert families["swarm_reward_earned"].type == "counter"
    assert families["swarm_node"].type == "info"
    assert body.endswith(b"# EOF\n")


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        ("text/html", TEXT),
        ("text/plain;version=0.0.4", TEXT),
        (PROMETHEUS_ACCEPT, OPENMETRICS),
        ("application/openmetrics-text", OPENMETRICS),
        ('Application/OpenMetrics-Text; version="1.0.0"', OPENMETRICS),
        ("application/openmetrics-text; version=0.0.1,text/plain;q=0.5", TEXT),
        ("application/openmetrics-text; version=2.0.0", TEXT),
        ("application/openmetrics-text;version=1.0.0;q=0.2,text/plain;q=0.9", TEXT),
        ("text/plain,application/openmetrics-text;version=1.0.0", TEXT),
        ("application/openmetrics-text;version=1.0.0;q=0", TEXT),
        ("application/openmetrics-text;version=1.0.0;q=odd,;;=,q", TEXT),
        ("application/openmetrics-text;version=1.0.0;q=nan", TEXT),
    ],
)
def test_who_asks_for_what_gets_what(accept, content_type):
    assert choose_content_type(accept) == content_type
    body, answered = Renderer().render(make_snapshot(), accept)
    assert answered == content_type
    assert body.endswith(b"# EOF\n") == (content_type == OPENMETRICS)
    assert b"swarm_rank" in body


@given(st.text())
def test_any_accept_header_is_answered(accept):
    assert choose_content_type(accept) in (TEXT, OPENMETRICS)


def test_a_board_below_zero_is_valid_openmetrics():
    snapshot = make_snapshot()
    board = msgspec.structs.replace(snapshot.board, quantiles={0.5: -3.0, 1.0: 2.0})
    text = scrape(msgspec.structs.replace(snapshot, board=board), OPENMETRICS)
    families = {family.name: family for family in openmetrics(text)}
    assert [s.value for s in families["swarm_leaderboard_reward"].samples] == [-3.0, 2.0]


def gauge(name: str, read, *, live: bool = False) -> Metric:
    return Metric(name, Kind.GAUGE, "Something.", (), lambda _: [({}, read())], live=live)


def test_a_snapshot_is_read_once_whatever_is_asked_for():
    counted, now = count(1), count(100)
    renderer = Renderer(
        (
            gauge("swarm_live", lambda: next(now), live=True),
            gauge("swarm_lasting", lambda: next(counted)),
        )
    )
    snapshot = make_snapshot()
    for accept, compress in product(("", OPENMETRICS), (False, True)):
        for _ in range(2):
            body, _ = renderer.render(snapshot, accept, compress=compress)
            found = samples((gzip.decompress(body) if compress else body).decode())
            assert found["swarm_lasting", ()] == 1.0
    assert found["swarm_live", ()] == 107.0, "it is read at each scrape"
    assert samples(renderer.render(make_snapshot())[0].decode())["swarm_lasting", ()] == 2.0


@given(st.text(max_size=40), st.text(max_size=40))
def test_a_compressed_body_is_one_member_that_holds_the_plain_one(lasting, live):
    metrics = [
        Metric(f"swarm_{i}", Kind.GAUGE, text, (), lambda _: [], live=bool(i))
        for i, text in enumerate((lasting, live))
    ]
    renderer, snapshot = Renderer(metrics), make_snapshot()
    for accept in ("", OPENMETRICS):
        plain, _ = renderer.render(snapshot, accept)
        packed, _ = renderer.render(snapshot, accept, compress=True)
        first = zlib.decompressobj(16 + zlib.MAX_WBITS)
        assert first.decompress(packed) == plain
        assert (first.eof, first.unused_data) == (True, b"")


def test_a_metric_that_cannot_be_read_leaves_no_half_of_a_snapshot():
    failing = iter([ZeroDivisionError])

    def read() -> float:
        for fault in failing:
            raise fault
        return 1.0

    renderer, snapshot = Renderer([gauge("swarm_x", read)]), make_snapshot()
    with pytest.raises(ZeroDivisionError):
        renderer.render(snapshot)
    assert b"swarm_x 1.0" in renderer.render(snapshot)[0]


def test_a_name_that_is_no_unicode_costs_its_letters_and_not_the_scrape():
    metric = Metric("swarm_x", Kind.GAUGE, "", ("a",), lambda _: [({"a": "d\udce4"}, 1.0)])
    assert b'swarm_x{a="d?"} 1.0' in Renderer([metric]).render(make_snapshot())[0]


def test_what_is_not_known_is_absent_and_not_zero():
    snapshot = make_snapshot()
    view = msgspec.structs.replace(
        snapshot.nodes[0],
        board=None,
        standing=None,
        earnings=Earnings(earned=0.0, lost=0.0, since=None, last_increase=None, per_hour=None),
        process=None,
        facts={},
        sources=(
            SourceStatus(
                node="1",
                source="leaderboard",
                up=False,
                reason=Reason.REFUSED,
                detail="",
                duration=0.1,
                last_success=None,
                errors={Reason.REFUSED: 3},
            ),
        ),
    )
    found = samples(
        scrape(
            msgspec.structs.replace(
                snapshot,
                nodes=(view,),
                board=None,
                swarm_last_increase=None,
                host={},
                host_sources=(),
            )
        )
    )
    names = {name for name, _ in found if not name.startswith(("process_", "swarm_exporter_"))}
    assert names == {
        "swarm_node_condition",
        "swarm_node_identified",
        "swarm_node_identity_conflict",
        "swarm_node_info",
        "swarm_source_duration_seconds",
        "swarm_source_errors_total",
        "swarm_source_up",
        "swarm_stall_threshold_seconds",
    }
    assert found["swarm_source_up", (("node", "1"), ("source", "leaderboard"))] == 0


def test_a_stage_of_zero_is_a_figure():
    snapshot = make_snapshot()
    standing = make_standing(recorded=Stage(0, 0), last_score=0.0)
    view = msgspec.structs.replace(
        snapshot.nodes[0], standing=standing, board=make_board(standing, clock=Stage(0, 0))
    )
    found = samples(scrape(msgspec.structs.replace(snapshot, nodes=(view,))))
    for name in ("swarm_round", "swarm_stage", "swarm_node_recorded_round", "swarm_last_score"):
        assert found[name, (("node", "1"),)] == 0.0


def test_exactly_one_condition_holds():
    found = samples(scrape(make_snapshot()))
    states = {
        dict(labels)["condition"]: value
        for (name, labels), value in found.items()
        if name == "swarm_node_condition" and ("node", "1") in labels
    }
    assert set(states) == {condition.value for condition in Condition}
    assert sum(states.values()) == 1.0


def test_a_strangers_text_is_bounded_and_cannot_leave_its_label():
    evil = make_standing('Qm"} 1\nevil 2', nickname="\x1b[31m" + "x" * 500 + "\u202e")
    twin = make_standing('Qm"} 1\revil 2', nickname="\x1c[31m" + "x" * 500 + "\u202e", rank=2)
    snapshot = make_snapshot()
    board = make_board(evil, twin)
    found = samples(scrape(msgspec.structs.replace(snapshot, board=board)))
    ranks = [dict(labels) for name, labels in found if name == "swarm_peer_rank"]
    assert len(ranks) == 1, "two ids that look alike are one series"
    assert ranks[0]["peer_id"] == 'Qm"} 1\ufffdevil 2'
    assert len(ranks[0]["nickname"]) == 128


def test_credentials_in_an_address_reach_no_label():
    snapshot = make_snapshot()
    node = make_node(api="https://user:secret@swarm.example/x?key=secret")
    view = msgspec.structs.replace(snapshot.nodes[0], node=node)
    text = scrape(msgspec.structs.replace(snapshot, nodes=(view,)))
    assert "secret" not in text
    assert 'api="https://swarm.example/x"' in text


def test_the_reference_is_up_to_date():
    from support import ROOT

    assert (ROOT / "docs" / "metrics.md").read_text() == reference(), "run `make docs`"
