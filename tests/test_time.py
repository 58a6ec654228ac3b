"""Time: simulated spans, the same bytes from the same seed, time zones, live contents."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from support.documents import access, error, file, fixed, rate, save, source, stream
from support.error_lines import nanoseconds
from support.files import every_line, whole_lines
from support.program import Running, visor

START = datetime(2026, 3, 29, 0, 0, tzinfo=UTC)
ACCESS_TIME = re.compile(rb"\[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\]")
ERROR_TIME = re.compile(rb"\[(\w{3} \w{3} \d\d \d\d:\d\d:\d\d\.\d{6} \d{4})\]")


def simulate(directory: Path, document: dict, duration: str, *arguments: str) -> dict[str, bytes]:
    """Simulates a source and returns its files."""
    directory.mkdir()
    path = save(directory / "source.yaml", document)
    start = START.isoformat()
    done = visor(
        *("run", "-f", path, "--output-dir", directory / "logs", "--listen", "none"),
        *("--simulate", "--start", start, "--for", duration, *arguments),
    )
    assert done.returncode == 0, done.stderr
    return {file.name: file.read_bytes() for file in sorted((directory / "logs").iterdir())}


def busy(count: int = 6, **spec: object) -> dict:
    """Many generators with streams of all intervals, surges and rotation."""
    intervals = [
        {"fixed": "700ms"},
        {"uniform": {"min": "5ms", "max": "500ms"}},
        {"exponential": {"mean": "200ms"}},
        {"normal": {"mean": "300ms", "standardDeviation": "200ms"}},
        {"rate": {"linesPerSecond": 3}},
    ]
    surges = [{"every": "1m", "duration": "10s", "factor": 5}]
    kinds = ["Notice", "Warn", "Error", "Info", "Debug"]
    generators = []
    for number in range(count):
        rotated = file(f"access-{number}.log", maxAge="10m", keep=100, compress="Gzip")
        requests = [
            stream(f"s{i}", "Access", interval, surges=surges)
            for i, interval in enumerate(intervals)
        ]
        failures = [stream(f"s{i}", kinds[i], interval) for i, interval in enumerate(intervals)]
        generators.append(access(f"access-{number}", *requests, output=rotated))
        generators.append(error(f"error-{number}", *failures, output=file(f"error-{number}.log")))
    return source("busy", *generators, **{"seed": 42, **spec})


def test_a_seed_gives_the_same_bytes_on_any_number_of_threads(tmp_path: Path) -> None:
    runs = {
        name: simulate(tmp_path / name, busy(), "30m", "--threads", name[0])
        for name in ("1", "1 again", "2", "4")
    }
    first = runs["1"]
    assert len(first) == 6 * (1 + 2 + 1)
    assert all(files == first for files in runs.values())
    other = simulate(tmp_path / "other seed", busy(seed=43), "30m")
    seedless = busy()
    del seedless["spec"]["seed"]
    by_option = simulate(tmp_path / "option", seedless, "30m", "--seed", "42")
    assert other != first and by_option == first


def test_generators_and_sources_differ_from_each_other(tmp_path: Path) -> None:
    files = simulate(tmp_path / "one", busy(), "5m")
    assert len(set(files.values())) == len(files)


def test_lines_are_in_time_order_within_the_span(tmp_path: Path) -> None:
    simulate(tmp_path / "run", busy(1, timeZone="Asia/Kathmandu"), "1h")
    logs = tmp_path / "run" / "logs"
    stamps = [
        datetime.strptime(ACCESS_TIME.search(line)[1].decode(), "%d/%b/%Y:%H:%M:%S %z")
        for line in every_line(logs / "access-0.log")
    ]
    # A request is stamped with when it began; its line comes when it ends, within the span.
    assert timedelta() < max(a - b for a, b in pairwise(stamps)) < timedelta(minutes=1)
    assert START - timedelta(minutes=1) < stamps[0] < START + timedelta(minutes=1)
    assert START + timedelta(minutes=58) < stamps[-1] < START + timedelta(hours=1)
    assert {stamp.utcoffset() for stamp in stamps} == {timedelta(hours=5, minutes=45)}
    exact = [
        nanoseconds(ERROR_TIME.match(line)[1], "Asia/Kathmandu")
        for line in every_line(logs / "error-0.log")
    ]
    assert exact == sorted(exact)
    begin = int(START.timestamp()) * 10**9
    assert begin <= exact[0] and exact[-1] < begin + 3600 * 10**9


def test_a_fixed_interval_gives_as_many_lines_as_the_span_holds(tmp_path: Path) -> None:
    generator = access("web", stream("beat", "Heartbeat", fixed("3s")), output=file("web.log"))
    lines = simulate(tmp_path / "run", source("a", generator, seed=1), "24h")[
        "web.log"
    ].splitlines()
    assert abs(len(lines) - 24 * 1200) <= 1
    stamps = [
        datetime.strptime(ACCESS_TIME.search(line)[1].decode(), "%d/%b/%Y:%H:%M:%S %z")
        for line in lines
    ]
    assert {b - a for a, b in pairwise(stamps)} == {timedelta(seconds=3)}, "no drift"


def test_stop_after_ends_a_simulation_by_itself(tmp_path: Path) -> None:
    generator = access("web", stream("beat", "Heartbeat", rate(10)), output=file("web.log"))
    path = save(tmp_path / "a.yaml", source("a", generator, stopAfter={"lines": 500}))
    done = visor(
        *("run", "-f", path, "--output-dir", tmp_path / "logs", "--listen", "none"),
        *("--simulate", "--start", START.isoformat()),
    )
    assert done.returncode == 0, done.stderr
    assert len(every_line(tmp_path / "logs" / "web.log")) == 500


@pytest.mark.parametrize(
    ("zone", "offsets"),
    [
        ("UTC", ["+0000"]),
        ("America/St_Johns", ["-0230"]),
        # The clocks of Berlin go from 02:00 to 03:00 in that night, at 01:00 UTC.
        ("Europe/Berlin", ["+0100", "+0200"]),
    ],
)
def test_time_zones_and_their_changes(tmp_path: Path, zone: str, offsets: list[str]) -> None:
    beats = stream("beat", "Heartbeat", fixed("1m"))
    document = source(
        "zoned",
        access("web", beats, output=file("access.log")),
        error("daemon", stream("notices", "Notice", fixed("1m")), output=file("error.log")),
        timeZone=zone,
        seed=1,
    )
    logs = simulate(tmp_path / "run", document, "2h")
    stamps = [match[1].decode() for match in ACCESS_TIME.finditer(logs["access.log"])]
    assert list(dict.fromkeys(stamp[-5:] for stamp in stamps)) == offsets
    moments = [datetime.strptime(stamp, "%d/%b/%Y:%H:%M:%S %z") for stamp in stamps]
    assert {b - a for a, b in pairwise(moments)} == {timedelta(minutes=1)}
    # The error log has no zone: its clock jumps.
    exact = [match[1] for match in ERROR_TIME.finditer(logs["error.log"])]
    hours = {stamp.split()[3][:2] for stamp in exact}
    assert len(hours) >= 2
    if zone == "Europe/Berlin":
        assert hours == {b"01", b"03"}


def contents(log: Path) -> list[bytes]:
    """The lines of a log without their time stamps."""
    return [ERROR_TIME.sub(b"", ACCESS_TIME.sub(b"", line)) for line in every_line(log)]


def test_a_live_run_with_a_seed_draws_the_same_contents(
    run: Callable[..., Running], tmp_path: Path
) -> None:
    document = source(
        "live",
        access("web", stream("requests", "Access", rate(1000)), output=file("access.log")),
        error("daemon", stream("failures", "Error", rate(1000)), output=file("error.log")),
        seed=42,
    )
    seen = []
    for threads in ("1", "2"):
        program = run(document, "--threads", threads)
        program.wait_for_lines(2000, generator="web")
        program.wait_for_lines(2000, generator="daemon")
        program.stop()
        seen.append({name: contents(program.logs / name) for name in ("access.log", "error.log")})
        for path in program.logs.iterdir():
            path.unlink()
    simulate(tmp_path / "simulated", document, "5s")
    logs = tmp_path / "simulated" / "logs"
    seen.append({name: contents(logs / name) for name in ("access.log", "error.log")})
    for name in ("access.log", "error.log"):
        shortest = min(len(draws[name]) for draws in seen)
        assert shortest >= 2000
        assert seen[0][name][:shortest] == seen[1][name][:shortest] == seen[2][name][:shortest]


@pytest.mark.parametrize("start", [[], ["--start", "2026-01-01T00:00:00Z"]], ids=["live", "then"])
def test_a_line_is_written_when_its_request_ends(start: list[str]) -> None:
    """Beginning, duration and end agree; lines are in order of end, and none is of the future."""
    options = ["-n", "2000", "--rate", "4000"]
    log_format = "%{usec}t %D %{end:usec}t %T %{ms}T %{end:%T}t %t %^FB"
    done = visor("emit", "access", "--format", log_format, *options, *start)
    now = time.time()
    rows = [line.split() for line in whole_lines(done.stdout)]
    ends = [int(row[2]) for row in rows]
    begins = [int(row[0]) for row in rows]
    assert ends == sorted(ends)
    assert begins != sorted(begins), "requests overlap"
    for begin, row in zip(begins, rows, strict=True):
        duration = int(row[1])
        assert begin + duration == int(row[2])
        assert int(row[3]) == duration // 1_000_000 and int(row[4]) == duration // 1000
        assert int(row[-1]) <= duration
    assert start or max(ends) / 1e6 <= now
