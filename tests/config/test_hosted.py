"""The `hosted` and `leaderboard` parts of a file: what they give, and what is said of mistakes."""

from __future__ import annotations

import msgspec
import pytest

from swarm_exporter.config.hosted import FileHosted, Hosted, resolve_hosted
from swarm_exporter.config.leaderboard import FileLeaderboard, resolve_leaderboard
from swarm_exporter.config.yaml_file import Document
from swarm_exporter.errors import ConfigError


class File(msgspec.Struct, forbid_unknown_fields=True):
    hosted: FileHosted | None = None
    leaderboard: FileLeaderboard | None = None


def written(folder, text: str) -> tuple[File, Document]:
    path = folder / "swarm.yml"
    path.write_text(text)
    document = Document(path, "swarm.yml")
    return document.convert(File), document


def hosted(folder, text: str) -> Hosted | None:
    file, document = written(folder, text)
    return resolve_hosted(file.hosted, document)


def board(folder, text: str):
    file, document = written(folder, text)
    return resolve_leaderboard(file.leaderboard, document)


def test_nobody_is_asked_unbidden(tmp_path):
    assert hosted(tmp_path, "leaderboard: null") is None
    assert resolve_hosted(FileHosted(), None) is None


def test_the_defaults_are_gensyns_dashboard_once_a_minute(tmp_path):
    found = hosted(tmp_path, "hosted: {}")
    assert found == Hosted()
    assert (found.url, found.path, found.interval) == (
        "https://dashboard.gensyn.ai",
        "/api/v1/peer",
        60.0,
    )
    assert {name: path.text for name, path in found.mapping.given().items()} == {
        "id": "peerId",
        "nickname": "peerName",
        "reward": "reward",
        "score": "score",
        "online": "online",
        "reward_at": "rewardTimestamp",
        "score_at": "scoreTimestamp",
    }


def test_a_mapping_replaces_what_it_names_and_an_empty_path_takes_a_field_away(tmp_path):
    found = hosted(
        tmp_path,
        """
        hosted:
          url: http://board.example:8080/swarm/
          path: /peers
          interval: 2m
          mapping: {reward: data.total, id: "", list: data.rows}
        """,
    )
    assert (found.url, found.path, found.interval) == (
        "http://board.example:8080/swarm",
        "/peers",
        120.0,
    )
    mapping = found.mapping
    assert (mapping.reward.text, mapping.id, mapping.list.text, mapping.score.text) == (
        "data.total",
        None,
        "data.rows[]",
        "score",
    )


REFUSED = {
    "interval: 14s": "swarm.yml:1: hosted.interval: must be at least 15s",
    "interval: 60": 'hosted.interval: "60" has no unit; write 60s',
    "interval: sometimes": "hosted.interval: ",
    "url: dashboard.gensyn.ai": "hosted.url: must begin with http:// or https://",
    "path: api": "hosted.path: must begin with /",
    'path: "/api?key=TOPSECRET"': "hosted.path: must be a path alone",
    "mapping: {reward: a..b}": 'hosted.mapping.reward: "a..b": expected a name',
    'mapping: {reward: "rows[].x"}': "must lead to one value",
    'mapping: {rank: "x"}': "hosted.mapping.rank: has no use here; known are list, id, nickname",
    'mapping: {id: "@key"}': "hosted.mapping.id: @key needs a list with * in it",
    'mapping: {list: "@key"}': "must lead to a list",
    "mapping: {rewards: x}": 'hosted.mapping.rewards: unknown key; did you mean "reward"?',
    "urls: x": 'hosted.urls: unknown key; did you mean "url"?',
}


@pytest.mark.parametrize(("text", "problem"), REFUSED.items())
def test_a_mistake_is_told_with_its_place_and_fix(tmp_path, text, problem):
    with pytest.raises(ConfigError) as error:
        hosted(tmp_path, f"hosted: {{{text}}}")
    assert problem in str(error.value)
    assert "TOPSECRET" not in str(error.value)


def test_a_board_of_its_own_shape(tmp_path):
    found = board(
        tmp_path,
        """
        leaderboard:
          path: /v2/top
          mapping: {list: data.peers, id: peer.id, reward: points, total: data.count}
        """,
    )
    assert found.path == "/v2/top"
    given = {name: path.text for name, path in found.mapping.given().items()}
    assert given == {
        "list": "data.peers[]",
        "id": "peer.id",
        "reward": "points",
        "total": "data.count",
    }


def test_rows_of_an_object_have_their_names_for_ids(tmp_path):
    found = board(tmp_path, 'leaderboard: {mapping: {list: "peers.*", reward: points}}')
    assert (found.mapping.list.text, found.mapping.id.key, found.path) == (
        "peers.*",
        True,
        "/api/leaderboard",
    )


def test_without_the_part_the_board_has_upstreams_shape(tmp_path):
    assert board(tmp_path, "hosted: {}") is None


@pytest.mark.parametrize(
    ("text", "problem"),
    {
        "{}": "swarm.yml:1: leaderboard: needs a mapping",
        "{mapping: {id: x}}": "leaderboard.mapping: needs list; write it as in list: data.peers",
        "{mapping: {list: x}}": "leaderboard.mapping: needs id",
        '{mapping: {list: x, id: y, total: "@key"}}': "leaderboard.mapping.total: @key has no",
        "{mapping: {list: x, id: y, online: z}}": "leaderboard.mapping.online: has no use here",
        "{path: x, mapping: {list: x, id: y}}": "leaderboard.path: must begin with /",
    }.items(),
)
def test_a_board_that_cannot_be_read_is_told(tmp_path, text, problem):
    with pytest.raises(ConfigError) as error:
        board(tmp_path, f"leaderboard: {text}")
    assert problem in str(error.value)
