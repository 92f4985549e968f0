"""A file with hosts, in each of its forms, and what is wrong with one."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarm_exporter.errors import ConfigError
from swarm_exporter.sd.hosts import Form, read_hosts
from swarm_exporter.sd.machine import Machine


def read(folder: Path, text: str, name: str = "hosts", **how) -> tuple[Machine, ...]:
    (folder / name).write_text(text)
    return read_hosts(
        folder / name, **{"form": None, "group": "swarm", "default_port": 10331, **how}
    )


def shown(machines: tuple[Machine, ...]) -> dict[str, str]:
    return {machine.name: machine.address for machine in machines}


def test_a_machine_a_line_with_labels_comments_and_quotes(tmp_path):
    first, second = read(
        tmp_path,
        '# all of them\n\nmini-1=192.168.1.11 owner=anna # hers\nmini-2=A.lan:9 site="living room"\n',
    )
    assert (first.name, first.address, first.labels) == (
        "mini-1",
        "192.168.1.11:10331",
        {"owner": "anna"},
    )
    assert (second.address, second.labels) == ("a.lan:9", {"site": "living room"})
    assert second.where.endswith("hosts:4")


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("10.0.0.1", "10.0.0.1:10331"),
        ("10.0.0.1:80", "10.0.0.1:80"),
        ("Mini.Lan.", "mini.lan:10331"),
        ("my_host:1", "my_host:1"),
        ("[2001:DB8:0::1]", "[2001:db8::1]:10331"),
        ("[::1]:65535", "[::1]:65535"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example:10331"),
    ],
)
def test_an_address_has_one_form(tmp_path, written, address):
    assert shown(read(tmp_path, f"m={written}\n")) == {"m": address}


def test_a_machine_without_a_name_is_called_as_its_host(tmp_path):
    machines = read(tmp_path, "10.0.0.1:9\n[::1]\n")
    assert [machine.name for machine in machines] == ["10.0.0.1", "::1"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("m=2001:db8::1:10331", "write it in brackets"),
        ("m=[2001:db8::1", "is no address"),
        ("m=[::1]x", "is no address"),
        ("m=[fe80::1%eth0]", "without %"),
        ("m=[::]", "no address of one machine"),
        ("m=0.0.0.0", "no address of one machine"),
        ("m=300.1.1.1", "no IPv4 address"),
        ("m=[12345::1]", "no IPv6 address"),
        ("m=host:0", '"0" is no port'),
        ("m=host:65536", "is no port"),
        ("m=host:²", "is no port"),
        ("m=host:", "is no port"),
        ("m=http://host:1", "write host:port, and __scheme__"),
        ("m=host/metrics", "write host:port"),
        ("m=-host", "is no name of a host"),
        ("m=a..b", "is no name of a host"),
        ("m=bücher.example", "xn--"),
        ("=host", "a name must stand before"),
        ("m=", "is no name of a host"),
        ("m=host owner", '"owner" is no label'),
        ("m=host a=1 a=2", "a is given twice"),
        ("m=host 1a=x", "no name of a label"),
        ("m=host __address__=x", "Prometheus' own"),
        ("m=host __scheme__=ftp", "http or https"),
        ("m=host __metrics_path__=metrics", "begins with /"),
        ("m=host node=1", "the exporter's own series have it"),
        ("m=host condition=1", "the exporter's own series have it"),
        ("m=host job=swarm", "Prometheus sets it"),
        ("m=host instance=x", "Prometheus makes it"),
        ("m=host machine=x", "stands before the address"),
        ("m ansible_host=10.0.0.1", "below a line [swarm]"),
        ('m=host a="x', "a quote is not closed"),
        ('m=host a="\x07"', "must be printable"),
        (f"{'m' * 129}=host", "1 to 128 printable"),
    ],
)
def test_what_is_wrong_is_said_with_its_line_and_the_fix(tmp_path, line, said):
    with pytest.raises(ConfigError) as error:
        read(tmp_path, f"ok=10.0.0.1\n{line}\n")
    assert f"{tmp_path / 'hosts'}:2: " in str(error.value)
    assert said in str(error.value)


def test_a_password_in_an_address_is_refused_and_not_repeated(tmp_path):
    with pytest.raises(ConfigError, match="password_file") as error:
        read(tmp_path, "m=user:hunter2@host:1\n")
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a=h:1\na=g:1\n", 'hosts:2: "a" is the name of the machine in .*hosts:1'),
        ("a=h\nb=H.:10331\n", 'hosts:2: h:10331 is also scraped as "a" in .*hosts:1'),
        ("a=[::1]\nb=[0:0::1]\n", "also scraped"),
        ("# nobody\n", "names no machine"),
    ],
)
def test_twins_and_nobody_are_refused(tmp_path, text, said):
    with pytest.raises(ConfigError, match=said):
        read(tmp_path, text)


def test_one_address_may_be_scraped_at_two_paths(tmp_path):
    text = "a=h __metrics_path__=/a\nb=h __metrics_path__=/b\n"
    assert shown(read(tmp_path, text)) == {"a": "h:10331", "b": "h:10331"}


@pytest.mark.parametrize("content", [b"\xff", None])
def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path, content):
    if content is not None:
        (tmp_path / "hosts").write_bytes(content)
    with pytest.raises(ConfigError, match=r"UTF-8|no such file"):
        read_hosts(tmp_path / "hosts", form=None, group="swarm", default_port=1)
    with pytest.raises(ConfigError, match=r"not a regular file|is a directory"):
        read_hosts(tmp_path, form=None, group="swarm", default_port=1)


INI = """\
# Machines
lonely.example
[web]
www ansible_host=10.9.9.9
[macs]
mini-[01:03].lan:2222 ansible_user=me
[linux]
rack-a ansible_host=2001:db8::1 swarm_exporter_port=443
rack-b ansible_host=10.0.0.2 swarm_exporter_labels="{'owner': 'bob', 'row': 2}" # old
[swarm:children]
macs
linux # the others
[macs:vars]
swarm_exporter_port = 9000
[swarm:vars]
ansible_password=hunter2
swarm_exporter_port=10400
swarm_exporter_labels={'owner': 'anna'}
"""


def test_an_inventory_in_ini_with_ranges_children_and_variables(tmp_path):
    machines = read(tmp_path, INI)
    assert shown(machines) == {
        "mini-01.lan": "mini-01.lan:9000",
        "mini-02.lan": "mini-02.lan:9000",
        "mini-03.lan": "mini-03.lan:9000",
        "rack-a": "[2001:db8::1]:443",
        "rack-b": "10.0.0.2:10400",
    }
    owners = {machine.name: machine.labels["owner"] for machine in machines}
    assert owners["mini-01.lan"] == owners["rack-a"] == "anna"
    assert (owners["rack-b"], machines[-1].labels["row"]) == ("bob", "2")


YAML = """\
all:
  vars: {swarm_exporter_port: 10400}
  hosts: {lonely: {}}
  children:
    swarm:
      vars:
        secret: !vault |
          $ANSIBLE_VAULT;1.1;AES256
      hosts:
        mini-[1:2]:
          swarm_exporter_labels: {owner: anna, year: 2024, zone: 010}
        rack-a: &rack
          ansible_host: 10.0.0.1
          ansible_user: !unsafe root
      children:
        others:
others:
  hosts:
    rack-b:
      <<: *rack
      ansible_host: "2001:db8::2"
      swarm_exporter_port: "443"
"""


def test_an_inventory_in_yaml_with_groups_that_are_defined_elsewhere(tmp_path):
    machines = read(tmp_path, YAML, "inventory.yml")
    assert shown(machines) == {
        "mini-1": "mini-1:10400",
        "mini-2": "mini-2:10400",
        "rack-a": "10.0.0.1:10400",
        "rack-b": "[2001:db8::2]:443",
    }
    assert machines[0].labels == {"owner": "anna", "year": "2024", "zone": "8"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("web: {hosts: {a: }}", r"has no group swarm \(there are: web\)"),
        ("", r"has no group swarm \(there are: none\)"),
        ("swarm: {hosts: [a, b]}", "inventory.yml:1: swarm.hosts must be keys with values"),
        ("swarm:\n  hosts:\n    a:\n    a:\n", "inventory.yml:4: a is given twice"),
        ("swarm:\n  hosts:\n    a: {ansible_host: '{{ ip }}'}", "inventory.yml:3: .*--list --yaml"),
        ("swarm:\n  hosts:\n    a: {ansible_host: !vault x}", "inventory.yml:3: !vault cannot"),
        ("swarm:\n  hosts:\n    a: {swarm_exporter_port: [1]}", "must be a number"),
        ("swarm:\n  hosts:\n    a: {swarm_exporter_port: yes}", "must be a number"),
        ("swarm:\n  hosts:\n    a: {swarm_exporter_labels: x}", "must be keys with values"),
        ("swarm:\n  hosts:\n    a: {swarm_exporter_labels: {b: [1]}}", "must be text"),
        ("swarm:\n  hosts:\n    a: {swarm_exporter_labels: {node: x}}", "the label node is taken"),
        ("swarm:\n  hosts:\n    a-[3:1]:\n", "is no range"),
        ("swarm:\n  hosts:\n    a-[1:9:0]:\n", "is no range"),
        ("swarm:\n  hosts:\n    ? [a]\n    : {}\n", "a key must be plain text"),
        ("swarm: {<<: 1}", "<< must name keys"),
        ("swarm: [", "not valid YAML"),
        ("swarm: {hosts: {}}", "names no machine"),
    ],
)
def test_what_is_wrong_with_an_inventory(tmp_path, text, said):
    with pytest.raises(ConfigError, match=said):
        read(tmp_path, text, "inventory.yml")


def test_groups_that_hold_each_other_end(tmp_path):
    text = "swarm: {hosts: {a: }, children: {b: }}\nb: {hosts: {c: }, children: {swarm: }}\n"
    assert shown(read(tmp_path, text, "i.yml")) == {"a": "a:10331", "c": "c:10331"}


def test_the_group_and_the_form_can_be_given(tmp_path):
    text = "web: {hosts: {a: }}"
    assert shown(read(tmp_path, text, form=Form.YAML, group="web")) == {"a": "a:10331"}
