"""Takes out of raw readings what tells who and where somebody is. Pure functions on bytes.

A secret's letters become `x` and its digits `0`, so that lengths, columns, XML and JSON stay as
they were and parsers read the rest as it came. Only names of processes get shorter: p1, p2, ….
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from xml.sax.saxutils import escape

import msgspec

#: A key with one of these in its name has a value that is masked, whatever it is.
_SECRET_WORDS = (
    rb"serial|uuid|udid|guid|passw|secret|token|credential|authorization|cookie|api[-_ ]?key|"
    rb"e-?mail|mac[-_ ]?addr|(?-i:MAC(?![a-z]))|ethernet|host[-_ ]?name|user[-_ ]?name"
)
_SECRET_KEY = re.compile(rb"(?i)" + _SECRET_WORDS + rb"|(?:^|[-_ ])mac$")
#: `"IOPlatformSerialNumber" = "C02…"`, `"uuid": …`, `token=…`, `Serial Number (system): …`.
_KEY_AND_VALUE = re.compile(
    rb"(?i)(?:" + _SECRET_WORDS + rb")[\w .()-]{0,40}[\"']?[ \t]*[:=][ \t]*"
    rb"(\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'|<[^<>\n]*>|\[[^\]\n]*\]|\{[^{}\n]*\}|[^\n,;}\]\"'<>]+)"
)
_FLAG_AND_VALUE = re.compile(
    rb"(?i)--?[\w-]{0,30}(?:" + _SECRET_WORDS + rb")[\w-]{0,30}[ \t]+(\S+)"
)
_BEARER = re.compile(rb"(?i)\b(?:bearer|basic)[ \t]+([\w.~+/=-]{8,})")
_JSON_CONSTANTS = (b"true", b"false", b"null")
_NUMBER = re.compile(rb"-?\d[\d.eE+-]*")

_URL = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]{0,30}:\\?/\\?/([^\s\"'<>\\]+)")
_LOOPBACK = re.compile(rb"(?:127\.0\.0\.1|localhost|\[::1\])(?::\d{1,5})?(?=/|$)")
#: Of Apple's property lists themselves.
_DTD = b"www.apple.com/DTDs/PropertyList-1.0.dtd"

_EMAIL = re.compile(rb"[\w.%+\x80-\xff-]{1,64}@[\w\x80-\xff-]{1,63}(?:\.[\w\x80-\xff-]{1,63})+")
_UUID = re.compile(rb"(?i)(?<![0-9a-f])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![0-9a-f])")
_MAC = re.compile(
    rb"(?i)(?<![0-9a-f:-])[0-9a-f]{1,2}(?:([:-])[0-9a-f]{1,2})(?:\1[0-9a-f]{1,2}){4}(?![0-9a-f:-])"
)
#: systemd names interfaces after their hardware addresses.
_MAC_IN_NAME = re.compile(rb"(?i)\b(?:en|wl|ww)x([0-9a-f]{12})(?![0-9a-f])")
_IPV4 = re.compile(rb"(?<!\d)(?:\d{1,3}\.){3}\d{1,3}(?!\d)")
_IPV6 = re.compile(
    rb"(?i)(?<![\w:])(?=[0-9a-f:]*::|(?:[0-9a-f]{1,4}:){7}[0-9a-f])"
    rb"[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,8}(?![\w:])"
)
_OWN_ADDRESSES = {b"127.0.0.1", b"0.0.0.0", b"::1", b"::"}
_ACCESS_TOKEN = re.compile(
    rb"\b(?:hf|gh[opsu]|github_pat|sk|xox[abp]|glpat)[-_]([A-Za-z0-9_-]{8,})"
)
_PEER_ID = re.compile(rb"\b(?:Qm[1-9A-HJ-NP-Za-km-z]{44}|12D3Koo[1-9A-HJ-NP-Za-km-z]{45})\b")

_PATH_END = rb"\s\"'<>:,;)\]"
#: The home folders of people, their disks, and macOS' temporary folders; a blank may be in it.
_HOME = re.compile(
    rb"/(?:Users|home|Volumes|media|var/folders)/"
    rb"([^" + _PATH_END + rb"]+(?: [^" + _PATH_END + rb"/]*/[^" + _PATH_END + rb"]*)*)"
)

#: Where names of processes stand: the owner of a GPU client, `footprint`, /proc/PID/stat, and the
#: texts of this program.
_PROCESS_NAMES = (
    re.compile(rb"pid \d{1,10}, (?P<name>[^\"<\n]+)"),
    re.compile(rb"(?m)^(?P<name>\S.*?) \[\d{1,10}\]: \d+-bit"),
    re.compile(rb"\A\d{1,10} \((?P<name>.+)\) [A-Za-z] ", re.DOTALL),
    re.compile(rb"process \d{1,10} \((?P<name>[^)\n]+)\)"),
)

_KEY = re.compile(rb"<key(?P<more>[^>]*?)(?:/>|>(?P<name>[^<]*)</key>)")
_TAG = re.compile(rb"<(?P<close>/?)(?P<name>[A-Za-z]+)(?P<more>[^>]*?)(?P<alone>/?)>")
_HAS_ID = re.compile(rb"<(\w+)[^>]*?\bID=\"(\d+)\"[^>]*>([^<]*)</\1>")
_IDREF = re.compile(rb"\bIDREF=\"(\d+)\"")
_DATA = re.compile(rb"(<data[^>/]*>)([A-Za-z0-9+/=\s]*)(</data>)")
_A_DATE = b"2000-01-01T00:00:00Z"

_MASKED = re.compile(rb"&#?\w{1,10};|\\u[0-9A-Fa-f]{4}|\\.|[A-Za-z\x80-\xff]|[0-9]", re.DOTALL)
_ALNUM = rb"[A-Za-z0-9\x80-\xff]"
#: Names of people and machines that are also words of what tools print are masked as parts of
#: paths alone: parsers need the words.
_COMMON_WORDS = frozenset(
    re.findall(
        r"\w+",
        """active admin administrator all apple array cpu data debian dict exporter false fans
        footprint free freq gpu integer ioreg key launcher linux localhost mac macbook macmini
        macmon memory model name node pages pid plist power process python ram root server state
        string swap swarm sys system temp true ubuntu usage user users wired""",
    )
)
_SHORTEST_WORD = 3
_SHORTEST_VALUE = 6
#: Shorter ones stand everywhere.
_SHORTEST_NUMBER = 8


class Secrets(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be taken out of a recording, beyond what its form tells."""

    #: Masked where they stand as words, in whatever case: users, hosts, nodes.
    words: tuple[str, ...] = ()
    #: Masked wherever they stand: paths, and values of secret keys.
    texts: tuple[str, ...] = ()
    #: The number of each process' name.
    processes: Mapping[bytes, int] = {}


def learn(contents: Iterable[bytes], known: Secrets) -> Secrets:
    """Return `known` with what these contents tell: values of secret keys, names of processes.

    What one file calls a serial number is then masked in all others too.
    """
    texts = dict.fromkeys(known.texts)
    processes = dict(known.processes)
    for content in contents:
        for value in _secret_values(content):
            text = value.decode("utf-8", "replace").strip()
            shortest = _SHORTEST_NUMBER if text.isdigit() else _SHORTEST_VALUE
            if len(text) >= shortest and text.lower() not in _COMMON_WORDS:
                texts[text] = None
        for form in _PROCESS_NAMES:
            for match in form.finditer(content):
                processes.setdefault(match["name"], len(processes) + 1)
    return Secrets(words=known.words, texts=tuple(texts), processes=processes)


def scrub(content: bytes, secrets: Secrets = Secrets()) -> bytes:  # noqa: B008 - it is frozen
    """Return `content` without secrets. XML, JSON and columns stay what they are."""
    content = _name_processes(content, secrets.processes)
    return _scrub_kept_in_length(content, secrets)


def scrub_image(content: bytes, secrets: Secrets) -> bytes:
    """Return the bytes of a structure without secrets, of the same length."""
    return _scrub_kept_in_length(content, secrets)


def is_secret_key(name: bytes) -> bool:
    """Tell whether the value of a key of this name is a secret."""
    return _SECRET_KEY.search(name) is not None


def mask(secret: bytes) -> bytes:
    """Return text of the same length and form that tells nothing: `x` and `0`."""
    return _MASKED.sub(lambda m: b"0" if m[0].isdigit() else b"x" * len(m[0]), secret)


def _scrub_kept_in_length(content: bytes, secrets: Secrets) -> bytes:
    if b"<key" in content:
        content = _mask_spans(content, _secret_spans(content))
    content = _DATA.sub(lambda m: m[1] + _scrub_base64(m[2], secrets) + m[3], content)
    content = _URL.sub(_without_place, content)
    content = _KEY_AND_VALUE.sub(_without_value, content)
    for form in (_FLAG_AND_VALUE, _BEARER, _MAC_IN_NAME, _ACCESS_TOKEN):
        content = form.sub(_without_group, content)
    for form in (_EMAIL, _UUID, _MAC, _PEER_ID, _IPV4, _IPV6):
        content = form.sub(_without_match, content)
    content = _HOME.sub(_without_group, content)
    for pattern in _patterns(secrets):
        content = pattern.sub(lambda m: mask(m[0]), content)
    return content


def _without_match(match: re.Match[bytes]) -> bytes:
    return match[0] if match[0] in _OWN_ADDRESSES else mask(match[0])


def _without_group(match: re.Match[bytes]) -> bytes:
    start = match.start(1) - match.start()
    return match[0][:start] + mask(match[1]) + match[0][start + len(match[1]) :]


def _without_value(match: re.Match[bytes]) -> bytes:
    key, value = match[0][: -len(match[1])], match[1]
    stripped = value.rstrip()
    if stripped in _JSON_CONSTANTS:
        return match[0]
    if _NUMBER.fullmatch(stripped):
        # JSON knows no number that begins with zeros.
        return key + b"0".ljust(len(value))
    return key + mask(value)


def _without_place(match: re.Match[bytes]) -> bytes:
    """Mask a URL beyond its scheme; of one on this machine, the address stays."""
    rest = match[1]
    if rest == _DTD:
        return match[0]
    own = _LOOPBACK.match(rest)
    kept = own[0] if own is not None else b""
    return match[0][: -len(rest)] + kept + mask(rest[len(kept) :])


def _name_processes(content: bytes, processes: Mapping[bytes, int]) -> bytes:
    def number(match: re.Match[bytes]) -> bytes:
        start = match.start("name") - match.start()
        end = match.end("name") - match.start()
        known = processes.get(match["name"])
        name = b"p%d" % known if known is not None else b"p"
        return match[0][:start] + name + match[0][end:]

    for form in _PROCESS_NAMES:
        content = form.sub(number, content)
    return content


# --- property lists ----------------------------------------------------------------------------


def _secret_values(content: bytes) -> Iterator[bytes]:
    """Yield the values of secret keys, those that a reference names too."""
    if b"<key" in content:
        by_id = {m[2]: m[3] for m in _HAS_ID.finditer(content)}
        for start, end, _ in _secret_spans(content):
            if content[start:end].strip():
                yield content[start:end]
        for reference in _secret_references(content):
            if reference in by_id:
                yield by_id[reference]
    for match in _KEY_AND_VALUE.finditer(content):
        value = match[1].strip(b" \t\r")
        if value[:1] in b"\"'" and len(value) > 1:
            yield value[1:-1]


def _values_of_secret_keys(content: bytes) -> Iterator[list[re.Match[bytes]]]:
    """Yield the tags of the value of each secret key, up to the one that ends it."""
    names = {m[2]: m[3] for m in _HAS_ID.finditer(content)}
    for key in _KEY.finditer(content):
        name = key["name"]
        if name is None:
            reference = _IDREF.search(key["more"])
            name = names.get(reference[1], b"") if reference is not None else b""
        if not is_secret_key(name):
            continue
        depth, tags = 0, []
        for tag in _TAG.finditer(content, key.end()):
            tags.append(tag)
            if tag["close"]:
                depth -= 1
            elif not tag["alone"]:
                depth += 1
            if depth <= 0:
                break
        yield tags


def _secret_spans(content: bytes) -> list[tuple[int, int, bytes]]:
    """Return where the texts of secret values stand, and in which element."""
    return [
        (before.end(), after.start(), before["name"] if not before["close"] else b"")
        for tags in _values_of_secret_keys(content)
        for before, after in pairwise(tags)
    ]


def _secret_references(content: bytes) -> Iterator[bytes]:
    for tags in _values_of_secret_keys(content):
        for tag in tags:
            reference = _IDREF.search(tag["more"])
            if reference is not None:
                yield reference[1]


def _mask_spans(content: bytes, spans: Iterable[tuple[int, int, bytes]]) -> bytes:
    parts, at = [], 0
    for start, end, element in sorted(spans):
        if start < at:
            continue
        parts += [content[at:start], _masked_text(content[start:end], element)]
        at = end
    return b"".join([*parts, content[at:]])


def _masked_text(text: bytes, element: bytes) -> bytes:
    if element in (b"integer", b"real"):
        return b"0" * len(text)
    if element == b"date" and len(text) == len(_A_DATE):
        return _A_DATE
    return mask(text)


def _scrub_base64(text: bytes, secrets: Secrets) -> bytes:
    """Scrub what is encoded; its letters are laid into the same places again."""
    try:
        decoded = base64.b64decode(b"".join(text.split()), validate=True)
    except binascii.Error:
        return text
    scrubbed = _scrub_kept_in_length(decoded, secrets)
    if scrubbed == decoded:
        return text
    letters = iter(base64.b64encode(scrubbed).decode())
    return "".join(c if c.isspace() else next(letters) for c in text.decode()).encode()


# --- known words -------------------------------------------------------------------------------


def _patterns(secrets: Secrets) -> list[re.Pattern[bytes]]:
    texts = {f for text in secrets.texts if len(text) >= _SHORTEST_WORD for f in _forms(text)}
    words = {
        form
        for word in secrets.words
        if len(word) >= _SHORTEST_WORD and word.lower() not in _COMMON_WORDS
        for form in _forms(word)
    }
    patterns = []
    if texts:
        patterns.append(re.compile(_any_of(texts)))
    if words:
        edges = rb"(?<!%b)(?:%b)(?!%b)" % (_ALNUM, _any_of(words), _ALNUM)
        patterns.append(re.compile(rb"(?i)" + edges))
    return patterns


def _any_of(forms: Iterable[bytes]) -> bytes:
    # The longest first: a path before the folder that it is in.
    return b"|".join(re.escape(form) for form in sorted(forms, key=lambda f: (-len(f), f)))


def _forms(text: str) -> set[bytes]:
    """Return how a text stands in UTF-8, on a Mac's disk, in XML and in JSON."""
    plain = {text, unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text)}
    escaped = {escape(form) for form in plain}
    escaped |= {escape(form, {'"': "&quot;", "'": "&apos;"}) for form in plain}
    quoted = {json.dumps(f, ensure_ascii=a)[1:-1] for f in plain for a in (True, False)}
    return {form.encode("utf-8", "surrogateescape") for form in plain | escaped | quoted if form}
