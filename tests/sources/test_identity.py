from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support import make_config, make_node
from swarm_exporter.identity import peer_id_from_key
from swarm_exporter.model import Identity, IdentityOrigin, Node
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError
from swarm_exporter.sources.identity import NodeIdentity, read_identity

SPIDER = "QmRzqfPNGuudjnz1bkE2i45YGCEtnYx9PtGp2aiVJfKhAc"
COW = "Qma9T5YraSnpRDZqRR4krcSJabThc8nwZuJV3LercPHufi"
SPIDER_GREETS = f"INFO:x:🐱 Hello 🐈 [timid tall spider] 🦮 [{SPIDER}]!\n"
COW_GREETS = f"[…][INFO] - 🐝 Hello [singing keen cow] [{COW}]!\n"
HEAD, TAIL = 256 * 1024, 1024 * 1024


def new_key() -> tuple[bytes, str]:
    """The content of a swarm.pem, and the peer id that it gives."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    der = key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    data = bytes([8, 0, 0x12, len(der) & 0x7F | 0x80, len(der) >> 7]) + der
    return data, peer_id_from_key(data)


KEY, KEY_PEER = new_key()
OTHER_KEY, OTHER_PEER = new_key()
KEY_GREETS = f"🐝 Hello [agile alert ape] [{KEY_PEER}]!\n"


def plant(folder: Path, files: dict[str, str | bytes]) -> Path:
    """Write files, each one newer than those before it."""
    for number, (name, content) in enumerate(files.items()):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        os.utime(path, (1_700_000_000 + number,) * 2)
    return folder


def node(folder: Path | None = None, **more) -> Node:
    return Node(name="1", api="http://127.0.0.1:3000", folder=folder, **more)


def by_key(peer_id: str = KEY_PEER, nickname: str | None = None) -> Identity:
    return Identity(peer_id=peer_id, nickname=nickname, origin=IdentityOrigin.IDENTITY_FILE)


def by_log(peer_id: str | None, nickname: str) -> Identity:
    return Identity(peer_id=peer_id, nickname=nickname, origin=IdentityOrigin.LOG)


@contextlib.contextmanager
def without_privileges() -> Iterator[None]:
    """Be a user whom permissions hinder, also where the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user may enter; those of pytest are for their owner alone."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("given", "peer_id", "nickname"),
    [
        ({"peer_id": SPIDER}, SPIDER, None),
        ({"nickname": "Timid_Tall_Spider"}, None, "timid tall spider"),
        ({"peer_id": SPIDER, "nickname": "timid tall spider"}, SPIDER, "timid tall spider"),
    ],
)
def test_the_configuration_counts_alone(tmp_path, given, peer_id, nickname):
    folder = plant(tmp_path, {"swarm.pem": KEY, "logs/swarm.log": COW_GREETS})
    expected = Identity(peer_id=peer_id, nickname=nickname, origin=IdentityOrigin.CONFIG)
    assert read_identity(node(folder, **given)) == (expected, ())


FOLDERS = {
    "a key": ({"swarm.pem": KEY}, by_key()),
    "a key where docker has it": ({"keys/swarm.pem": KEY}, by_key()),
    "a key in both places": ({"swarm.pem": KEY, "keys/swarm.pem": OTHER_KEY}, by_key()),
    "a key, and its greeting": (
        {"swarm.pem": KEY, "logs/swarm_launcher.log": KEY_GREETS},
        by_key(nickname="agile alert ape"),
    ),
    "a key, and a greeting of another peer": (
        {"swarm.pem": KEY, "logs/swarm_launcher.log": COW_GREETS},
        by_key(),
    ),
    "a key, and its greeting only in an older log": (
        {"swarm.pem": KEY, "logs/swarm.log": KEY_GREETS, "logs/swarm_launcher.log": COW_GREETS},
        by_key(nickname="agile alert ape"),
    ),
    "a key, and a log named after somebody": (
        {"swarm.pem": KEY, "logs/training_timid_tall_spider.log": "Starting round: 1/1000000.\n"},
        by_key(),
    ),
    "the log of v0.4.3": ({"logs/swarm.log": SPIDER_GREETS}, by_log(SPIDER, "timid tall spider")),
    "the log of v0.5 and later": (
        {"logs/swarm_launcher.log": COW_GREETS},
        by_log(COW, "singing keen cow"),
    ),
    "the log of v0.5.x, which is named after the node": (
        {"logs/training_timid_tall_spider.log": SPIDER_GREETS},
        by_log(SPIDER, "timid tall spider"),
    ),
    "only the name of that log": (
        {"logs/training_whiskered_mammalian_ant.log": "Starting round: 1/1000000.\n"},
        by_log(None, "whiskered mammalian ant"),
    ),
    "the name of a newer log and a greeting of the same": (
        {
            "logs/swarm_launcher.log": SPIDER_GREETS,
            "logs/training_timid_tall_spider.log": "Starting round: 1/1000000.\n",
        },
        by_log(SPIDER, "timid tall spider"),
    ),
    "the name of a newer log and a greeting of somebody before": (
        {
            "logs/swarm_launcher.log": COW_GREETS,
            "logs/training_timid_tall_spider.log": "Starting round: 1/1000000.\n",
        },
        by_log(None, "timid tall spider"),
    ),
    "a newer greeting and the name of an older log": (
        {
            "logs/training_timid_tall_spider.log": "Starting round: 1/1000000.\n",
            "logs/swarm_launcher.log": COW_GREETS,
        },
        by_log(COW, "singing keen cow"),
    ),
    "some other log": ({"logs/node-7.log": COW_GREETS}, by_log(COW, "singing keen cow")),
    "output redirected into the folder": (
        {"node.log": COW_GREETS},
        by_log(COW, "singing keen cow"),
    ),
    "nohup's output": ({"nohup.out": COW_GREETS}, by_log(COW, "singing keen cow")),
    "the newest log of several": (
        {"logs/swarm.log": SPIDER_GREETS, "nohup.out": COW_GREETS, "logs/new.log": "more\n"},
        by_log(COW, "singing keen cow"),
    ),
    "a log that is not UTF-8": (
        {"nohup.out": b"\xff\xfe\x1b[32m\x80" + SPIDER_GREETS.encode() + b"\xf0\x9f"},
        by_log(SPIDER, "timid tall spider"),
    ),
    "a log in an encoding of one byte": (
        {"nohup.out": f"Hello \xa4 [singing keen cow] \xa5 [{COW}]!".encode("latin-1")},
        by_log(COW, "singing keen cow"),
    ),
}


@pytest.mark.parametrize(("files", "expected"), FOLDERS.values(), ids=FOLDERS)
def test_the_folder_tells(tmp_path, files, expected):
    assert read_identity(node(plant(tmp_path, files))) == (expected, ())


def test_a_named_identity_file_counts_instead_of_the_folders_own(tmp_path):
    folder = plant(
        tmp_path, {"swarm.pem": KEY, "mine/key": OTHER_KEY, "logs/swarm.log": KEY_GREETS}
    )
    identity, defects = read_identity(node(folder, identity_file=folder / "mine" / "key"))
    assert (identity, defects) == (by_key(OTHER_PEER), ())


def test_an_identity_file_needs_no_folder(tmp_path):
    plant(tmp_path, {"key": KEY})
    assert read_identity(node(identity_file=tmp_path / "key")) == (by_key(), ())


def test_links_are_followed(tmp_path):
    plant(tmp_path, {"else/where": KEY, "else/output": KEY_GREETS})
    (tmp_path / "swarm.pem").symlink_to("else/where")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "swarm.log").symlink_to("../else/output")
    assert read_identity(node(tmp_path)) == (by_key(nickname="agile alert ape"), ())


def nothing_told(identity: Identity) -> str:
    """The problem of an identity that is not known."""
    assert identity == Identity(problem=identity.problem)
    assert identity.problem is not None
    assert "\n" not in identity.problem
    return identity.problem


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"logs/yarn.log": COW_GREETS},
        {"logs/system_info.txt": COW_GREETS},
        {"logs/swarm.log": "Starting round: 1/1000000.\n"},
        {"logs/deeper/swarm.log": COW_GREETS},
        {"logs": "a file\n"},
        {"training_report.log": "no nickname\n"},
    ],
)
def test_a_folder_that_tells_nothing_is_no_defect_but_the_fix_is_said(tmp_path, files):
    identity, defects = read_identity(node(plant(tmp_path, files)))
    assert defects == ()
    assert nothing_told(identity) == (
        f"{tmp_path} has neither a swarm.pem nor a greeting in its logs: start the node once, "
        "or give --peer-id or --nickname"
    )


def test_a_node_of_which_nothing_is_said():
    identity, defects = read_identity(node())
    assert defects == ()
    assert nothing_told(identity).endswith("give --peer-id, --nickname or --folder")


def unusable_key(folder: Path, kind: str) -> None:
    path = folder / "swarm.pem"
    if kind == "a folder":
        path.mkdir()
    elif kind == "a FIFO":
        os.mkfifo(path)
    elif kind == "a device":
        path.symlink_to("/dev/zero")
    elif kind == "a link to nowhere":
        path.symlink_to("gone")
    elif kind == "a link to itself":
        path.symlink_to(path)
    else:
        path.write_bytes({"empty": b"", "real PEM": b"-----BEGIN KEY", "cut": KEY[:100]}[kind])


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        ("a folder", "cannot be read (not a regular file): correct the path"),
        ("a FIFO", "cannot be read (not a regular file): correct the path"),
        ("a device", "cannot be read (not a regular file): correct the path"),
        ("a link to nowhere", "cannot be read (no such file or directory): correct the path"),
        ("a link to itself", "cannot be read (too many levels of symbolic links): correct"),
        ("empty", "is empty; restore it from a backup"),
        ("real PEM", "is PEM text, but a swarm.pem is binary in spite of its name; give the"),
        ("cut", "ends in the middle of the key; restore it from a backup"),
    ],
)
def test_a_key_that_cannot_be_used_is_said_and_the_logs_help_out(tmp_path, kind, cause):
    unusable_key(tmp_path, kind)
    plant(tmp_path, {"keys/swarm.pem": OTHER_KEY})
    identity, defects = read_identity(node(tmp_path))
    assert defects == (Reason.UNREADABLE,)
    problem = nothing_told(identity)
    assert problem.startswith(str(tmp_path / "swarm.pem"))
    assert cause in problem

    plant(tmp_path, {"logs/swarm.log": COW_GREETS})
    identity, defects = read_identity(node(tmp_path))
    assert defects == (Reason.UNREADABLE,)
    assert identity == Identity(
        peer_id=COW, nickname="singing keen cow", origin=IdentityOrigin.LOG, problem=problem
    )


@pytest.mark.parametrize("kind", ["a missing file", "a missing folder", "a file for a folder"])
def test_a_wrong_path_is_said(tmp_path, kind):
    (tmp_path / "file").touch()
    wrong = {
        "a missing file": (node(identity_file=tmp_path / "key"), tmp_path / "key"),
        "a missing folder": (node(tmp_path / "node"), tmp_path / "node"),
        "a file for a folder": (node(tmp_path / "file"), tmp_path / "file"),
    }
    asked, path = wrong[kind]
    identity, defects = read_identity(asked)
    assert defects == (Reason.UNREADABLE,)
    problem = nothing_told(identity)
    assert problem.startswith(f"{path} cannot be read (")
    assert problem.endswith("): correct the path, or give --peer-id or --nickname")


def forbidden(path: Path) -> str:
    return (
        f"{path} cannot be read (permission denied): run the exporter as the node's user, "
        "or give --peer-id or --nickname"
    )


def test_a_key_of_another_user_is_said_and_the_logs_help_out(open_folder):
    plant(open_folder, {"swarm.pem": KEY, "logs/swarm.log": KEY_GREETS})
    (open_folder / "swarm.pem").chmod(0)
    with without_privileges():
        identity, defects = read_identity(node(open_folder))
    assert defects == (Reason.UNREADABLE,)
    assert identity == Identity(
        peer_id=KEY_PEER,
        nickname="agile alert ape",
        origin=IdentityOrigin.LOG,
        problem=forbidden(open_folder / "swarm.pem"),
    )


@pytest.mark.parametrize("closed", [".", "logs", "logs/swarm.log"])
def test_logs_of_another_user_are_said_where_nothing_else_tells(open_folder, closed):
    plant(open_folder, {"logs/swarm.log": COW_GREETS})
    (open_folder / closed).chmod(0)
    with without_privileges():
        identity, defects = read_identity(node(open_folder))
    (open_folder / closed).chmod(0o755)
    assert defects == (Reason.UNREADABLE,)
    assert nothing_told(identity) == forbidden(open_folder / closed)


def test_one_log_that_cannot_be_read_does_not_matter_where_another_tells(open_folder):
    plant(open_folder, {"logs/old.log": COW_GREETS, "logs/new.log": SPIDER_GREETS})
    (open_folder / "logs" / "new.log").chmod(0)
    with without_privileges():
        assert read_identity(node(open_folder)) == (by_log(COW, "singing keen cow"), ())


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to(path)])
def test_what_is_no_log_is_passed_over(tmp_path, make):
    plant(tmp_path, {"logs/swarm.log": COW_GREETS})
    make(tmp_path / "logs" / "odd.log")
    assert read_identity(node(tmp_path)) == (by_log(COW, "singing keen cow"), ())


@pytest.mark.parametrize(
    ("place", "found"),
    [
        (0, True),
        (HEAD - 200, True),
        (10**10 - 200, True),
        (10**10 - TAIL, True),
        (5 * 10**9, False),
    ],
)
def test_of_a_log_of_ten_gigabytes_only_both_ends_are_read(tmp_path, place, found):
    with (tmp_path / "nohup.out").open("wb") as log:
        log.seek(place)
        log.write(COW_GREETS.encode())
        log.truncate(10**10)
    tracemalloc.start()
    try:
        identity, _ = read_identity(node(tmp_path))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (identity == by_log(COW, "singing keen cow")) is found
    assert peak < 16 * 1024 * 1024


def test_a_greeting_across_the_border_of_both_parts_is_found(tmp_path):
    plant(tmp_path, {"nohup.out": "." * (HEAD - 30) + COW_GREETS + "." * (TAIL - 100)})
    assert read_identity(node(tmp_path)) == (by_log(COW, "singing keen cow"), ())


def test_two_parts_that_do_not_touch_are_not_read_as_one_greeting(tmp_path):
    left, right = "Hello [singing keen cow] ", f"[{COW}]!"
    log = left.rjust(HEAD) + "." * 1000 + right.ljust(TAIL)
    identity, _ = read_identity(node(plant(tmp_path, {"nohup.out": log})))
    assert not identity.known


@pytest.mark.parametrize(("newer", "found"), [(19, True), (20, False)])
def test_at_most_twenty_logs_are_read(tmp_path, newer, found):
    files = {"logs/swarm.log": COW_GREETS} | {f"logs/{n}.log": "" for n in range(newer)}
    identity, _ = read_identity(node(plant(tmp_path, files)))
    assert identity.known is found


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=st.binary(max_size=200), log=st.binary(max_size=200))
def test_no_content_breaks_it(tmp_path, key, log):
    plant(tmp_path, {"swarm.pem": key, "nohup.out": log})
    identity, defects = read_identity(node(tmp_path))
    assert defects == (Reason.UNREADABLE,)
    assert nothing_told(identity).startswith(f"{tmp_path / 'swarm.pem'}: the identity file ")


def test_no_part_of_a_private_key_is_ever_shown(tmp_path):
    damaged = bytearray(KEY)
    damaged[5] ^= 0xFF
    identity, _ = read_identity(node(plant(tmp_path, {"swarm.pem": bytes(damaged)})))
    assert nothing_told(identity) == (
        f"{tmp_path / 'swarm.pem'}: the identity file is not a binary libp2p RSA key; "
        "give the swarm.pem that the node itself wrote"
    )


@pytest.mark.parametrize(
    ("told", "summary"),
    [
        ({"peer_id": COW}, f"{COW} (from config)"),
        ({"nickname": "singing keen cow"}, "singing keen cow (from config)"),
        (
            {},
            "nothing tells which peer is this node's: give --peer-id, --nickname or --folder",
        ),
    ],
)
def test_the_source_says_what_it_found(told, summary):
    config = make_config(make_node("1", **told), make_node("2"))
    first, second = NodeIdentity().targets(config)
    assert [target.key for target in (first, second)] == ["1", "2"]
    facts = asyncio.run(NodeIdentity().poll(first, SimpleNamespace(config=config)))
    assert facts.value.known is bool(told)
    assert facts.summary == summary


def test_a_folder_that_hangs_costs_its_own_node_one_thread(monkeypatch):
    gone, began = threading.Event(), []

    def look(node):
        began.append(node.name)
        if node.name == "1":
            gone.wait()
        return Identity(peer_id=COW), ()

    monkeypatch.setattr("swarm_exporter.sources.identity.read_identity", look)
    config = make_config(make_node("1"), make_node("2"), timeout=0.05)
    source = NodeIdentity()
    hung, healthy = source.targets(config)

    async def run():
        context = SimpleNamespace(config=config)
        for _ in range(3):
            with pytest.raises(SourceError) as error:
                await source.poll(hung, context)
            assert error.value.reason is Reason.TIMEOUT
        return await source.poll(healthy, context)

    assert asyncio.run(run()).value.peer_id == COW
    assert began == ["1", "2"], "no second look while the first one lasts"
    gone.set()
