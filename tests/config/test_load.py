from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swarm_exporter.config import Config, Flags, load_config
from swarm_exporter.errors import ConfigError, FlagError

PEER_A = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"
PEER_B = "Qma9T5YraSnpRDZqRR4krcSJabThc8nwZuJV3LercPHufi"


@pytest.fixture
def load(tmp_path):
    """Load a file's text, variables and flags; paths are relative to the test's folder."""

    def load(text: str | None = None, environ=None, **flags) -> Config:
        if text is not None:
            (tmp_path / "swarm.yml").write_text(text)
            flags["config"] = "swarm.yml"
        return load_config(Flags(**flags), {"HOME": "/home/me", **(environ or {})}, tmp_path)

    return load


def test_nothing_at_all_is_one_node(load):
    config = load()
    (node,) = config.nodes
    assert (node.name, node.api, node.folder) == ("1", "http://127.0.0.1:3000", None)
    assert (config.listen_host, config.listen_port) == ("127.0.0.1", 10331)
    assert (config.interval, config.timeout, config.top_peers) == (15.0, 10.0, 10)
    assert config.stall_after == 4.5 * 3600
    assert config.reload_endpoint is False


def test_instances_alone_are_enough(load, tmp_path):
    (tmp_path / "rl-swarm-1").mkdir()
    (tmp_path / "rl-swarm-instance-3").mkdir()
    nodes = load(instances="3").nodes
    assert [node.name for node in nodes] == ["1", "2", "3"]
    assert [node.api for node in nodes] == [f"http://127.0.0.1:{p}" for p in (3000, 3001, 3002)]
    assert [node.folder for node in nodes] == [
        tmp_path / "rl-swarm-1",
        None,
        tmp_path / "rl-swarm-instance-3",
    ]


def test_a_file_names_each_node(load, tmp_path):
    config = load(f"""
listen: 0.0.0.0:9000
interval: 1.5s
body_limit: 10MB
reload_endpoint: true
state_dir: state
nodes:
  - name: left
    folder: nodes/left
    port: 8000
    peer_id: {PEER_A}
    labels: {{owner: me, rack: 7, spare: true}}
  - name: 2
    api: https://swarm.example/base/
    nickname: Tall_Slow_Flamingo
  - identity_file: ~/swarm.pem
""")
    left, two, third = config.nodes
    assert (config.listen_host, config.listen_port, config.interval) == ("0.0.0.0", 9000, 1.5)  # noqa: S104
    assert (config.body_limit, config.reload_endpoint) == (10_000_000, True)
    assert config.state_dir == tmp_path / "state"
    assert (left.api, left.folder, left.peer_id) == (
        "http://127.0.0.1:8000",
        tmp_path / "nodes" / "left",
        PEER_A,
    )
    assert left.labels == {"owner": "me", "rack": "7", "spare": "true"}
    assert (two.name, two.api, two.nickname) == (
        "2",
        "https://swarm.example/base",
        "tall slow flamingo",
    )
    assert (third.name, third.api) == ("3", "http://127.0.0.1:3002")
    assert third.identity_file == Path("~/swarm.pem").expanduser()


def test_later_layers_win(load):
    text = "interval: 1s\ntimeout: 2s\ntop_peers: 3\n"
    config = load(text, {"SWARM_TIMEOUT": "5s", "SWARM_TOP_PEERS": "6"}, top_peers="9")
    assert (config.interval, config.timeout, config.top_peers) == (1.0, 5.0, 9)


def test_variables_alone(load):
    config = load(
        environ={
            "SWARM_INSTANCES": "2",
            "SWARM_API_PORT": "8000",
            "SWARM_PEER_ID": f"{PEER_A},{PEER_B}",
            "SWARM_RELOAD_ENDPOINT": "yes",
            "SWARM_LOG_LEVEL": "",
        }
    )
    assert [(n.api, n.peer_id) for n in config.nodes] == [
        ("http://127.0.0.1:8000", PEER_A),
        ("http://127.0.0.1:8001", PEER_B),
    ]
    assert config.reload_endpoint is True
    assert config.log_level == "info"


def test_a_file_can_be_named_by_a_variable(load, tmp_path):
    (tmp_path / "a.yml").write_text("top_peers: 4")
    assert load(environ={"SWARM_CONFIG": "a.yml"}).top_peers == 4


def test_templates(load, tmp_path):
    nodes = load(instances="2", api_url="http://host-{i}:{port}/{name}", folder="n/{i}").nodes
    assert [(n.api, n.folder) for n in nodes] == [
        ("http://host-1:3000/1", tmp_path / "n" / "1"),
        ("http://host-2:3001/2", tmp_path / "n" / "2"),
    ]


TWO = "nodes: [{name: a, port: 8000}, {name: b, port: 8001}]\n"


def test_instances_add_to_what_a_file_names_and_flags_cut_it(load):
    assert [n.name for n in load(TWO + "instances: 3").nodes] == ["a", "b", "3"]
    assert [n.name for n in load(TWO, instances="3").nodes] == ["a", "b", "3"]
    assert [n.name for n in load(TWO, instances="1").nodes] == ["a"]


def test_flags_override_every_nodes_address(load):
    assert [n.api for n in load(TWO, api_port="4000").nodes] == [
        "http://127.0.0.1:4000",
        "http://127.0.0.1:4001",
    ]
    assert {n.api for n in load(TWO, api_url="http://swarm.example").nodes} == {
        "http://swarm.example"
    }
    assert [n.api for n in load(TWO + "api_port: 5000\napi_url: http://x").nodes] == [
        "http://127.0.0.1:8000",
        "http://127.0.0.1:8001",
    ], "inside one file a node's own address is the nearer one"
    assert [
        n.api for n in load("api_url: http://x:{port}\n", instances="2", api_port="7").nodes
    ] == [
        "http://127.0.0.1:7",
        "http://127.0.0.1:8",
    ]


def test_a_flags_identity_replaces_all_that_the_file_says_of_it(load):
    (node,) = load("nodes: [{nickname: a b c}]", peer_id=(PEER_A,)).nodes
    assert (node.peer_id, node.nickname) == (PEER_A, None)


def test_nodes_may_share_an_api_on_purpose(load):
    text = "nodes: [{api: 'http://x:1', nickname: a b c}, {api: 'http://x:1', nickname: a b d}]"
    assert len({node.api for node in load(text).nodes}) == 1


def test_state_dir_follows_the_platform(load, monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    assert load().state_dir == Path("/home/me/.local/state/swarm-exporter")
    assert load(environ={"XDG_STATE_HOME": "/x"}).state_dir == Path("/x/swarm-exporter")
    monkeypatch.setattr("sys.platform", "darwin")
    assert load().state_dir == Path("/home/me/Library/Application Support/swarm-exporter")


def test_a_variable_that_is_nearly_ours_is_warned_of(load):
    config = load(
        environ={
            "SWARM_INTERVL": "1s",
            "SWARM_UI_PORT": "8000",
            "SWARM_CONTRACT": "0x",
            "SWARM_X": "",
        }
    )
    assert config.warnings == ("SWARM_INTERVL is not known; did you mean SWARM_INTERVAL?",)


BAD_FILES = {
    "unknown key": (
        "interval: 1s\nintervall: 2s\n",
        '2: intervall: unknown key; did you mean "interval"?',
    ),
    "unknown key of a node": (
        "nodes:\n  - name: a\n    nickname_: x\n",
        '3: nodes[0].nickname_: unknown key; did you mean "nickname"?',
    ),
    "a key like no other": ("zzz: 1\n", "1: zzz: unknown key; known are instances, listen"),
    "wrong type": ("\ntop_peers: many\n", "2: top_peers: must be a whole number, not text"),
    "wrong type in a node": (
        "nodes:\n  - port: '8000'\n",
        "2: nodes[0].port: must be a whole number, not text",
    ),
    "a word that YAML takes for false": (
        "nodes:\n  - nickname: no\n",
        '2: nodes[0].nickname: must be text, not true or false; put it in quotes: "no", "yes"',
    ),
    "nodes that are no list": ("nodes: 3\n", "1: nodes: must be a list, not a whole number"),
    "a list": ("- a\n", "holds a list, but must hold keys like `nodes:`"),
    "a duration without unit": ("interval: 15\n", '1: interval: "15" has no unit; write 15s'),
    "no duration": (
        "interval: 15 parsecs\n",
        '1: interval: "15 parsecs" is no duration; write 500ms',
    ),
    "too short": ("interval: 10ms\n", "1: interval: must be at least 100ms"),
    "no size": ("body_limit: huge\n", '1: body_limit: "huge" is no size; write 64MiB'),
    "too many peers": ("top_peers: 101\n", "1: top_peers: must be between 0 and 100, not 101"),
    "no address": ("listen: '10331'\n", '1: listen: "10331" is no address; write HOST:PORT'),
    "a port beyond": ("listen: a:70000\n", "1: listen: port 70000 is not between 0 and 65535"),
    "no host": ("listen: ':9000'\n", "1: listen: has no host; write 127.0.0.1:9000"),
    "no level": (
        "log_level: loud\n",
        '1: log_level: must be debug, info, warning or error, not "loud"',
    ),
    "a port of a node beyond": (
        "nodes:\n- port: 70000\n",
        "2: nodes[0].port: must be between 1 and 65535, not 70000",
    ),
    "no URL": (
        "nodes:\n- api: swarm.example\n",
        "2: nodes[0].api: must begin with http",
    ),
    "a URL without host": (
        "nodes:\n- api: 'http://'\n",
        "2: nodes[0].api: is no URL; write it as http://127.0.0.1:8000",
    ),
    "a URL with a bad port": (
        "nodes:\n- api: 'http://a:b'\n",
        "2: nodes[0].api: is no URL",
    ),
    "a URL with a query": (
        "nodes:\n- api: 'http://a/?x=1'\n",
        "must end with its path: no ? and no #",
    ),
    "api and port": (
        "nodes:\n- {api: 'http://a', port: 1}\n",
        "nodes[0].port: give `api` or `port`, not both",
    ),
    "no peer id": ("nodes:\n- peer_id: Qm123\n", '2: nodes[0].peer_id: "Qm123" is no peer id'),
    "no nickname": (
        "nodes:\n- nickname: bob\n",
        '2: nodes[0].nickname: "bob" is no nickname; it is three words',
    ),
    "two nodes of one name": (
        "nodes:\n- name: a\n- name: a\n",
        "3: nodes[1].name: name a is that of node a already; give each node its own name",
    ),
    "a name that is another's number": (
        "nodes:\n- name: 2\n- port: 1\n",
        "nodes: name 2 is that of node 2 already",
    ),
    "two nodes of one port": (
        "nodes:\n- port: 8000\n- port: 8000\n",
        "3: nodes[1].port: nodes 1 and 2 are both at http://127.0.0.1:8000; "
        "to share one API, give both the same `api` URL",
    ),
    "a port that is a numbered node's": (
        "nodes:\n- port: 3001\n- name: b\n",
        "2: nodes[0].port: nodes 1 and b are both at http://127.0.0.1:3001",
    ),
    "a port that is another's URL": (
        "nodes:\n- api: http://127.0.0.1:8000\n- port: 8000\n",
        "3: nodes[1].port: nodes 1 and 2 are both at",
    ),
    "a tag that its value does not fit": ('instances: !!int ""', "cannot be read as a value"),
    "a switch with such a tag": ('reload_endpoint: !!bool "x"', "cannot be read as a value"),
    "the home of nobody": (
        "nodes:\n- folder: ~nosuchuser1/x\n",
        "2: nodes[0].folder: names the home folder of an unknown user",
    ),
    "a path with a zero": (
        'nodes:\n- folder: "a\\0b"\n',
        "2: nodes[0].folder: holds a character that no path can have",
    ),
    "two nodes of one peer id": (
        f"nodes:\n- peer_id: {PEER_A}\n- peer_id: {PEER_A}\n",
        "3: nodes[1].peer_id: peer_id QmYy",
    ),
    "two nodes of one identity file": (
        "nodes:\n- identity_file: a/../x.pem\n- identity_file: x.pem\n",
        "3: nodes[1].identity_file: identity_file",
    ),
    "the exporter's own port": (
        "listen: 127.0.0.1:8000\nnodes:\n- port: 8000\n",
        "1: listen: port 8000 is the API of node 1; give another",
    ),
    "a reserved label": (
        "nodes:\n- labels:\n    instance: x\n",
        "3: nodes[0].labels.instance: the label \"instance\" is the exporter's or Prometheus' own",
    ),
    "a label's name": (
        "nodes:\n- labels:\n    a-b: x\n",
        "3: nodes[0].labels.a-b: a label's name is letters",
    ),
    "a label's length": (
        f"nodes:\n- labels:\n    a: {'x' * 129}\n",
        "3: nodes[0].labels.a: must be printable text",
    ),
    "fewer instances than nodes": (TWO + "instances: 1\n", "2: instances: is 1, but `nodes` has 2"),
    "a template's field": (
        "api_url: http://a:{n}\n",
        "1: api_url: may hold {i}, {port}, {name} and no other brace",
    ),
    "a template's brace": (
        "api_url: http://a:{\n",
        "may hold {i}, {port}, {name} and no other brace",
    ),
    "a key twice": ("interval: 1s\ninterval: 2s\n", "2: interval: given twice; remove one"),
    "bad YAML": ("a: [1,\nb: 2\n", ": not valid YAML:"),
    "a tab": ("nodes:\n\t- a\n", "2: not valid YAML:"),
    "an alias to itself": ("a: &a [*a]\n", ""),
    "deep nesting": ("a: " + "[" * 50 + "]" * 50, "1: nested too deeply"),
    "a merge": ("a: &a {}\n<<: *a\n", "2: a key must be plain text"),
}


@pytest.mark.parametrize(("text", "sentence"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_file_is_one_sentence_with_file_line_key_and_fix(load, text, sentence):
    with pytest.raises(ConfigError) as error:
        load(text)
    message = str(error.value)
    assert message.startswith("swarm.yml:")
    assert sentence in message
    assert len(message.splitlines()) == 1
    assert not isinstance(error.value, FlagError)


def test_a_bad_variable_names_itself(load):
    with pytest.raises(ConfigError, match=r'^SWARM_INTERVAL: "15 parsecs" is no duration'):
        load(environ={"SWARM_INTERVAL": "15 parsecs"})


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ({"instances": "0"}, "--instances: must be between 1 and 10000, not 0"),
        ({"instances": "three"}, '--instances: "three" is no whole number'),
        ({"api_port": "70000"}, "--api-port: must be between 1 and 65535"),
        (
            {"api_port": "65535", "instances": "2"},
            "--api-port: the last node's port would be 65536",
        ),
        ({"listen": "nowhere"}, '--listen: "nowhere" is no address'),
        ({"listen": "127.0.0.1:3000"}, "--listen: port 3000 is the API of node 1; give another"),
        ({"peer_id": (PEER_A, PEER_B)}, "--peer-id: 2 peer ids for 1 node; give --instances"),
        ({"peer_id": (PEER_A, PEER_A), "instances": "2"}, "--peer-id: peer_id QmYy"),
        ({"nickname": ("x",)}, '--nickname: "x" is no nickname'),
        ({"stall_after": "1"}, '--stall-after: "1" has no unit'),
        ({"log_format": "xml"}, '--log-format: must be text or json, not "xml"'),
    ],
)
def test_a_bad_flag_is_wrong_usage(load, flags, sentence):
    with pytest.raises(FlagError) as error:
        load(**flags)
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    "address",
    [
        "ftp://admin:hunter2@swarm.example",
        "admin:hunter2@swarm.example",
        "http:/admin:hunter2@swarm.example",
        "http:///admin:hunter2@swarm.example",
        "http://admin:hunter2/x@swarm.example",
        "http://admin:hunter2#x@swarm.example",
        "http://swarm.example/admin:hunter2@x",
        "http://swarm.example/?key=hunter2",
        "http://admin:hunter2@swarm.example/{n}",
    ],
)
def test_secrets_in_an_address_reach_no_message(load, address):
    for text in (f"nodes: [{{api: '{address}'}}]", f"api_url: '{address}'"):
        with pytest.raises(ConfigError) as error:
            load(text)
        assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda path: None, "no such file or directory; correct --config"),
        (lambda path: path.mkdir(), "is a directory; correct --config"),
        (lambda path: path.write_bytes(b"\xff\xfe\x00"), "not UTF-8 text"),
        (lambda path: path.write_bytes(b"#" * 1_100_000), "larger than 1 MiB"),
    ],
)
def test_a_file_that_cannot_be_read(load, tmp_path, make, sentence):
    make(tmp_path / "bad.yml")
    with pytest.raises(ConfigError) as error:
        load(config="bad.yml")
    assert sentence in str(error.value)


def test_an_empty_file_is_fine(load):
    assert len(load("").nodes) == 1
    assert len(load("# nothing\n").nodes) == 1


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["nodes", "name", "port", "api", "labels", "instances", "listen", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=80) | values.map(repr) | st.binary(max_size=60))
def test_whatever_a_file_holds_ends_in_a_configuration_or_one_sentence(tmp_path, content):
    data = content if isinstance(content, bytes) else content.encode("utf-8", "replace")
    (tmp_path / "any.yml").write_bytes(data)
    try:
        config = load_config(Flags(config="any.yml"), {}, tmp_path)
    except ConfigError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert config.nodes
