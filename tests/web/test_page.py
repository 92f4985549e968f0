from __future__ import annotations

import re

import msgspec
import pytest

from support import make_snapshot
from swarm_exporter.status import StatusDocument, status_document
from swarm_exporter.web.page import CONTENT_SECURITY_POLICY, asset, render_index


def document(**changes) -> StatusDocument:
    made = status_document(make_snapshot(), 1_800_000_001.0, 15.0)
    return msgspec.structs.replace(made, **changes)


def embedded(page: bytes) -> bytes:
    (data,) = re.findall(
        rb'<script type="application/json" id="status">(.*?)</script>', page, re.DOTALL
    )
    return data


def test_the_first_document_is_in_the_page():
    page = render_index(document())
    assert msgspec.json.decode(embedded(page), type=StatusDocument) == document()


@pytest.mark.parametrize(
    "evil",
    ["</script><script>alert(1)</script>", "<!--<script>", "&lt;", "{{status}}", "\u2028\u2029"],
)
def test_no_text_of_a_stranger_leaves_its_place(evil):
    hostile = document()
    hostile = msgspec.structs.replace(
        hostile, nodes=[msgspec.structs.replace(hostile.nodes[0], nickname=evil, peer_id=evil)]
    )
    page = render_index(hostile)
    assert page.count(b"<script") == render_index(document()).count(b"<script")
    assert not set(b"<>&") & set(embedded(page))
    assert not set("\u2028\u2029") & set(embedded(page).decode())
    assert msgspec.json.decode(embedded(page), type=StatusDocument) == hostile


def test_the_page_obeys_its_own_security_policy():
    page = render_index(document()).decode()
    assert "script-src 'self'" in CONTENT_SECURITY_POLICY
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", page)
    for attributes, content in re.findall(r"<script([^>]*)>(.*?)</script>", page, re.DOTALL):
        assert "src=" in attributes or "application/json" in attributes
        assert "application/json" in attributes or not content.strip()
    for address in re.findall(r'(?:src|href)="([^"]*)"', page):
        assert address.startswith(("/", "data:image/svg+xml,"))


def test_nothing_comes_from_elsewhere_and_the_whole_is_small():
    page = render_index(document())
    parts = [page]
    for name in ("style.css", "app.js"):
        content, _ = asset(name)
        parts.append(content)
        addresses = set(re.findall(rb"https?://[^\"'\s)]+", content))
        assert addresses <= {b"http://www.w3.org/2000/svg"}
    assert sum(map(len, parts)) < 40_000


def test_the_script_puts_text_in_as_text():
    script, _ = asset("app.js")
    for danger in (b"innerHTML", b"outerHTML", b"insertAdjacentHTML", b"document.write", b"eval("):
        assert danger not in script


def test_only_what_the_page_loads_is_an_asset():
    assert asset("index.html") is None
    assert asset("../page.py") is None
