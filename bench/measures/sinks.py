"""How fast unlimited lines get into a sink, beside what nobody can do much faster: `dd` copying the
very bytes, which are in memory already, by writes as large as visor's.

The contenders take turns (A B B A ...), so that whatever else the machine does hits all of them,
and none always finds the memory that another has just given back; each round's times are compared
with each other, and the median of those ratios is reported.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from . import engine
from .process import Cost, Trouble, run_into
from .report import Bar, Chart, Section, Wanted, millions, seconds
from .settings import Settings

RATIO = 1.25
"""The wanted time into a file and into a pipe, in times of the floor's."""
WANTED_RATIO = ["file", "pipe"]
LIVE_SHARE = 0.8
"""Of the lines that the engine writes in memory, those that get into /dev/null."""
WRITE = 448 << 10
"""What visor hands over at once, in bytes: see the program's outlet.rs."""
PIPE_WRITE = 4096
"""What goes into a pipe whole: PIPE_BUF."""
TIMES_FLOG = 40
FLOG_SHARE = 20
"""flog writes so many times fewer lines, for it needs longer for each."""


@dataclass(frozen=True)
class Sink:
    name: str
    path: Path | None
    """None for a pipe into this script, which reads and counts."""

    def clear(self) -> None:
        """Makes room for the next round, outside of anyone's time."""
        if self.path and self.path.is_file():
            self.path.unlink()
            os.sync()


@dataclass(frozen=True)
class Workload:
    lines: int
    bytes: int
    ready: Path
    """The bytes, in memory, for the floor to copy."""


def measure(settings: Settings) -> Section:
    program = engine.built()
    work = workload(settings)
    contenders: dict[str, Callable[[Sink], Cost]] = {
        "visor": lambda sink: visor(settings, work, sink),
        "floor": lambda sink: floor(work, sink),
    }
    flog = shutil.which("flog")
    flog_lines = max(work.lines // FLOG_SHARE, 1)
    if flog:
        contenders["flog"] = lambda sink: peer(flog, flog_lines, sink)
    places, notes = sinks(settings, work)
    costs: dict[str, dict[str, list[Cost]]] = {
        sink.name: {name: [] for name in contenders} for sink in places
    }
    in_memory: list[float] = []
    try:
        for round_number in range(settings.effort.rounds):
            in_memory.append(engine.seconds(program, "combined", work.lines))
            turns = list(contenders.items())
            if round_number % 2:
                turns.reverse()
            for sink in places:
                for name, run in turns:
                    sink.clear()
                    costs[sink.name][name].append(run(sink))
                sink.clear()
    finally:
        work.ready.unlink()
        for sink in places:
            sink.clear()
    section = Section(
        name="sinks",
        title="Unlimited lines into a sink",
        columns=["Sink", "visor", "its CPU", "floor", "visor / floor", "rounds", "lines/s", "MB/s"],
        data={"lines": work.lines, "bytes": work.bytes, "sinks": {}},
    )
    section.wanted = [live_of_in_memory(costs[places[0].name]["visor"], in_memory)]
    for sink in places:
        add_row(section, sink, costs[sink.name], work, flog_lines)
    section.charts = [
        Chart(
            "sinks",
            "Million Combined lines a second into a sink, beside dd's",
            [
                Bar(f"{name}, {who}", work.lines / numbers[seconds_of] / 1e6)
                for name, numbers in section.data["sinks"].items()
                for who, seconds_of in (("visor", "seconds"), ("dd", "floor_seconds"))
            ],
        )
    ]
    section.notes = [
        f"{work.lines:,} Combined lines of {work.bytes / work.lines:.0f} bytes; the floor is `dd` "
        f"of the same bytes out of memory, {WRITE >> 10} KiB at once, into a pipe {PIPE_WRITE} "
        "bytes, as visor writes. Medians of "
        f"{settings.effort.rounds} rounds; the ratio is that of the times within a round, "
        "*rounds* its least and greatest. Files aren't synced: what is measured is the page cache. "
        f"The engine alone, in memory, takes {seconds(median(in_memory))} "
        "for as many lines, once in each round.",
        *notes,
        *peers(flog, section, work),
    ]
    return section


def workload(settings: Settings) -> Workload:
    """What everyone is to write: as many bytes as visor makes of the lines, by its seed the same
    each time."""
    count = settings.effort.lines
    ready = Path("/dev/shm") / f"{settings.directory.name}.ready"
    command = [*emit(settings, count), "-o", str(ready)]
    run_into([command], Path(os.devnull))
    return Workload(lines=count, bytes=ready.stat().st_size, ready=ready)


def emit(settings: Settings, lines: int) -> list[str]:
    return [str(settings.binary), "emit", "access", "--unlimited", "-n", str(lines), "--seed", "1"]


def visor(settings: Settings, work: Workload, sink: Sink) -> Cost:
    command = emit(settings, work.lines)
    if sink.path is None:
        cost = run_into([command], None)
    else:
        cost = run_into([[*command, "-o", str(sink.path)]], Path(os.devnull))
    written = cost.bytes if sink.path is None else size(sink.path, work.bytes)
    if written != work.bytes:
        raise Trouble(
            f"visor wrote {written} bytes into {sink.name}, "
            f"not the {work.bytes} that its seed makes of as many lines"
        )
    return cost


def size(path: Path, otherwise: int) -> int:
    return path.stat().st_size if path.is_file() else otherwise


def floor(work: Workload, sink: Sink) -> Cost:
    block = PIPE_WRITE if sink.path is None else WRITE
    return run_into([["dd", f"if={work.ready}", f"bs={block}", "status=none"]], sink.path)


def peer(flog: str, lines: int, sink: Sink) -> Cost:
    return run_into([[flog, "-f", "apache_combined", "-n", str(lines)]], sink.path)


def sinks(settings: Settings, work: Workload) -> tuple[list[Sink], list[str]]:
    """Where to write to, and what can't be."""
    if shutil.disk_usage(settings.directory).free < 2 * work.bytes:
        raise Trouble(
            f"{settings.directory.parent} has no room for {2 * work.bytes} bytes; "
            "choose another --dir"
        )
    found = [Sink("/dev/null", Path(os.devnull)), Sink("file", settings.directory / "sink.log")]
    notes = []
    memory = Path("/dev/shm")
    if memory.is_dir() and shutil.disk_usage(memory).free > 2 * work.bytes:
        found.append(Sink("tmpfs", memory / f"{settings.directory.name}.log"))
    else:
        notes.append("tmpfs: not measured, /dev/shm has no room.")
    return [*found, Sink("pipe", None)], notes


def live_of_in_memory(live: list[Cost], in_memory: list[float]) -> Wanted:
    share = median(own / whole.seconds for own, whole in zip(in_memory, live, strict=True))
    return Wanted(
        "live into /dev/null, of in memory",
        f"at least {LIVE_SHARE:.0%}",
        f"{share:.0%}",
        share >= LIVE_SHARE,
    )


def add_row(
    section: Section,
    sink: Sink,
    costs: dict[str, list[Cost]],
    work: Workload,
    flog_lines: int,
) -> None:
    ratios = [
        ours.seconds / floors.seconds
        for ours, floors in zip(costs["visor"], costs["floor"], strict=True)
    ]
    time = median(cost.seconds for cost in costs["visor"])
    processor = median(cost.processor for cost in costs["visor"])
    floor_time = median(cost.seconds for cost in costs["floor"])
    ratio = median(ratios)
    numbers = {
        "seconds": time,
        "processor_seconds": processor,
        "floor_seconds": floor_time,
        "ratio": ratio,
        "ratios": ratios,
        "lines_per_second": work.lines / time,
        "bytes_per_second": work.bytes / time,
    }
    if "flog" in costs:
        flog_rate = flog_lines / median(cost.seconds for cost in costs["flog"])
        numbers["flog_lines_per_second"] = flog_rate
        numbers["times_flog"] = work.lines / time / flog_rate
    section.data["sinks"][sink.name] = numbers
    section.rows.append(
        [
            sink.name,
            seconds(time),
            seconds(processor),
            seconds(floor_time),
            f"{ratio:.2f}",
            f"{min(ratios):.2f} to {max(ratios):.2f}",
            millions(work.lines / time),
            f"{work.bytes / time / 1e6:.0f}",
        ]
    )
    if sink.name in WANTED_RATIO:
        section.wanted.append(
            Wanted(
                f"unlimited into a {sink.name}, times the floor's time",
                f"at most {RATIO}",
                f"{ratio:.2f}",
                ratio <= RATIO,
            )
        )


def peers(flog: str | None, section: Section, work: Workload) -> list[str]:
    """What can be said of other programs that make such lines."""
    if flog:
        ratios = ", ".join(
            f"{name} {numbers['times_flog']:.1f}" for name, numbers in section.data["sinks"].items()
        )
        notes = [
            f"visor's lines/s in times of flog's (`flog -f apache_combined -n "
            f"{max(work.lines // FLOG_SHARE, 1)}`): {ratios}."
        ]
        times = section.data["sinks"]["/dev/null"]["times_flog"]
        section.wanted.append(
            Wanted("times flog's lines", f"{TIMES_FLOG}", f"{times:.0f}", times >= TIMES_FLOG)
        )
    else:
        notes = ["flog: not measured, it isn't on the PATH."]
    if shutil.which("lading"):
        why = "it writes for a time that its configuration says, not so many lines"
    else:
        why = "it isn't on the PATH"
    return [*notes, f"lading: not measured, {why}."]
