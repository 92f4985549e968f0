"""`swarm-exporter init`: a folder for each node, ready to be launched."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from swarm_exporter.cli.options import flags_from, setup_options
from swarm_exporter.config import Config, load_config
from swarm_exporter.errors import FlagError, SwarmExporterError

if TYPE_CHECKING:
    from swarm_exporter.config.launcher import Scalar
    from swarm_exporter.launcher.checkout import Source
    from swarm_exporter.launcher.nodes import LaunchNode
    from swarm_exporter.launcher.workspace import Setup

EPILOG = """\b
Examples:
  swarm-exporter init --instances 3
  swarm-exporter init ~/rl-swarm --instances 3
  swarm-exporter init https://github.com/gensyn-ai/rl-swarm.git --revision v0.6.4 --instances 2
  swarm-exporter init --instances 3 --dry-run
  swarm-exporter init --instances 3 --write-config swarm.yml
"""


@click.command(epilog=EPILOG)
@click.argument("source", required=False)
@setup_options
@click.option("--revision", metavar="REV", help="Tag, branch or commit (the profile's newest).")
@click.option("--state-dir", metavar="DIR", type=click.Path(), help="Where downloads are kept.")
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@click.option("--yes", is_flag=True, help="Do not ask before files that exist are changed.")
@click.option("--no-tune", is_flag=True, help="Leave the training keys as upstream has them.")
@click.option(
    "--write-config", metavar="FILE", type=click.Path(), help="Write a configuration of the nodes."
)
def command(
    source: str | None,
    profile: str | None,
    revision: str | None,
    dry_run: bool,
    yes: bool,
    no_tune: bool,
    write_config: str | None,
    **options: Any,  # noqa: ANN401 - click passes the options by name
) -> None:
    """Set up a folder for each node: cloned, patched to its own ports, tuned to share a machine.

    SOURCE is an RL Swarm checkout on this machine, or a git URL that is downloaded once; without
    it, the profile's own repository. Identities (swarm.pem) and login data are never touched.
    What is there already stays, so it can be run again, also to add nodes.
    """
    from contextlib import nullcontext

    from swarm_exporter.launcher.workspace import apply, only_one

    cwd = Path.cwd()
    config = load_config(flags_from(options), os.environ, cwd)
    for warning in config.warnings:
        click.echo(f"warning: {warning}", err=True)
    written = _config_path(write_config, config, cwd)
    with nullcontext() if dry_run else only_one(config.state_dir):
        sources = _Sources(config, source, revision, cwd, dry_run)
        setups = _setups(config, cwd, profile, sources, no_tune)
        for setup in setups:
            _show(setup, revision or config.launcher.revision, sources)
        if dry_run:
            click.echo("Dry run: nothing was changed.")
            return
        _confirm(setups, yes)
        for setup in setups:
            if not setup.nothing_to_do:
                apply(setup, config.launcher.umask)
                click.echo(f"node {setup.node.name}: {setup.node.folder} is set up")
    nodes = [setup.node for setup in setups]
    if all(setup.nothing_to_do for setup in setups):
        click.echo("Nothing to do: every node is set up.")
    if written is not None:
        _write_config(written, nodes, cwd)
    _next_steps(nodes, options, profile, written)


class _Sources:
    """The repositories that nodes are cloned from, each opened once."""

    def __init__(
        self, config: Config, source: str | None, revision: str | None, cwd: Path, dry_run: bool
    ) -> None:
        self._repository = source or config.launcher.repository
        self._revision = revision or config.launcher.revision
        self._downloads = config.state_dir / "downloads"
        self._cwd = cwd
        self._dry_run = dry_run
        self._opened: dict[tuple[str, str | None], Source | None] = {}

    def of(self, node: LaunchNode) -> Source | None:
        """Return what a node is cloned from, None in a dry run for what is not downloaded."""
        repository, revision = self.named(node)
        if not repository:
            raise SwarmExporterError(
                f"node {node.name}: {node.folder} is to be made, but the profile "
                f"{node.profile_name} names no repository; give a SOURCE"
            )
        return self._open(repository, revision)

    def named(self, node: LaunchNode) -> tuple[str, str | None]:
        """Return repository and revision for a node."""
        if self._repository:
            return self._repository, self._revision
        return node.profile.repository, self._revision or node.profile.revision or None

    def given(self, needed: bool) -> Source | None:
        """Return the one repository that was given; a URL only where it is `needed`."""
        from swarm_exporter.launcher.checkout import is_url

        if not self._repository or (is_url(self._repository) and not needed):
            return None
        return self._open(self._repository, self._revision)

    def _open(self, repository: str, revision: str | None) -> Source | None:
        from swarm_exporter.config import values
        from swarm_exporter.launcher import checkout

        key = (repository, revision)
        if key not in self._opened:
            if not checkout.is_url(repository):
                try:
                    folder = values.path(repository, self._cwd)
                except ValueError as problem:
                    raise FlagError(f"SOURCE: {repository} {problem}") from None
                self._opened[key] = checkout.open_local(folder, revision)
                if self._opened[key].dirty:  # type: ignore[union-attr]
                    click.echo(
                        f"note: {folder} has changes that are not committed; nodes are cloned "
                        "without them",
                        err=True,
                    )
            elif self._dry_run:
                self._opened[key] = checkout.cached(repository, revision, self._downloads)
            else:
                self._opened[key] = checkout.download(repository, revision, self._downloads)
        return self._opened[key]


def _setups(
    config: Config, cwd: Path, profile: str | None, sources: _Sources, no_tune: bool
) -> tuple[Setup, ...]:
    from swarm_exporter.launcher.choice import folder_of, nodes_to_set_up
    from swarm_exporter.launcher.plan import training_values
    from swarm_exporter.launcher.profile import recognise
    from swarm_exporter.launcher.settings import training_settings
    from swarm_exporter.launcher.workspace import plan

    folders = [folder_of(node, number, cwd) for number, node in enumerate(config.nodes, 1)]
    given = sources.given(needed=not all((folder / ".git").exists() for folder in folders))
    generation = recognise(given.read) if given is not None else None
    nodes = nodes_to_set_up(config, cwd, profile, generation)
    tune = config.launcher.tune and not no_tune and len(nodes) > 1

    def tuned(node: LaunchNode, read: Callable[[str], str | None]) -> Mapping[str, Scalar]:
        tuning = node.profile.tuning if tune else None
        if tuning is None:
            return {}
        return training_settings(tuning, training_values(read(tuning.file), node.profile))

    return plan(nodes, sources.of, tuned)


def _show(setup: Setup, revision: str | None, sources: _Sources) -> None:
    from swarm_exporter.addresses import redact_url
    from swarm_exporter.launcher.patches import diff
    from swarm_exporter.launcher.workspace import stays_at

    node = setup.node
    title = f"node {node.name}: "
    if setup.source is not None:
        click.echo(f"{title}{node.folder} from {setup.source.name} at {setup.source.version}")
    elif setup.clones:
        repository, wanted = sources.named(node)
        name = redact_url(repository) if "://" in repository else repository
        at = f" at {wanted}" if wanted else ""
        click.echo(
            f"{title}{node.folder} from {name}{at}; what is patched is known once it is downloaded"
        )
    elif setup.nothing_to_do:
        click.echo(f"{title}{node.folder} is set up")
    else:
        click.echo(f"{title}{node.folder} is changed")
    stays = stays_at(setup, revision)
    for note in (*setup.notes, *([stays] if stays else [])):
        click.echo(f"{title}{note}", err=True)
    for change in setup.changes.files if setup.changes is not None else ():
        for line in diff(change).splitlines():
            _echo_diff_line(line)


def _echo_diff_line(line: str) -> None:
    color = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
    if line.startswith(("+++", "---")):
        color = None
    text = "".join(char if char.isprintable() or char == "\t" else "?" for char in line)
    # Click itself leaves colours out where standard output is no terminal.
    click.secho(text, fg=color)


def _confirm(setups: Sequence[Setup], yes: bool) -> None:
    changed = [s for s in setups if not s.clones and s.changes is not None and s.changes.files]
    if not changed or yes or not sys.stdin.isatty():
        return
    folders = ", ".join(str(setup.node.folder) for setup in changed)
    if not click.confirm(f"Change the files in {folders}?", default=True):
        raise SwarmExporterError("nothing was changed, as you have answered")


def _config_path(write_config: str | None, config: Config, cwd: Path) -> Path | None:
    if write_config is None:
        return None
    if config.source_file is not None:
        raise FlagError(f"--write-config: there is {config.source_file} already; edit that")
    path = cwd / Path(write_config).expanduser()
    if os.path.lexists(path):
        raise FlagError(f"--write-config: {path} exists; give another name, or move it away")
    return path


def _write_config(path: Path, nodes: Sequence[LaunchNode], cwd: Path) -> None:
    from swarm_exporter.config import values
    from swarm_exporter.launcher.private_files import cause, write_private
    from swarm_exporter.launcher.profile import BUILT_IN
    from swarm_exporter.launcher.write_config import config_text

    profiles = [
        node.profile_name
        if node.profile_name in BUILT_IN
        else str(values.path(node.profile_name, cwd))
        for node in nodes
    ]
    try:
        write_private(path, config_text(nodes, profiles).encode(), replace=False)
    except OSError as error:
        raise SwarmExporterError(
            f"{path} cannot be written ({cause(error)}); give another --write-config"
        ) from None
    click.echo(f"written: {path}")


def _next_steps(
    nodes: Sequence[LaunchNode],
    options: Mapping[str, Any],
    profile: str | None,
    written: Path | None,
) -> None:
    if written is not None:
        arguments = ["--config", str(written)]
    else:
        given = {**options, "profile": profile}
        names: Callable[[str], str] = lambda name: f"--{name.replace('_', '-')}"  # noqa: E731
        arguments = [
            word
            for name, value in given.items()
            if value is not None
            for word in (names(name), value)
        ]
    click.echo("\nNext:")
    click.echo(f"  {shlex.join(['swarm-exporter', 'launch', *arguments])}")
    logins = [(node.name, node.ports["login"]) for node in nodes if "login" in node.ports]
    if not logins:
        return
    click.echo("and log in once for each node, when it says that it waits for it:")
    for name, port in logins:
        click.echo(f"  node {name}: http://localhost:{port}")
    tunnel = " ".join(f"-L {port}:localhost:{port}" for _, port in logins)
    click.echo(f"from another machine, through: ssh {tunnel} user@host")
