"""What of an address may be shown."""

from __future__ import annotations

import pytest

from swarm_exporter.addresses import origin_of

CASES = {
    "https://user:pw@rpc.example:8545/v2/key?k=v#f": "https://rpc.example:8545",
    "http://[::1]:8545/key": "http://[::1]:8545",
    "/login/key": "",
    "": "",
    "http://[key": "an invalid URL",
}


@pytest.mark.parametrize(("url", "origin"), CASES.items())
def test_of_an_address_with_a_key_in_its_path_the_origin_is_told(url, origin):
    assert origin_of(url) == origin
