"""`swarm-exporter sd`: what it writes, prints and asks, against real servers."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from command_line import command, good
from support import free_port


@contextlib.contextmanager
def answering(
    status: int, body: bytes, wrap: Callable[[socket.socket], socket.socket] | None = None
) -> Iterator[int]:
    """A server that gives one answer, and its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if wrap is not None:
        server.socket = wrap(server.socket)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


HEALTHY = (200, b"swarm-exporter is healthy.\n")


@pytest.fixture
def hosts(tmp_path) -> Callable[[str], str]:
    def write(text: str) -> str:
        (tmp_path / "hosts.txt").write_text(text)
        return str(tmp_path / "hosts.txt")

    return write


def test_it_prints_what_prometheus_reads_and_nothing_else(hosts):
    done = good("sd", hosts("a=h:1 owner=me\n"))
    assert json.loads(done.out) == [{"targets": ["h:1"], "labels": {"machine": "a", "owner": "me"}}]
    assert done.err == "1 machine, all good\n"


def test_it_writes_the_file_once_and_checks_it(hosts, tmp_path):
    output = tmp_path / "targets.json"
    file = hosts("a=h:1\nb=h:2\n")
    assert good("sd", file, "--output", str(output)).err == f"{output}: 2 machines, written\n"
    assert good("sd", file, "--output", str(output)).err == f"{output}: 2 machines, as it was\n"
    done = good("sd", "--check", str(output))
    assert (done.out, done.err) == ("", "2 machines, all good\n")
    before = output.read_bytes()
    failed = command("sd", hosts("a=h:1\nb=h:1\n"), "--output", str(output))
    assert failed.code == 1
    assert "hosts.txt:2: h:1 is also scraped" in failed.err
    assert output.read_bytes() == before


def test_the_default_port_and_the_document(hosts, tmp_path):
    output = str(tmp_path / "targets.json")
    done = good("sd", hosts("a=h\n"), "--default-port", "443", "--json", "--output", output)
    assert json.loads(done.out) == {
        "output": output,
        "written": True,
        "machines": [{"machine": "a", "address": "h:443", "labels": {}}],
    }


@pytest.mark.parametrize(
    "arguments",
    [["--check", "--output", "x"], ["--default-port", "0"], ["--form", "toml"], ["--timeout", "0"]],
)
def test_wrong_usage_ends_with_2(hosts, arguments):
    assert command("sd", hosts("a=h\n"), *arguments).code == 2


def test_every_machine_is_asked_and_told_apart(hosts, tmp_path):
    output = tmp_path / "targets.json"
    # A server that accepts and says nothing.
    with (
        answering(*HEALTHY) as well,
        answering(401, b"") as locked,
        answering(200, b"Prometheus Server is Healthy.\n") as other,
        socket.create_server(("127.0.0.1", 0)) as silent,
    ):
        lines = {
            "well": f"127.0.0.1:{well}",
            "locked": f"127.0.0.1:{locked}",
            "other": f"127.0.0.1:{other}",
            "silent": f"127.0.0.1:{silent.getsockname()[1]}",
            "gone": f"127.0.0.1:{free_port()}",
            "unknown": "no-such-host.invalid:1",
            "tls": f"127.0.0.1:{well} __scheme__=https __metrics_path__=/m",
        }
        file = hosts("".join(f"{name}={rest}\n" for name, rest in lines.items()))
        done = command("sd", file, "--output", str(output), "--ask", "--timeout", "1", "--json")
        text = command("sd", "--check", str(output), "--ask", "--timeout", "1")
    assert done.code == text.code == 1
    said = {m["machine"]: (m["answers"], m["detail"]) for m in json.loads(done.out)["machines"]}
    assert said["well"] == (True, "")
    assert said["locked"] == (True, "asks for a login")
    assert {name for name, (there, _) in said.items() if there} == {"well", "locked"}
    for name, word in (
        ("other", "another program answers"),
        ("silent", "no answer within 1 s"),
        ("gone", "nothing listens there"),
        ("unknown", "its name is not known"),
        ("tls", "does not speak TLS"),
    ):
        assert word in said[name][1], name
        assert f"  {name} ({lines[name].split()[0]}): {said[name][1]}\n" in text.err
    assert text.err.endswith("2 of 7 answer\n")
    # The alert of those that do not answer is wanted.
    assert len(json.loads(output.read_text())) == 7


def test_a_certificate_is_trusted_only_where_it_is_given(hosts, tmp_path):
    pem = tmp_path / "machine.pem"
    pem.write_bytes(_certificate())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with answering(*HEALTHY, wrap=lambda s: context.wrap_socket(s, server_side=True)) as port:
        file = hosts(f"a=127.0.0.1:{port} __scheme__=https\n")
        untrusted = command("sd", file, "--ask")
        assert (untrusted.code, "give --ca-file" in untrusted.err) == (1, True)
        assert good("sd", file, "--ask", "--ca-file", str(pem)).err.endswith("1 of 1 answer\n")
    (tmp_path / "empty.pem").write_text("")
    for name in ("empty.pem", "none.pem"):
        failed = command("sd", file, "--ask", "--ca-file", str(tmp_path / name))
        assert (failed.code, "holds no certificate" in failed.err) == (1, True)


def _certificate() -> bytes:
    """A key and a certificate for 127.0.0.1 that nobody has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "machine")])
    now = datetime.datetime.now(datetime.timezone.utc)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return private + signed.public_bytes(serialization.Encoding.PEM)
