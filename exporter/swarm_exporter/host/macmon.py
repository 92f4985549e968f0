"""Collector `macmon`: power, temperatures, fans and clock rates of a Mac.

From `macmon pipe` (https://github.com/vladkens/macmon 0.4 to 0.8), which prints a line of JSON each
interval and reads Apple's private IOReport and SMC without root. It is installed by the person
(brew install macmon); only its `pipe` is used, which listens on nothing.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from swarm_exporter.host.collector import Collector, Found, Look
from swarm_exporter.host.stream import LineStream
from swarm_exporter.host.thermals import Macmon
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError

#: launchd's PATH has none of the folders in which package managers put it.
_FOLDERS = ("/opt/homebrew/bin", "/usr/local/bin", "/opt/local/bin")
#: macmon averages over its interval, seconds.
INTERVAL = 2.0
#: A sample is old after so many intervals without another.
_OLDEST_INTERVALS = 3
#: The first reading waits so many intervals for the first sample.
_FIRST_INTERVALS = 2
#: A program that is silent for so long hangs, seconds; it is started again.
_LONGEST_SILENCE = 60.0
#: Defects of one reading that are counted.
_MOST_DEFECTS = 100
#: No chip and no fan is beyond.
_HOTTEST_CELSIUS = 150.0
_FASTEST_RPM = 100_000.0
_MOST_WATTS = 10_000.0
_FASTEST_MHZ = 20_000.0
_MOST_FANS = 16
_LONGEST_NAME = 32
#: Rounding may take a share a little over 1.
_LARGEST_RATIO = 1.001
#: macmon's names of what draws power, and ours.
_POWER = {
    "cpu_power": "cpu",
    "gpu_power": "gpu",
    "ane_power": "ane",
    "ram_power": "dram",
    "gpu_ram_power": "gpu_sram",
    "all_power": "soc",
    "sys_power": "system",
}
#: These draw something while a program runs: macmon's 0 says that it could not read them.
_NEVER_ZERO = frozenset({"cpu", "dram", "soc", "system"})
_TEMPERATURES = {"cpu_temp_avg": "cpu", "gpu_temp_avg": "gpu"}
#: What macOS may call a tier of processors.
_TIERS = frozenset({"efficiency", "performance", "super"})

#: The names of the tiers that macmon calls "ecpu" and "pcpu".
Tiers = tuple[str, str]
_USUAL_TIERS: Tiers = ("efficiency", "performance")


class Sample(msgspec.Struct, frozen=True):
    """One line of macmon, and how many of its values had an impossible type or size."""

    facts: Macmon
    defects: int


def parse_sample(line: bytes, tiers: Tiers = _USUAL_TIERS) -> Sample | None:
    """Return what a line of macmon says, or None where it is none.

    Its keys differ: 0.4 and 0.5 have no `timestamp`, 0.8 added `*_active_ratio`, `*_freq_mhz` and
    `fans`. The shares in `*_usage` are scaled by the clock rate: they are no active shares.
    """
    try:
        document = msgspec.json.decode(line)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    values = _Values(document)
    return Sample(_facts(values, tiers), values.defects)


def _facts(values: _Values, tiers: Tiers) -> Macmon:
    power = {
        domain: watts
        for key, domain in _POWER.items()
        if (watts := values.number(key, _MOST_WATTS)) is not None
        and (watts > 0 or domain not in _NEVER_ZERO)
    }
    if "cpu" not in power:
        # It is a sum with the processors.
        power.pop("soc", None)
    temperatures = values.inner("temp")
    clusters = {name: f"{cluster}cpu" for cluster, name in zip("ep", tiers, strict=True)}
    facts = Macmon(
        temperatures={
            sensor: celsius
            for key, sensor in _TEMPERATURES.items()
            if (celsius := temperatures.number(key, _HOTTEST_CELSIUS))
        },
        fans=values.fans(),
        power_watts=power,
        cpu_frequency_hertz={
            name: hertz
            for name, cluster in clusters.items()
            if (hertz := values.frequency(cluster)) is not None
        },
        cpu_active_ratio={
            name: ratio
            for name, cluster in clusters.items()
            if (ratio := values.ratio(f"{cluster}_active_ratio")) is not None
        },
        gpu_frequency_hertz=values.frequency("gpu"),
        gpu_active_ratio=values.ratio("gpu_active_ratio"),
    )
    values.defects += temperatures.defects
    return facts


class _Values:
    """The values of one JSON object by key; what is impossible is counted and left out."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self.defects = 0

    def number(self, key: str, largest: float) -> float | None:
        """Return a number that is not negative; None where it is absent, null or impossible."""
        return self._checked(self._document.get(key), largest)

    def ratio(self, key: str) -> float | None:
        value = self.number(key, _LARGEST_RATIO)
        return min(value, 1.0) if value is not None else None

    def frequency(self, what: str) -> float | None:
        """Return a clock rate in hertz; macmon's 0 is none."""
        mhz = self.number(f"{what}_freq_mhz", _FASTEST_MHZ)
        pair = self._document.get(f"{what}_usage")
        if mhz is None and isinstance(pair, list) and pair:
            mhz = self._checked(pair[0], _FASTEST_MHZ)
        return mhz * 1e6 if mhz else None

    def fans(self) -> dict[str, float]:
        found: dict[str, float] = {}
        fans = self._document.get("fans")
        for fan in fans[:_MOST_FANS] if isinstance(fans, list) else ():
            name = fan.get("name") if isinstance(fan, dict) else None
            if not isinstance(name, str) or not name:
                self.defects += 1
                continue
            rpm = self._checked(fan.get("rpm"), _FASTEST_RPM)
            if rpm is not None:
                found[name[:_LONGEST_NAME]] = rpm
        return found

    def inner(self, key: str) -> _Values:
        value = self._document.get(key)
        return _Values(value if isinstance(value, dict) else {})

    def _checked(self, value: object, largest: float) -> float | None:
        if value is None:  # Rust's JSON has null for NaN.
            return None
        if (
            isinstance(value, (int, float))
            and not isinstance(value, bool)
            and 0 <= value <= largest
        ):
            return float(value)
        self.defects += 1
        return None


def darwin_tiers() -> Tiers:
    """Return what macOS calls the tiers; on an M5 "ecpu" is performance and "pcpu" is super.

    `hw.perflevel0` is the fastest tier, macmon's "pcpu".
    """
    names: list[str] = []
    if sys.platform == "darwin":
        from swarm_exporter.host.darwin import Darwin

        with contextlib.suppress(OSError):
            darwin = Darwin()
            names = [_text(darwin.sysctl(f"hw.perflevel{level}.name")) for level in (1, 0)]
    return named_tiers(names)


def named_tiers(names: Sequence[str]) -> Tiers:
    """Return the tiers by the names of macmon's "ecpu" and "pcpu", or the usual ones."""
    slow_fast = tuple(name.strip().lower() for name in names)
    if len(set(slow_fast)) == 2 and _TIERS.issuperset(slow_fast):
        return (slow_fast[0], slow_fast[1])
    return _USUAL_TIERS


def _text(value: bytes | None) -> str:
    return (value or b"").split(b"\0")[0].decode("ascii", "replace")


def usual_places() -> tuple[Path, ...]:
    """Return where macmon may be: what $PATH finds, and the package managers' folders."""
    places: tuple[Path, ...] = ()
    if sys.platform == "darwin":
        found = shutil.which("macmon")
        first = (Path(found).absolute(),) if found else ()
        places = (*first, *(Path(folder) / "macmon" for folder in _FOLDERS))
    return places


class _Heard(msgspec.Struct):
    """What has come from the program since it was first started."""

    #: When the newest sample came, or before the first one, when the program was started.
    at: float
    newest: Sample | None = None
    #: Lines since the last reading that are no samples.
    malformed: int = 0
    #: How it has ended; empty where it has not since the newest sample.
    end: str = ""
    #: How often it has ended since the last reading.
    ends: int = 0
    is_over: bool = False

    def is_answer(self) -> bool:
        """Tell whether there is something that a first reading waits for."""
        return self.newest is not None or bool(self.end) or self.is_over


class MacmonPipe(Collector):
    """Keeps `macmon pipe` running and has its newest sample."""

    name = "macmon"
    about = "power, temperatures, fans and clock rates (macmon, where it is installed)"

    def __init__(
        self,
        candidates: Callable[[], Sequence[Path]] = usual_places,
        tiers: Callable[[], Tiers] = darwin_tiers,
        *,
        interval: float = INTERVAL,
        longest_silence: float = _LONGEST_SILENCE,
        monotonic: Callable[[], float] = time.monotonic,
        pause: Callable[[threading.Event, float], bool] = threading.Event.wait,
    ) -> None:
        """Run the first of `candidates` that is a program; nothing runs before the first reading.

        `tiers` is asked once. `interval` is macmon's own, seconds.
        """
        self._candidates = candidates
        self._ask_tiers = tiers
        self._tiers = _USUAL_TIERS
        self._interval = interval
        self._longest_silence = longest_silence
        self._monotonic = monotonic
        self._pause = pause
        self._stream: LineStream | None = None
        #: Guards what is heard, which the stream's thread writes.
        self._news = threading.Condition()
        self._heard = _Heard(monotonic())

    def is_present(self) -> bool:
        """Tell whether macmon is installed."""
        return self._binary() is not None

    def read(self, look: Look) -> Found:
        """Return the newest sample; the first reading waits a moment for the first one.

        Raises SourceError: missing, not_ready, stale, tool_failed, malformed.
        """
        if self._stream is None:
            self._stream = self._new_stream()
        self._stream.start()
        with self._news:
            heard = self._heard
            if heard.newest is None:
                longest = min(_FIRST_INTERVALS * self._interval, look.config.timeout / 2)
                self._news.wait_for(heard.is_answer, longest)
            age = self._monotonic() - heard.at
            malformed, heard.malformed = heard.malformed, 0
            ends, heard.ends = heard.ends, 0
            sample, end = heard.newest, heard.end
        is_old = age > _OLDEST_INTERVALS * self._interval
        if sample is not None and not is_old:
            defects = [Reason.MALFORMED] * min(malformed + sample.defects, _MOST_DEFECTS)
            defects += [Reason.TOOL_FAILED] * min(ends, _MOST_DEFECTS)
            return Found(sample.facts, tuple(defects), _summary(sample.facts))
        if end:
            raise SourceError(Reason.TOOL_FAILED, end)
        if malformed:
            raise SourceError(Reason.MALFORMED, "macmon prints lines that are not its JSON")
        if not is_old:
            raise SourceError(Reason.NOT_READY, "macmon has just been started")
        raise SourceError(Reason.STALE, f"macmon has told nothing for {age:.0f} s")

    def close(self) -> None:
        """End macmon."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
        with self._news:
            self._heard.is_over = True
            self._news.notify_all()

    def _new_stream(self) -> LineStream:
        binary = self._binary()
        if binary is None:
            raise SourceError(Reason.MISSING, "macmon is not installed any more")
        self._tiers = self._ask_tiers()
        self._heard = _Heard(self._monotonic())
        milliseconds = math.ceil(self._interval * 1000)
        return LineStream(
            # Before the subcommand every version takes it; 0.4 nowhere else.
            (str(binary), "-i", str(milliseconds), "pipe"),
            take=self._take,
            ended=self._take_end,
            longest_silence=max(self._longest_silence, 2 * self._interval),
            monotonic=self._monotonic,
            pause=self._pause,
        )

    def _take(self, line: bytes | None) -> None:
        sample = parse_sample(line, self._tiers) if line is not None else None
        with self._news:
            if sample is None:
                self._heard.malformed += 1
                return
            self._heard.newest, self._heard.at, self._heard.end = sample, self._monotonic(), ""
            self._news.notify_all()

    def _take_end(self, how: str) -> None:
        with self._news:
            self._heard.end = how
            self._heard.ends += 1
            self._news.notify_all()

    def _binary(self) -> Path | None:
        return next(
            (path for path in self._candidates() if path.is_file() and os.access(path, os.X_OK)),
            None,
        )


def _summary(facts: Macmon) -> str:
    system = facts.power_watts.get("system", facts.power_watts.get("soc"))
    return f"{system:.1f} W" if system is not None else "macmon tells"
