"""`swarm-exporter assets`: rules, boards and provisioning for a Prometheus and Grafana of yours."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from swarm_exporter.errors import FlagError

EPILOG = """\b
Examples:
  swarm-exporter assets ~/swarm-monitoring
  swarm-exporter assets --lang zh ~/swarm-monitoring        boards in Chinese
  prometheus --config.file ~/swarm-monitoring/prometheus/prometheus.yml
"""


@click.command(epilog=EPILOG)
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option("--lang", type=click.Choice(("en", "zh")), default="en", help="Language of boards.")
@click.option("--force", is_flag=True, help="Replace files that you have changed, too.")
@click.option("--json", "as_json", is_flag=True, help="Print what became of each file as JSON.")
def command(folder: Path, lang: str, force: bool, as_json: bool) -> None:
    """Write boards, rules and provisioning into DIR, for your own Prometheus and Grafana.

    Run it again after an upgrade: what you have changed is kept and named, what is no longer part
    of the program is removed, and nothing else in DIR is touched.
    """
    from swarm_exporter.assets import asset_files, write_files

    try:
        folder = folder.expanduser()
    except RuntimeError:
        raise FlagError(f"DIR: {folder} names a person who is not here") from None
    done = write_files(folder, asset_files(lang), force=force)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(done)))
        return
    click.echo(
        f"{folder}: {len(done.written)} files written, {len(done.unchanged)} as they were"
        + (f", {len(done.removed)} removed" if done.removed else "")
    )
    for name in done.kept:
        click.secho(f"  kept: {name} is yours (--force replaces it)", fg="yellow")
    for name in done.removed:
        click.echo(f"  removed: {name}, which this version no longer has")
    click.echo("Prometheus  --config.file prometheus/prometheus.yml, or take its `rule_files` over")
    click.echo("            and scrape 127.0.0.1:10331")
    click.echo("            many machines: prometheus/fleet/prometheus.yml and `swarm-exporter sd`")
    click.echo("Alertmanager  start it in prometheus/, after choosing a receiver in its file")
    click.echo("Grafana     Dashboards > New > Import > grafana/dashboards/*.json, or provision:")
    click.echo(f"            GF_PATHS_PROVISIONING={folder.resolve()}/grafana/provisioning")
    click.echo(f"            SWARM_BOARDS={folder.resolve()}/grafana/dashboards")
    click.echo("            SWARM_PROMETHEUS=http://127.0.0.1:9090")
