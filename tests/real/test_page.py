"""The status page in a real Chromium, on a server whose answer the test changes."""

from __future__ import annotations

import html
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from support import CHROMIUM_FLAGS, ManualClock, make_snapshot
from swarm_exporter.model import Condition, Snapshot, Verdict
from swarm_exporter.reasons import Reason
from swarm_exporter.web.app import Views, create_app
from swarm_exporter.web.server import Server, listen

pytestmark = pytest.mark.real

#: A page around ours, which gets the width of the query: it reports what is wider than its box.
FRAME = """<!doctype html><iframe src="/" height="3000" id="f"></iframe>
<script>
f.width = location.search.slice(1);
f.onload = () => setTimeout(() => {
  const page = f.contentDocument;
  const boxes = [page.documentElement, ...page.querySelectorAll(".card")];
  const wide = boxes.filter((box) => box.scrollWidth > box.clientWidth);
  document.title = `${page.documentElement.clientWidth} wide, ${wide.length} of ${boxes.length} cut`;
}, 300);
</script>"""


class Site:
    """The exporter's application with a snapshot that the test sets, on a real port."""

    def __init__(self) -> None:
        self.snapshots: list[Snapshot] = [make_snapshot()]
        self.asked = 0
        #: True: the document is refused, as by an exporter that is ending.
        self.down = False
        app = create_app(
            Views(
                snapshot=self._next,
                clock=ManualClock(1_800_000_001.0),
                refresh_seconds=lambda: 0.2,
            )
        )

        async def frame(_: object) -> Response:
            return Response(FRAME, media_type="text/html")

        async def ours(scope, receive, send) -> None:
            """The page itself may not be framed; the measuring page has to."""

            async def allow(message) -> None:
                if message["type"] == "http.response.start":
                    keep = (b"content-security-policy", b"x-frame-options")
                    message["headers"] = [h for h in message["headers"] if h[0] not in keep]
                await send(message)

            if self.down and scope.get("path") == "/api/status":
                await Response("", 503)(scope, receive, send)
                return
            framed = (b"sec-fetch-dest", b"iframe") in scope.get("headers", [])
            await app(scope, receive, allow if framed else send)

        both = Starlette(routes=[Route("/frame", frame)])
        both.mount("/", ours)
        listener = listen("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._server = Server(both)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]})
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()

    def _next(self) -> Snapshot:
        self.asked += 1
        return self.snapshots[min(self.asked, len(self.snapshots)) - 1]


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.stop()


@pytest.fixture
def browse(real_binary, tmp_path: Path) -> Callable[..., str]:
    """Return a function that opens a page in Chromium and gives its document after the scripts."""

    def browse(url: str, *flags: str, budget: int = 1000, errors: bool = False) -> str:
        command = [
            real_binary("chromium"),
            *CHROMIUM_FLAGS,
            "--enable-logging=stderr",
            "--v=0",
            f"--user-data-dir={tmp_path / 'profile'}",
        ]
        result = subprocess.run(
            [*command, f"--virtual-time-budget={budget}", "--dump-dom", *flags, url],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert errors or "CONSOLE" not in result.stderr, result.stderr
        return result.stdout

    return browse


def words(document: str) -> str:
    """What a person reads: the text of the body without the embedded JSON."""
    body = re.sub(r"<script.*?</script>", "", document, flags=re.DOTALL)
    return html.unescape(" ".join(re.sub(r"<[^>]*>", " ", body).split()))


def test_the_table_shows_every_node_with_state_and_reason(site, browse):
    text = words(browse(site.url))
    assert "Earning 1 of 2 nodes" in text
    assert (
        "1 tall slow flamingo QmA earning up 1 h, 1 restart submits in 2 h 1.5 cores, 6.0 GiB 1 of 3"
        in text
    )
    assert "2 other cat name QmB not earning 2 of 3" in text
    assert "Not earned for 5h. Look at the node's log." in text
    assert "top 34 %" in text
    assert "42.50 3.50 an hour" in text
    assert "Reward stage by stage, oldest first: 2.00, -1.00, 0.00, 3.50" in text
    assert "median 2.25 top 10 % 5.25" in text
    assert "third cat name –" in text, "what is not known is a dash"


def test_it_refreshes_itself(site, browse):
    later = make_snapshot()
    standing = msgspec.structs.replace(later.nodes[0].standing, rank=3)
    later = msgspec.structs.replace(
        later, nodes=(msgspec.structs.replace(later.nodes[0], standing=standing),)
    )
    site.snapshots.append(later)
    text = words(browse(site.url))
    assert site.asked > 2
    assert (
        "1 tall slow flamingo QmA earning up 1 h, 1 restart submits in 2 h 1.5 cores, 6.0 GiB 3 of 3"
        in text
    )
    assert "other cat name" in text, "still on the board"
    assert "of 1 nodes" in text


def test_it_says_when_the_exporter_no_longer_answers(site, browse):
    site.down = True
    document = browse(site.url, errors=True)
    assert "no answer from the exporter since" in words(document)
    assert '<body class="stale">' in document
    assert "tall slow flamingo" in words(document), "the last figures stay, greyed"


def test_trouble_of_a_source_shows_where_the_node_earns_all_the_same(site, browse):
    snapshot = site.snapshots[0]
    trouble = msgspec.structs.replace(
        snapshot.nodes[0].sources[0], up=False, reason=Reason.TIMEOUT, detail="no answer in 10s"
    )
    node = msgspec.structs.replace(snapshot.nodes[0], sources=(trouble,))
    site.snapshots = [msgspec.structs.replace(snapshot, nodes=(node,))]
    text = words(browse(site.url))
    assert "QmA earning up 1 h, 1 restart submits in 2 h 1.5 cores, 6.0 GiB 1 of 3" in text
    assert "Leaderboard: no answer in 10s. Look at the API's machine" in text


def test_nodes_too_near_on_the_scale_share_a_label(site, browse):
    snapshot = site.snapshots[0]
    first, second = snapshot.nodes
    near = msgspec.structs.replace(second.standing, cumulative_reward=5.9)
    second = msgspec.structs.replace(second, standing=near)
    site.snapshots = [msgspec.structs.replace(snapshot, nodes=(first, second))]
    labels = re.findall(r'<text class="name"[^>]*>(.*?)</text>', browse(site.url))
    assert labels == ["2, 1"]


def test_only_the_silence_is_announced(site, browse):
    document = browse(site.url)
    assert re.findall(r'<span id="silence" role="status">(.*?)</span>', document) == [""]
    assert re.search(r'<span id="freshness">updated \d\d:\d\d:\d\d', document)


def test_what_strangers_write_is_text(site, browse):
    evil = '<img src=x onerror="document.title=1">'
    snapshot = site.snapshots[0]
    identity = msgspec.structs.replace(snapshot.nodes[0].identity, nickname=evil)
    top = tuple(msgspec.structs.replace(peer, nickname=evil) for peer in snapshot.board.top)
    board = msgspec.structs.replace(snapshot.board, top=top)
    node = msgspec.structs.replace(snapshot.nodes[0], identity=identity)
    site.snapshots = [msgspec.structs.replace(snapshot, board=board, nodes=(node,))]
    document = browse(site.url)
    assert "<img" not in document
    assert words(document).count(evil) >= 4
    assert "earning · swarm-exporter</title>" in document


@pytest.mark.parametrize("width", [360, 768, 1000, 1120, 1160, 1400])
def test_every_column_is_seen_at_every_width(site, browse, width):
    snapshot = site.snapshots[0]
    first, second = snapshot.nodes
    longest = msgspec.structs.replace(
        first,
        verdict=Verdict(Condition.WAITING_SWARM, "nobody has published", "Wait."),
        earnings=msgspec.structs.replace(first.earnings, earned=123_456.78, per_hour=1_234.56),
        identity=msgspec.structs.replace(first.identity, nickname="thoughtful " * 9),
    )
    site.snapshots = [msgspec.structs.replace(snapshot, nodes=(longest, second))]
    document = browse(f"{site.url}/frame?{width}", "--window-size=1500,3200", budget=3000)
    (title,) = re.findall(r"<title>(.*?)</title>", document)
    assert title == f"{width} wide, 0 of 4 cut"


@pytest.mark.parametrize(("scheme", "dark"), [("0", True), ("1", False)])
def test_it_is_light_or_dark_as_the_person_likes(site, real_binary, tmp_path, scheme, dark):
    picture = tmp_path / "page.png"
    command = [
        real_binary("chromium"),
        *CHROMIUM_FLAGS,
        "--enable-logging=stderr",
        "--v=0",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    flags = [f"--blink-settings=preferredColorScheme={scheme}", "--window-size=64,64"]
    subprocess.run(
        [*command, *flags, "--virtual-time-budget=500", f"--screenshot={picture}", site.url],
        capture_output=True,
        check=True,
        timeout=60,
    )
    red, green, blue = first_pixel(picture.read_bytes())
    assert (red + green + blue < 3 * 60) is dark


def first_pixel(png: bytes) -> tuple[int, int, int]:
    """Read the upper left pixel of an 8-bit RGB or RGBA picture: no filter reaches it."""
    import zlib

    data, at = b"", 8
    while at < len(png):
        length = int.from_bytes(png[at : at + 4], "big")
        if png[at + 4 : at + 8] == b"IDAT":
            data += png[at + 8 : at + 8 + length]
        at += 12 + length
    row = zlib.decompress(data)
    return row[1], row[2], row[3]
