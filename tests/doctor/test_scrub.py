from __future__ import annotations

import base64
import json
import plistlib

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from support import ROOT
from swarm_exporter.doctor.scrub import Secrets, learn, mask, scrub, scrub_image
from swarm_exporter.host.footprint_tool import GraphicsMemory, parse_footprint
from swarm_exporter.host.ioreg import entries
from swarm_exporter.host.macmon import parse_sample

#: A secret that no format has by itself.
canaries = st.text("abcdefghjkmnpqrstuvwyzABCDEFGHJKMNPQRSTUVWYZ123456789", min_size=8, max_size=24)
hexadecimal = st.text("123456789abcdef", min_size=12, max_size=12)


def clean(content: bytes, *, words: tuple[str, ...] = (), texts: tuple[str, ...] = ()) -> bytes:
    return scrub(content, learn([content], Secrets(words=words, texts=texts)))


def plist(*pairs: str) -> bytes:
    body = "".join(pairs)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//'
        'EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">\n<plist version="1.0">\n<array><dict>'
        f"{body}</dict></array></plist>\n"
    ).encode()


PLACES = [
    "x <{c}@mail.example.org> y",
    "https://{c}:pw@example.org/",
    "https://me:{c}@example.org/path",
    "https://example.org/api?key={c}",
    "https://example.org/{c}/rpc",
    "https://{c}.example.org",
    "http://127.0.0.1:8000/{c}",
    '"uri": "postgres:\\/\\/{c}@db"',
    "/Users/{c}/rl-swarm/logs",
    "/home/{c}",
    "/Users/me/My {c}/logs/a",
    "/var/folders/ab/{c}/T/x",
    "/Volumes/{c}/nodes",
    '"IOPlatformSerialNumber" = "{c}"',
    '"serial": "{c}", "name": 1',
    '"uuid": ["{c}", "b"]',
    '"host_name": {{"a": "{c}"}}',
    "Serial Number (system): {c}\n",
    "hub_token={c}",
    "HF_TOKEN: {c}",
    "--modal-token {c} --x",
    "Authorization: Bearer {c}",
    "hf_{c}",
    '"IOUserClientCreator" = "pid 808, {c} Helper"',
    "<key>IOUserClientCreator</key><string>pid 12, {c}</string>",
    "{c} [123]: 64-bit    Footprint: 5 MB (16384 bytes per page)",
    "4242 ({c}) S 1 4242 0",
    "held by process 12 ({c}) in /folder",
    "the user {c}, who knows",
    "{c}s-Mac-mini.local says",
    "a node in /srv/{c}/rl-swarm-1",
]


@pytest.mark.parametrize("place", PLACES)
@given(canary=canaries)
def test_a_secret_comes_out_of_no_place(place, canary):
    assume(mask(canary.encode()) != canary.encode())
    known = {"words": (f"{canary}s-Mac-mini.local",), "texts": (f"/srv/{canary}/rl-swarm-1",)}
    if "user" in place:
        known["words"] = (canary.upper(),)
    content = f"before {place.format(c=canary)} after\n".encode()
    if place.startswith(("4242", "{c} [")):
        content = f"{place.format(c=canary)}\n".encode()
    assert canary.lower().encode() not in clean(content, **known).lower()


@given(canary=canaries)
@pytest.mark.parametrize(
    "value",
    [
        "<string>{c}</string>",
        '<string ID="7">{c}</string>',
        "<dict><key>inner</key><array><string>{c}</string></array></dict>",
        "<data>\n  {b}\n  </data>",
    ],
)
@pytest.mark.parametrize("key", ["IOPlatformUUID", "serial-number", "IOMACAddress", "mac"])
def test_values_of_secret_keys_of_a_property_list(key, value, canary):
    encoded = base64.b64encode(canary.encode()).decode()
    content = plist(
        f"<key>{key}</key>{value.format(c=canary, b=encoded)}",
        "<key>cores</key><integer>10</integer>",
        f"<key>Other</key><string>a {canary} b</string>",
    )
    scrubbed = clean(content)
    # The other key has the same secret, and is found by it; of data only the encoded form is known.
    if "{b}" not in value:
        assert canary.encode() not in scrubbed
    assert encoded.encode() not in scrubbed
    (entry,) = plistlib.loads(scrubbed)
    assert entry["cores"] == 10
    assert len(scrubbed) == len(content)


def test_references_of_a_property_list_are_followed():
    content = plist(
        '<key ID="1">IOPlatformSerialNumber</key><string IDREF="3"/>',
        '<key>Other</key><string ID="3">C02ZQ1MDLVDL</string>',
        '<key>more</key><dict><key IDREF="1"/><string>H7XKQ99PPL</string></dict>',
    )
    scrubbed = clean(content)
    assert b"C02ZQ1" not in scrubbed
    assert b"H7XKQ9" not in scrubbed
    assert b"<string IDREF" in scrubbed


@given(canary=canaries, before=st.binary(max_size=20), pad=st.text(" \n\t", max_size=3))
def test_what_is_encoded_is_scrubbed_too_and_stays_as_long(canary, before, pad):
    secret = before + f" {canary}@mail.example.org ".encode()
    encoded = base64.b64encode(secret).decode()
    laid_out = f"{pad}{encoded[:9]}{pad}{encoded[9:]}{pad}"
    content = plist(f"<key>blob</key><data>{laid_out}</data>")
    (entry,) = plistlib.loads(clean(content))
    assert canary.encode() not in entry["blob"]
    assert len(entry["blob"]) == len(secret)


@given(st.integers(1, 2**40), st.booleans(), st.floats(0, 100))
def test_numbers_of_secret_keys_leave_valid_lists_and_json(number, flag, share):
    content = plist(
        f"<key>UUID</key><integer>{number}</integer><key>serial</key><real>{share}</real>"
        "<key>GUID</key><date>2026-11-23T10:00:00Z</date><key>mac-address</key><true/>"
    )
    (entry,) = plistlib.loads(clean(content))
    assert (entry["UUID"], entry["serial"], entry["mac-address"]) == (0, 0.0, True)
    document = {"serial": number, "uuid": flag, "x": share, "guid": None, "mac_address": -5}
    found = json.loads(clean(json.dumps(document).encode()))
    assert found == {"serial": 0, "uuid": flag, "x": share, "guid": None, "mac_address": 0}


@given(canary=canaries, tail=st.text(max_size=10))
def test_json_stays_json_whatever_stands_in_it(canary, tail):
    text = f'é"\\{tail} {canary}@mail.example.org /Users/{canary}/a "x'
    document = {"serial_number": text, "what": text, "n": [1, 2]}
    for ascii_only in (True, False):
        content = json.dumps(document, ensure_ascii=ascii_only).encode()
        scrubbed = clean(content, words=(canary,), texts=(tail or "nothing",))
        assert canary.encode() not in scrubbed
        assert set(json.loads(scrubbed)) == set(document)


@given(st.ip_addresses(), st.sampled_from([" {} ", "[{}]", "{}.", "({}),", '"{}"', "{}/24"]))
def test_addresses_of_the_network(address, around):
    assume(not address.is_loopback and not address.is_unspecified)
    text = str(address)
    assume(mask(text.encode()) != text.encode())
    assert text.encode() not in clean(f"at {around.format(text)}\n".encode())


@given(hexadecimal)
def test_addresses_of_hardware_and_uuids(digits):
    pairs = [digits[i : i + 2] for i in range(0, 12, 2)]
    uuid = f"{digits[:8]}-{digits[:4]}-{digits[4:8]}-{digits[8:]}-{digits}"
    for text in (":".join(pairs), "-".join(pairs), f"enx{digits}", uuid, uuid.upper()):
        scrubbed = clean(f"if {text} up\n".encode())
        assert text.encode() not in scrubbed
        assert len(scrubbed) == len(text) + 7


def test_names_of_processes_become_numbers_the_same_everywhere():
    one = b'"IOUserClientCreator" = "pid 12, Secret App"\n"IOUserClientCreator" = "pid 7, Other"\n'
    two = b"Other [7]: 64-bit    Footprint: 5 MB\n"
    secrets = learn([one, two], Secrets())
    assert scrub(one, secrets) == (
        b'"IOUserClientCreator" = "pid 12, p1"\n"IOUserClientCreator" = "pid 7, p2"\n'
    )
    assert scrub(two, secrets) == b"p2 [7]: 64-bit    Footprint: 5 MB\n"
    assert scrub(b"77 (a (b) c) R 1 2", secrets) == b"77 (p) R 1 2"


@pytest.mark.parametrize(
    "content",
    [
        b"Pages free:                               11961.\nPages active: 12.\n",
        b'{"cpu_power":1.25,"gpu_usage":[338,0.02],"temp":{"cpu_temp_avg":41.5},"pid":4242}\n',
        b"cpu0 123 4 567 8\nintr 1 2 3\nctxt 99\n",
        b"drm-pdev:\t0000:03:00.0\ndrm-engine-gfx:\t123456 ns\n",
        b"Mach Virtual Memory Statistics: (page size of 16384 bytes)\n",
        b"started at 12:34:56 in http://127.0.0.1:8000 on 0.0.0.0, Debian 12.4, driver 580.95.05\n",
        plist(
            '<key>cluster-type</key><data ID="4">UAA=</data><key>PerformanceStatistics</key><dict>'
            "<key>Device Utilization %</key><integer>74</integer></dict>"
        ),
    ],
)
def test_what_parsers_read_stays_as_it_came(content):
    known = Secrets(words=("gpu", "cpu", "root", "power", "ab"), texts=("", "/"))
    assert scrub(content, learn([content], known)) == content


@given(st.binary(max_size=200), st.text(max_size=10), st.text(max_size=10))
def test_images_of_structures_keep_their_length(content, word, text):
    secrets = learn([content], Secrets(words=(word,), texts=(text,)))
    assert len(scrub_image(content, secrets)) == len(content)


def test_names_that_are_no_ascii_in_every_form_that_they_are_written_in():
    name = "Zoë & José"
    for written in (
        "Zoë & José",
        "Zoë &amp; José",
        json.dumps(name)[1:-1],
        "Zoe\u0308 & Jose\u0301",
        "zoë & josé",
    ):
        assert b"jos" not in clean(f"<{written}>".encode(), words=(name,)).lower()


def test_collectors_read_a_scrubbed_recording_as_they_read_the_raw_one():
    samples = sorted((ROOT / "tests" / "data" / "host" / "macmon").glob("*.ndjson"))
    assert samples
    for sample in samples:
        lines = sample.read_bytes().splitlines()
        assert [parse_sample(clean(line)) for line in lines] == [parse_sample(x) for x in lines]
    table = (
        b"======================================================================\n"
        b"Alice Trainer [4242]: 64-bit    Footprint: 5 MB (16384 bytes per page)\n"
        b"======================================================================\n\n"
        b"  Dirty      (Swapped)   Clean  Reclaimable    Regions    Category\n"
        b"    ---            ---     ---          ---        ---    ---\n"
        b" 5000 B          200 B     0 B          0 B          3    IOAccelerator (graphics)\n"
    )
    expected = {4242: GraphicsMemory(4800, 200)}
    assert parse_footprint(table) == expected
    assert parse_footprint(clean(table)) == expected
    registry = plist(
        "<key>IOObjectClass</key><string>AGXDeviceUserClient</string>"
        "<key>IOUserClientCreator</key><string>pid 4242, Alice Trainer</string>"
        "<key>AppUsage</key><array><dict><key>accumulatedGPUTime</key>"
        "<integer>18446744073709551615</integer></dict></array>"
    )
    (before,), (after,) = entries(registry), entries(clean(registry))
    assert after.pop("IOUserClientCreator") == "pid 4242, p1"
    del before["IOUserClientCreator"]
    assert after == before


def test_large_readings_take_a_moment_only():
    # A hexadecimal run is the worst case of patterns that may begin anywhere.
    content = b'{"bytes": "' + b"a1" * 200_000 + b'"}\n' + b"/Users/x " * 2000
    assert len(clean(content)) == len(content)
