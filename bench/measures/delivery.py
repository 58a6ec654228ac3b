"""What tokens cost: lines with and without them; and how fast `visor verify` reads what arrived, beside
`wc -l` and `grep -c` of the same file. The contenders take turns."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from statistics import median

from .process import Cost, Trouble, run_into
from .report import Section, Target, seconds
from .settings import REPOSITORY, Settings

SHARE = 0.75
"""The target speed of Combined lines with tokens, in parts of that without."""
PLAIN, NDJSON = 2e9, 1e9
"""The target speeds of `visor verify` in bytes a second, on one core."""
HOLES_MEMORY = 100 << 20
"""The target memory of a million holes, in bytes."""
UNIQUE_ID = '%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-agent}i" %{UNIQUE_ID}e'
FORMATS = {
    "Combined": [],
    "Combined, with tokens": ["--tokens"],
    "Combined and %{UNIQUE_ID}e": ["--format", UNIQUE_ID],
}
SETS = ["cargo", "bench", "--package", "visor-proof", "--bench", "numbers"]


def measure(settings: Settings) -> Section:
    section = Section(
        name="delivery",
        title="Tokens, and `visor verify`",
        columns=["What", "time", "MB/s", "memory"],
        data={},
    )
    emitting(settings, section)
    verifying(settings, section)
    sets(section)
    section.notes = [
        f"{settings.effort.lines:,} Combined lines into /dev/null; half as many, in plain lines and in "
        "JSON by line, for `visor verify`, from memory, on one core. Medians of "
        f"{settings.effort.rounds} rounds; bytes a second and the targets are those of the best.",
    ]
    return section


def emitting(settings: Settings, section: Section) -> None:
    times: dict[str, list[Cost]] = {name: [] for name in FORMATS}
    for _ in range(settings.effort.rounds):
        for name, options in FORMATS.items():
            command = [*emit(settings, settings.effort.lines), *options, "-o", "/dev/null"]
            times[name].append(run_into([command], Path(os.devnull)))
    for name, costs in times.items():
        took = [cost.seconds for cost in costs]
        section.data[name] = {"seconds": took}
        section.rows.append([name, seconds(median(took)), "-", "-"])
    plain, tokens = (
        [cost.seconds for cost in times[name]] for name in ("Combined", "Combined, with tokens")
    )
    share = median(one / other for one, other in zip(plain, tokens, strict=True))
    section.targets.append(
        Target(
            "Combined with tokens",
            f"{SHARE:.0%} of the speed without",
            f"{share:.0%}",
            share >= SHARE,
        )
    )


def verifying(settings: Settings, section: Section) -> None:
    memory = Path("/dev/shm") / settings.directory.name
    memory.mkdir()
    try:
        plain, report = memory / "plain.log", memory / "emitted.json"
        options = ["--tokens", "--report", str(report), "-o", str(plain)]
        run_into([[*emit(settings, settings.effort.lines // 2), *options]], Path(os.devnull))
        records = memory / "records.ndjson"
        with plain.open() as lines, records.open("w") as out:
            for line in lines:
                record = {
                    "@timestamp": "2026-01-02T03:04:05.678Z",
                    "host": "web-0",
                    "message": line[:-1],
                    "path": "/var/log/apache2/access.log",
                }
                out.write(json.dumps(record) + "\n")
        for path, wanted in ((plain, PLAIN), (records, NDJSON)):
            best = read(settings, section, path, report)
            section.targets.append(
                Target(
                    f"`visor verify` of {path.name}",
                    f"{wanted / 1e9:.0f} GB/s",
                    f"{best / 1e9:.2f} GB/s",
                    best >= wanted,
                )
            )
    finally:
        shutil.rmtree(memory)


def read(settings: Settings, section: Section, path: Path, report: Path) -> float:
    """Has the contenders read a file; returns the bytes a second of the best round of ours."""
    size = path.stat().st_size
    contenders = {
        "visor verify": [str(settings.binary), "verify", "--emitted", str(report), str(path)],
        "wc -l": ["wc", "-l", str(path)],
        "grep -c": ["grep", "-c", "_V-", str(path)],
    }
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(settings.effort.rounds):
        for name, command in contenders.items():
            times[name].append(alone(command))
    memory = resident(contenders["visor verify"][:-1], path)
    for name, took in times.items():
        section.data[f"{name} {path.name}"] = {"seconds": took, "bytes": size}
        section.rows.append(
            [
                f"`{name}` of {path.name}",
                seconds(median(took)),
                f"{size / min(took) / 1e6:.0f}",
                f"{memory / (1 << 20):.1f} MiB" if name == "visor verify" else "-",
            ]
        )
    return size / min(times["visor verify"])


def alone(command: list[str]) -> float:
    """The processor time of a command on one core."""
    pinned = ["taskset", "--cpu-list", "0", *command]
    # `grep` ends with its first match if nobody wants its output.
    process = subprocess.Popen(pinned, stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise Trouble(f"{' '.join(command)}: exit code {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def resident(command: list[str], path: Path) -> int:
    """The most memory of a command in bytes, when it has read the file from standard input."""
    process = subprocess.Popen([*command, "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert process.stdin
    with path.open("rb") as bytes_:
        shutil.copyfileobj(bytes_, process.stdin, 1 << 20)
    status = Path(f"/proc/{process.pid}/status").read_text()
    process.stdin.close()
    process.wait()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) << 10 if found else 0


def sets(section: Section) -> None:
    """What the sets of numbers take, by their own benchmark."""
    done = subprocess.run(SETS, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Trouble(f"the benchmark of the sets failed:\n{done.stderr}")
    for found in json.loads(done.stdout):
        section.data[found["what"]] = found
        section.rows.append(
            [found["what"], seconds(found["seconds"]), "-", f"{found['bytes'] / (1 << 20):.1f} MiB"]
        )
        if "holes" in found["what"]:
            section.targets.append(
                Target(
                    found["what"],
                    f"{HOLES_MEMORY >> 20} MiB",
                    f"{found['bytes'] / (1 << 20):.1f} MiB",
                    found["bytes"] <= HOLES_MEMORY,
                )
            )


def emit(settings: Settings, lines: int) -> list[str]:
    return [str(settings.binary), "emit", "access", "--unlimited", "-n", str(lines), "--seed", "1"]
