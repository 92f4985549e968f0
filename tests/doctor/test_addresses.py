from __future__ import annotations

import httpx
import pytest

from leaderboard_api import BOARD, WHOLE, api
from support import free_port, make_config, make_node
from swarm_exporter.clock import SystemClock
from swarm_exporter.doctor.addresses import Answer, ask_apis, check_addresses, clock_ahead
from swarm_exporter.doctor.check import Outcome
from swarm_exporter.doctor.clocks import check_clocks
from swarm_exporter.reasons import ACTION, MEANING, Reason


def ask(*addresses: str) -> list[Answer]:
    nodes = [make_node(str(n), address) for n, address in enumerate(addresses, 1)]
    return ask_apis(make_config(*nodes), SystemClock())


def test_an_api_that_answers_is_asked_once_for_all_its_nodes():
    with api(WHOLE) as url:
        (answer,) = ask(url, url)
    (check,) = check_addresses([answer])
    assert check.outcome is Outcome.OK
    assert check.subject == f"{url} of nodes 1, 2"
    assert check.what.startswith("1 peers on the board, answered in ")
    assert abs(answer.ahead) < 3


@pytest.mark.parametrize(("status", "reason"), [(404, Reason.NOT_FOUND), (500, Reason.HTTP_5XX)])
def test_what_is_wrong_is_said_as_the_exporter_says_it(status, reason):
    with api(WHOLE, status=status) as url:
        (check,) = check_addresses(ask(url))
    assert check.outcome is Outcome.FAILURE
    assert check.what.startswith(f"{MEANING[reason]} (HTTP {status}")
    assert check.fix == ACTION[reason]


def test_nobody_listens_and_secrets_of_the_address_stay_secret():
    (check,) = check_addresses(ask(f"http://me:hunter2@127.0.0.1:{free_port()}"))
    assert check.outcome is Outcome.FAILURE
    assert "hunter2" not in check.subject + check.what + check.fix


def test_an_api_without_its_clock_is_a_warning():
    with api({"/api/leaderboard-cumulative": BOARD}) as url:
        good, defect = check_addresses(ask(url))
    assert (good.outcome, defect.outcome) == (Outcome.OK, Outcome.WARNING)
    assert defect.what == MEANING[Reason.NOT_FOUND]


def test_what_passes_by_itself_is_no_failure():
    answer = Answer(api="http://x", nodes=("1",), reason=Reason.NAN, detail="HTTP 500")
    assert check_addresses([answer])[0].outcome is Outcome.WARNING


@pytest.mark.parametrize("behind", [120.0, -120.0])
def test_a_clock_that_goes_wrong_is_found_by_an_answers_date(tmp_path, behind):
    with api(WHOLE, behind=behind) as url:
        answers = ask(url)
    first, second = check_clocks(answers, tmp_path, SystemClock().time, "darwin")
    assert first.outcome is Outcome.WARNING
    assert ("ahead of it" if behind > 0 else "behind it") in first.what
    assert "sntp" in first.fix
    assert second.outcome is Outcome.OK
    assert not list(tmp_path.iterdir())


def test_without_a_date_nothing_is_said(tmp_path):
    with api(WHOLE, date=False) as url:
        answers = ask(url)
    first, _ = check_clocks(answers, tmp_path, SystemClock().time)
    assert first.outcome is Outcome.ABSENT


def test_a_disk_with_a_clock_of_its_own(tmp_path):
    checks = check_clocks([], tmp_path, lambda: 1000.0, written_at=lambda _: 900.0)
    assert checks[-1].outcome is Outcome.WARNING
    assert checks[-1].what == "the local clock is 1m40s ahead of it"
    checks = check_clocks([], tmp_path, lambda: 1000.0, written_at=lambda _: None)
    assert checks[-1].outcome is Outcome.ABSENT


@pytest.mark.parametrize(
    ("headers", "ahead"),
    [
        ({"date": "Mon, 23 Nov 2026 10:00:00 GMT"}, 5.0),
        ({"date": "Mon, 23 Nov 2026 10:00:00 GMT", "age": "4"}, 1.0),
        ({"date": "Mon, 23 Nov 2026 10:00:00 GMT", "age": "soon"}, 5.0),
        ({"date": "yesterday"}, None),
        ({"date": ""}, None),
        ({}, None),
    ],
)
def test_the_date_of_an_answer(headers, ahead):
    assert clock_ahead(httpx.Headers(headers), 1795428005.0) == ahead
