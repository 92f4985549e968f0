"""Starting the nodes at boot: a systemd user unit on Linux, a launchd agent on macOS."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from swarm_exporter.errors import SwarmExporterError
from swarm_exporter.launcher import boot_launchd, boot_systemd
from swarm_exporter.launcher.private_files import cause, make_private_folder, write_private

#: What the launcher is started with at boot: it stays in front, and what a person has stopped
#: stays stopped.
LAUNCH = ("launch", "--foreground", "--keep-stopped")


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """The file that a service manager reads, and the commands that make it do so."""

    path: Path
    text: str
    #: Where the output goes; None where the service manager keeps it.
    log: Path | None
    start: tuple[tuple[str, ...], ...]
    stop: tuple[tuple[str, ...], ...]
    #: Stops it, also once the file is removed.
    halt: tuple[str, ...]
    #: After the file was removed.
    forget: tuple[tuple[str, ...], ...] = ()
    #: Links to the file that starting it makes.
    links: tuple[Path, ...] = ()
    #: What else is to be known, a sentence each.
    hints: tuple[str, ...] = ()


def unit(
    options: Sequence[str],
    *,
    platform: str,
    environ: Mapping[str, str],
    cwd: Path,
    program: Sequence[str],
    state_dir: Path,
) -> Unit:
    """Return the unit that runs `program` with `launch` and `options` from `cwd`.

    `platform` is that of `sys.platform`. Raises SwarmExporterError.
    """
    home = Path(environ.get("HOME") or os.path.expanduser("~"))  # noqa: PTH111
    command = [*program, *LAUNCH, *options]
    search_path = environ.get("PATH") or os.defpath
    if platform == "darwin":
        return _agent(command, cwd, search_path, home, state_dir)
    if platform.startswith("linux"):
        return _systemd(command, cwd, search_path, boot_systemd.unit_folder(environ, home))
    raise SwarmExporterError(
        f"there is no service manager that is known for {platform}; start "
        "`swarm-exporter launch --foreground` with the one you have"
    )


def own_program() -> list[str]:
    """Return how this very program is started, by absolute paths."""
    name = sys.argv[0]
    found = shutil.which(name) if Path(name).name == "swarm-exporter" else None
    if found is not None:
        # Not resolved: a link such as ~/.local/bin/swarm-exporter survives an upgrade.
        return [os.path.abspath(found)]  # noqa: PTH100
    return [sys.executable, "-m", "swarm_exporter"]


def is_installed(planned: Unit) -> bool:
    """Tell whether the file is there, just as it is planned."""
    try:
        return planned.path.read_bytes() == planned.text.encode()
    except OSError:
        return False


def install(planned: Unit) -> bool:
    """Write the file; return False where it was there already. Raises SwarmExporterError."""
    try:
        if planned.log is not None:
            make_private_folder(planned.log.parent)
        if is_installed(planned):
            return False
        write_private(planned.path, planned.text.encode())
    except OSError as error:
        raise SwarmExporterError(
            f"{planned.path} cannot be written ({cause(error)}); correct the permissions"
        ) from None
    return True


def remove(planned: Unit) -> bool:
    """Remove the file and the links to it; return False where there was none."""
    found = False
    for path in (*planned.links, planned.path):
        try:
            path.unlink()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise SwarmExporterError(
                f"{path} cannot be removed ({cause(error)}); correct the permissions"
            ) from None
        found = True
    return found


def run(command: Sequence[str]) -> None:
    """Run one command of a service manager. Raises SwarmExporterError with what it said."""
    try:
        done = subprocess.run(  # noqa: S603 - our own words and paths, no shell
            list(command), capture_output=True, text=True, errors="replace", check=False
        )
    except OSError as error:
        raise SwarmExporterError(
            f"{command[0]} cannot be run ({cause(error)}); leave --now out, and run the commands "
            "of your service manager"
        ) from None
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"exit status {done.returncode}"
        raise SwarmExporterError(f"`{' '.join(command)}` failed: {said[:300]}")


def _systemd(command: Sequence[str], cwd: Path, search_path: str, folder: Path) -> Unit:
    systemctl = ("systemctl", "--user")
    return Unit(
        path=folder / boot_systemd.NAME,
        text=boot_systemd.unit_text(command, cwd, search_path),
        log=None,
        start=((*systemctl, "daemon-reload"), (*systemctl, "enable", "--now", boot_systemd.NAME)),
        stop=((*systemctl, "disable", "--now", boot_systemd.NAME),),
        halt=(*systemctl, "stop", boot_systemd.NAME),
        forget=((*systemctl, "daemon-reload"),),
        links=(folder / "default.target.wants" / boot_systemd.NAME,),
        hints=(
            "so that it starts at boot, and not at your login: loginctl enable-linger",
            f"its output: journalctl --user --unit {boot_systemd.NAME}",
        ),
    )


def _agent(
    command: Sequence[str], cwd: Path, search_path: str, home: Path, state_dir: Path
) -> Unit:
    path = boot_launchd.agent_folder(home) / boot_launchd.NAME
    log = state_dir / "launchd.log"
    domain = f"gui/{os.getuid()}"
    bootout = ("launchctl", "bootout", f"{domain}/{boot_launchd.LABEL}")
    return Unit(
        path=path,
        text=boot_launchd.agent_text(command, cwd, search_path, log),
        log=log,
        start=(("launchctl", "bootstrap", domain, str(path)),),
        stop=(bootout,),
        halt=bootout,
        hints=(
            "it starts by itself when you log in; for a Mac without a screen turn automatic login "
            "on",
            f"its output: {log}",
        ),
    )
