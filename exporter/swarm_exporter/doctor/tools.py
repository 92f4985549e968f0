"""Programs and libraries: what the collectors and the launcher need, or may use."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from swarm_exporter.doctor.check import Check, Group
from swarm_exporter.host.tool import Run, run_tool
from swarm_exporter.sources.errors import SourceError

GROUP = Group("tools")
_TIMEOUT = 5.0
_VERSION = re.compile(rb"\d+(?:\.\d+)+[\w.+-]*")
_LONGEST_VERSION = 40


class MacTool(msgspec.Struct, frozen=True):
    """A program that comes with macOS."""

    path: Path
    #: What is lost without it.
    use: str


MAC_TOOLS = (
    MacTool(Path("/usr/sbin/ioreg"), "GPU use, GPU memory and GPU time"),
    MacTool(Path("/usr/bin/vm_stat"), "compressed memory and swapping"),
    MacTool(Path("/usr/bin/footprint"), "GPU memory where the kernel's ledgers do not answer"),
    MacTool(Path("/usr/bin/notifyutil"), "thermal pressure where the kernel does not answer"),
)
_GIT_FIX = {
    "darwin": "xcode-select --install",
    "linux": "sudo apt-get install git",
}


def check_tools(
    folders: Iterable[Path],
    platform: str = sys.platform,
    *,
    root: Path = Path("/"),
    run: Run = run_tool,
    which: Callable[[str], str | None] = shutil.which,
    has_module: Callable[[str], bool] = lambda name: importlib.util.find_spec(name) is not None,
    macmon: Callable[[], Sequence[Path]] | None = None,
) -> list[Check]:
    """Return the checks; `folders` are the nodes', `root` holds /usr and /proc."""
    checks = [
        _git(which, run, platform),
        *_of_upstream([folder for folder in folders if folder.is_dir()], which, platform),
    ]
    if platform == "darwin":
        checks += [_of_macos(tool, root) for tool in MAC_TOOLS]
        checks.append(_macmon(macmon or _usual_macmon, run))
    else:
        checks += _gpus(root, which, has_module)
    return checks


def _git(which: Callable[[str], str | None], run: Run, platform: str) -> Check:
    path = which("git")
    if path is None:
        fix = _GIT_FIX.get(platform, "install it")
        return GROUP.warning("git", "not installed; `init` needs it", fix)
    version = _version(run, path, "--version")
    if version is None:
        # On a Mac without the command line tools, /usr/bin/git only offers to install them.
        fix = _GIT_FIX.get(platform, "install it again")
        return GROUP.warning("git", f"{path} does not say its version; `init` needs it", fix)
    return GROUP.good("git", version)


def _of_upstream(
    folders: list[Path], which: Callable[[str], str | None], platform: str
) -> list[Check]:
    """Return what the start script of the checkouts runs; the same of all is said once."""
    from swarm_exporter.launcher.profile import detect_profile, load_profile

    names = {name for folder in folders if (name := detect_profile(folder)) is not None}
    programs = {load_profile(name, Path()).command[0] for name in names}
    checks = []
    for program in sorted(programs):
        if which(program) is None:
            fix = f"install {program}: the nodes are started with it"
            checks.append(GROUP.failure(program, "not installed", fix))
        else:
            checks.append(GROUP.good(program, "the nodes are started with it"))
    if any((folder / "modal-login" / "package.json").is_file() for folder in folders):
        checks.append(_node_js(which))
    services = {n: p for name in names for n, p in load_profile(name, Path()).services.items()}
    for service in sorted(services):
        if which(service) is None:
            how = "brew install" if platform == "darwin" else "see its web site to install"
            what = "not installed; RL Swarm's script tries to install it at the first start"
            checks.append(GROUP.warning(service, what, f"{how} {service}"))
        else:
            checks.append(GROUP.good(service, "installed; the nodes share it"))
    return checks


def _node_js(which: Callable[[str], str | None]) -> Check:
    if which("node") is not None:
        return GROUP.good("node", "runs RL Swarm's login app")
    if (Path.home() / ".nvm" / "nvm.sh").is_file():
        return GROUP.good("node", "by nvm, which RL Swarm's script loads")
    return GROUP.warning(
        "node",
        "not installed; RL Swarm's script tries to install it for its login app",
        "install Node.js 20 or newer (brew install node, https://nodejs.org)",
    )


def _of_macos(tool: MacTool, root: Path) -> Check:
    path = root / tool.path.relative_to("/")
    if path.is_file() and os.access(path, os.X_OK):
        return GROUP.good(path.name, f"{tool.path}, for {tool.use}")
    return GROUP.failure(
        path.name,
        f"{tool.path} is not there or may not be run: no {tool.use}",
        "it comes with macOS; run the exporter outside a sandbox, or repair the system",
    )


def _macmon(places: Callable[[], Sequence[Path]], run: Run) -> Check:
    path = next((p for p in places() if p.is_file() and os.access(p, os.X_OK)), None)
    if path is None:
        return GROUP.absent(
            "macmon",
            "not installed: no power, temperatures, fans and clock rates",
            "brew install macmon",
        )
    version = _version(run, str(path), "--version")
    if version is None:
        fix = f"try `{path} --version`; brew reinstall macmon"
        return GROUP.failure("macmon", "is there, but does not say its version", fix)
    return GROUP.good("macmon", f"{version} ({path})")


def _usual_macmon() -> Sequence[Path]:
    from swarm_exporter.host.macmon import usual_places

    return usual_places()


def _gpus(
    root: Path, which: Callable[[str], str | None], has_module: Callable[[str], bool]
) -> list[Check]:
    checks = []
    driver = root / "proc/driver/nvidia/version"
    # In a container the driver's files may be hidden, but not its devices.
    if driver.exists() or (root / "dev/nvidiactl").exists():
        if has_module("pynvml"):
            checks.append(GROUP.good("nvidia", f"driver {_driver(driver)}, and nvidia-ml-py"))
        else:
            checks.append(
                GROUP.warning(
                    "nvidia",
                    f"driver {_driver(driver)}, but nvidia-ml-py is missing: no GPU figures",
                    'pip install "swarm-exporter[nvidia]"',
                )
            )
        if which("nvidia-smi") is None:
            what = "not found: `plan` cannot tell the GPUs' memory"
            checks.append(GROUP.warning("nvidia-smi", what, "put it on the PATH"))
    cards = [
        card
        for card in sorted((root / "sys/class/drm").glob("card[0-9]*/device/gpu_busy_percent"))
        if card.is_file()
    ]
    if cards:
        checks.append(GROUP.good("amd", f"{len(cards)} GPUs by sysfs; nothing to install"))
    if not checks:
        checks.append(GROUP.absent("GPU drivers", "neither NVIDIA's nor AMD's is loaded"))
    return checks


def _driver(file: Path) -> str:
    try:
        found = _VERSION.search(file.read_bytes())
    except OSError:
        found = None
    return found[0].decode() if found is not None else "of an unknown version"


def _version(run: Run, path: str, flag: str) -> str | None:
    """Return the version that a program says, or None where it says none in time."""
    try:
        found = _VERSION.search(run((path, flag), _TIMEOUT))
    except SourceError:
        return None
    return found[0].decode("ascii", "replace")[:_LONGEST_VERSION] if found is not None else None
