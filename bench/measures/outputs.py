"""The time to write unlimited lines to an output, and that of a baseline: `dd` copying the very
bytes, which are in memory already, by writes as large as visor's.

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
from .report import Bar, Chart, Section, Target, millions, seconds
from .settings import Settings

RATIO = 1.25
"""The target time into a file and into a pipe, in times of the baseline's."""
TARGET_RATIO = ["file", "pipe"]
LIVE_SHARE = 0.8
"""Of the lines that the engine writes in memory, those that get into /dev/null."""
WRITE = 448 << 10
"""What visor hands over at once, in bytes: see the program's output/channel.rs."""
PIPE_WRITE = 4096
"""What goes into a pipe whole: PIPE_BUF."""
TIMES_FLOG = 40
FLOG_SHARE = 20
"""flog writes so many times fewer lines, for it needs longer for each."""


@dataclass(frozen=True)
class Output:
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
    """The bytes, in memory, for the baseline to copy."""


def measure(settings: Settings) -> Section:
    program = engine.built()
    work = workload(settings)
    contenders: dict[str, Callable[[Output], Cost]] = {
        "visor": lambda output: visor(settings, work, output),
        "baseline": lambda output: baseline(work, output),
    }
    flog = shutil.which("flog")
    flog_lines = max(work.lines // FLOG_SHARE, 1)
    if flog:
        contenders["flog"] = lambda output: peer(flog, flog_lines, output)
    places, notes = outputs(settings, work)
    costs: dict[str, dict[str, list[Cost]]] = {
        output.name: {name: [] for name in contenders} for output in places
    }
    in_memory: list[float] = []
    try:
        for round_number in range(settings.effort.rounds):
            in_memory.append(engine.seconds(program, "combined", work.lines))
            turns = list(contenders.items())
            if round_number % 2:
                turns.reverse()
            for output in places:
                for name, run in turns:
                    output.clear()
                    costs[output.name][name].append(run(output))
                output.clear()
    finally:
        work.ready.unlink()
        for output in places:
            output.clear()
    section = Section(
        name="outputs",
        title="Unlimited lines to an output",
        columns=[
            "Output",
            "visor",
            "its CPU",
            "baseline",
            "visor / baseline",
            "rounds",
            "lines/s",
            "MB/s",
        ],
        data={"lines": work.lines, "bytes": work.bytes, "outputs": {}},
    )
    section.targets = [live_of_in_memory(costs[places[0].name]["visor"], in_memory)]
    for output in places:
        add_row(section, output, costs[output.name], work, flog_lines)
    section.charts = [
        Chart(
            "outputs",
            "Million Combined lines per second to an output, compared with dd",
            [
                Bar(f"{name}, {who}", work.lines / numbers[seconds_of] / 1e6)
                for name, numbers in section.data["outputs"].items()
                for who, seconds_of in (
                    ("visor", "seconds"),
                    ("dd", "baseline_seconds"),
                )
            ],
        )
    ]
    section.notes = [
        f"{work.lines:,} Combined lines of {work.bytes / work.lines:.0f} bytes; the baseline is `dd` "
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
    return [
        str(settings.binary),
        "emit",
        "access",
        "--unlimited",
        "-n",
        str(lines),
        "--seed",
        "1",
    ]


def visor(settings: Settings, work: Workload, output: Output) -> Cost:
    command = emit(settings, work.lines)
    if output.path is None:
        cost = run_into([command], None)
    else:
        cost = run_into([[*command, "-o", str(output.path)]], Path(os.devnull))
    written = cost.bytes if output.path is None else size(output.path, work.bytes)
    if written != work.bytes:
        raise Trouble(
            f"visor wrote {written} bytes into {output.name}, "
            f"not the {work.bytes} that its seed makes of as many lines"
        )
    return cost


def size(path: Path, otherwise: int) -> int:
    return path.stat().st_size if path.is_file() else otherwise


def baseline(work: Workload, output: Output) -> Cost:
    block = PIPE_WRITE if output.path is None else WRITE
    return run_into(
        [["dd", f"if={work.ready}", f"bs={block}", "status=none"]], output.path
    )


def peer(flog: str, lines: int, output: Output) -> Cost:
    return run_into([[flog, "-f", "apache_combined", "-n", str(lines)]], output.path)


def outputs(settings: Settings, work: Workload) -> tuple[list[Output], list[str]]:
    """Where to write to, and what can't be."""
    if shutil.disk_usage(settings.directory).free < 2 * work.bytes:
        raise Trouble(
            f"{settings.directory.parent} has no room for {2 * work.bytes} bytes; "
            "choose another --dir"
        )
    found = [
        Output("/dev/null", Path(os.devnull)),
        Output("file", settings.directory / "output.log"),
    ]
    notes = []
    memory = Path("/dev/shm")
    if memory.is_dir() and shutil.disk_usage(memory).free > 2 * work.bytes:
        found.append(Output("tmpfs", memory / f"{settings.directory.name}.log"))
    else:
        notes.append("tmpfs: not measured, /dev/shm has no room.")
    return [*found, Output("pipe", None)], notes


def live_of_in_memory(live: list[Cost], in_memory: list[float]) -> Target:
    share = median(
        own / whole.seconds for own, whole in zip(in_memory, live, strict=True)
    )
    return Target(
        "live into /dev/null, of in memory",
        f"at least {LIVE_SHARE:.0%}",
        f"{share:.0%}",
        share >= LIVE_SHARE,
    )


def add_row(
    section: Section,
    output: Output,
    costs: dict[str, list[Cost]],
    work: Workload,
    flog_lines: int,
) -> None:
    ratios = [
        ours.seconds / baselines.seconds
        for ours, baselines in zip(costs["visor"], costs["baseline"], strict=True)
    ]
    time = median(cost.seconds for cost in costs["visor"])
    processor = median(cost.processor for cost in costs["visor"])
    baseline_time = median(cost.seconds for cost in costs["baseline"])
    ratio = median(ratios)
    numbers = {
        "seconds": time,
        "processor_seconds": processor,
        "baseline_seconds": baseline_time,
        "ratio": ratio,
        "ratios": ratios,
        "lines_per_second": work.lines / time,
        "bytes_per_second": work.bytes / time,
    }
    if "flog" in costs:
        flog_rate = flog_lines / median(cost.seconds for cost in costs["flog"])
        numbers["flog_lines_per_second"] = flog_rate
        numbers["times_flog"] = work.lines / time / flog_rate
    section.data["outputs"][output.name] = numbers
    section.rows.append(
        [
            output.name,
            seconds(time),
            seconds(processor),
            seconds(baseline_time),
            f"{ratio:.2f}",
            f"{min(ratios):.2f} to {max(ratios):.2f}",
            millions(work.lines / time),
            f"{work.bytes / time / 1e6:.0f}",
        ]
    )
    if output.name in TARGET_RATIO:
        section.targets.append(
            Target(
                f"unlimited into a {output.name}, times the baseline's time",
                f"at most {RATIO}",
                f"{ratio:.2f}",
                ratio <= RATIO,
            )
        )


def peers(flog: str | None, section: Section, work: Workload) -> list[str]:
    """What can be said of other programs that make such lines."""
    if flog:
        ratios = ", ".join(
            f"{name} {numbers['times_flog']:.1f}"
            for name, numbers in section.data["outputs"].items()
        )
        notes = [
            f"visor's lines/s in times of flog's (`flog -f apache_combined -n "
            f"{max(work.lines // FLOG_SHARE, 1)}`): {ratios}."
        ]
        times = section.data["outputs"]["/dev/null"]["times_flog"]
        section.targets.append(
            Target(
                "times flog's lines",
                f"{TIMES_FLOG}",
                f"{times:.0f}",
                times >= TIMES_FLOG,
            )
        )
    else:
        notes = ["flog: not measured, it isn't on the PATH."]
    if shutil.which("lading"):
        why = "it writes for a time that its configuration says, not so many lines"
    else:
        why = "it isn't on the PATH"
    return [*notes, f"lading: not measured, {why}."]
