"""`swarm-exporter sd`: the target file of a Prometheus that scrapes many machines."""

from __future__ import annotations

import asyncio
import ssl
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from swarm_exporter.errors import FlagError, SwarmExporterError

if TYPE_CHECKING:
    from swarm_exporter.sd.ask import Answer
    from swarm_exporter.sd.machine import Machine

EPILOG = """\b
Examples:
  swarm-exporter sd hosts.txt --output prometheus/fleet/targets/swarm.json
  swarm-exporter sd inventory.yml --output targets.json --ask
  swarm-exporter sd --check targets.json
\b
hosts.txt, a machine a line; without a port it is 10331:
  # Anna's
  mini-1=192.168.1.11            owner=anna
  mini-2=mini-2.lan:10331        owner=anna site="living room"
  rack-1=[2001:db8::1]:443       __scheme__=https
"""
_FILE = click.Path(path_type=Path)


@click.command(epilog=EPILOG)
@click.argument("hosts_file", metavar="HOSTS_FILE", type=_FILE)
@click.option("--output", metavar="FILE", type=_FILE, help="Write it there, whole or not at all.")
@click.option("--check", is_flag=True, help="HOSTS_FILE is a target file: only check it.")
@click.option("--ask", is_flag=True, help="Ask every machine whether its exporter answers.")
@click.option(
    "--form",
    type=click.Choice(("text", "ini", "yaml")),
    help="Form of HOSTS_FILE, where its name and content do not tell.",
)
@click.option("--group", default="swarm", show_default=True, help="Group of an Ansible inventory.")
@click.option(
    "--default-port",
    type=click.IntRange(1, 65_535),
    default=10331,
    show_default=True,
    help="Port of machines that name none.",
)
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(0.1, 300),
    default=5.0,
    show_default=True,
    help="How long --ask waits for each.",
)
@click.option("--ca-file", metavar="FILE", type=_FILE, help="Certificates that --ask trusts.")
@click.option("--json", "as_json", is_flag=True, help="Print machines and answers as JSON.")
def command(
    hosts_file: Path,
    output: Path | None,
    check: bool,
    ask: bool,
    form: str | None,
    group: str,
    default_port: int,
    timeout: float,
    ca_file: Path | None,
    as_json: bool,
) -> None:
    """Write the file from which Prometheus' file_sd knows the machines (prometheus/fleet).

    HOSTS_FILE is a list, or an Ansible inventory (INI or YAML). Of an inventory the group's hosts
    are taken with ansible_host, swarm_exporter_port and swarm_exporter_labels; variables in
    group_vars/ and host_vars/ are not read: `ansible-inventory --list --yaml` writes all in one.

    Without --output it is printed. --ask ends with 1 where a machine does not answer; the file
    is written all the same, so that its alert fires.
    """
    from swarm_exporter.sd.hosts import Form, read_hosts
    from swarm_exporter.sd.target_file import check_target_file, target_file, write_target_file

    if check and output is not None:
        raise FlagError("--check writes nothing; leave --output out")
    trusted = _trusted(ca_file)
    written = None
    if check:
        machines = check_target_file(hosts_file)
    else:
        wanted = Form(form) if form is not None else None
        machines = read_hosts(hosts_file, form=wanted, group=group, default_port=default_port)
        content = target_file(machines)
        if output is not None:
            written = write_target_file(output, content)
        elif not as_json:
            click.echo(content, nl=False)
    answers = _ask(machines, timeout, trusted) if ask else ()
    if as_json:
        click.echo(msgspec.json.format(_document(machines, answers, output, written)))
    else:
        _tell(machines, answers, output, written)
    if not all(answer.ok for answer in answers):
        sys.exit(1)


def _ask(
    machines: tuple[Machine, ...], timeout: float, trusted: ssl.SSLContext | bool
) -> tuple[Answer, ...]:
    from swarm_exporter.sd.ask import ask_all

    return asyncio.run(ask_all(machines, timeout=timeout, trusted=trusted))


def _trusted(ca_file: Path | None) -> ssl.SSLContext | bool:
    if ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=str(ca_file))
    except OSError:
        raise SwarmExporterError(
            f"--ca-file: {ca_file} holds no certificate; give one in PEM form"
        ) from None


def _document(
    machines: tuple[Machine, ...],
    answers: tuple[Answer, ...],
    output: Path | None,
    written: bool | None,
) -> bytes:
    said = {answer.machine: answer for answer in answers}
    shown = []
    for machine in machines:
        entry: dict[str, object] = {
            "machine": machine.name,
            "address": machine.address,
            "labels": dict(machine.labels),
        }
        answer = said.get(machine.name)
        if answer is not None:
            entry |= {"answers": answer.ok, "detail": answer.detail}
        shown.append(entry)
    told = {"output": output and str(output), "written": written, "machines": shown}
    return msgspec.json.encode(told)


def _tell(
    machines: tuple[Machine, ...],
    answers: tuple[Answer, ...],
    output: Path | None,
    written: bool | None,
) -> None:
    # On standard error: the file itself may be what is printed.
    count = f"{len(machines)} machine{'s' * (len(machines) != 1)}"
    if output is not None:
        click.echo(f"{output}: {count}, {'written' if written else 'as it was'}", err=True)
    else:
        click.echo(f"{count}, all good", err=True)
    for answer in answers:
        if answer.detail:
            colour = "yellow" if answer.ok else "red"
            click.secho(
                f"  {answer.machine} ({answer.address}): {answer.detail}", fg=colour, err=True
            )
    if answers:
        there = sum(answer.ok for answer in answers)
        click.echo(f"{there} of {len(answers)} answer", err=True)
