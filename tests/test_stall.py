"""A blocked output delays no other output, and needs no memory."""

from __future__ import annotations

import os
import signal
import statistics
import threading
import time
from collections.abc import Callable
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from support.documents import STDOUT, access, error, file, fixed, rate, source, stream
from support.error_lines import fields_of
from support.files import every_line, whole_lines
from support.program import Running, by_generator
from support.waiting import wait_for

Run = Callable[..., Running]

BLOCKED = "visor_write_blocked_seconds_total"
INTERVAL = 0.05


def document() -> dict:
    """One generator floods standard output; another writes a line each 50 ms to a file. Both live
    on one event loop."""
    return source(
        "shop",
        access("stuck", stream("flood", "Access", rate(20_000)), output=STDOUT),
        error("free", stream("beat", "Info", fixed("50ms")), output=file("free.log")),
        seed=1,
    )


def follow(log: Path, count: int) -> list[float]:
    """Watches a log as `tail -f` does. How long after its own time stamp each of the next `count`
    lines was there, in seconds."""
    wait_for("the log", log.exists)
    lags: list[float] = []
    with log.open("rb") as tail:
        tail.seek(0, os.SEEK_END)
        rest = b""

        def caught_up() -> bool:
            nonlocal rest
            *lines, rest = (rest + tail.read()).split(b"\n")
            now = time.time()
            lags.extend(now - fields_of(line, "UTC")["time"] / 1e9 for line in lines if line)
            return len(lags) >= count

        wait_for("lines to arrive", caught_up)
    return lags


def steps(log: Path) -> list[float]:
    """The times between a log's lines by their own time stamps, in seconds."""
    stamps = [fields_of(line, "UTC")["time"] for line in every_line(log)]
    return [(b - a) / 1e9 for a, b in pairwise(stamps)]


def memory(program: Running) -> int:
    """The process's resident memory in KiB."""
    status = Path(f"/proc/{program.process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))


def test_a_pipe_that_is_not_read_delays_no_other_stream(run: Run) -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as pipe:
        with os.fdopen(writer, "wb") as stdout:
            program = run(document(), stdout=stdout)
        free = program.logs / "free.log"
        wait_for("the stall", lambda: program.metrics().sum(BLOCKED, output="stdout") > 0.5)
        stuck = program.metrics()
        lags = follow(free, 60)
        later = program.metrics()
        # The blocked one wrote nothing and reported it, and the other one kept its schedule: each
        # line was written before the next one was due.
        assert later.lines(generator="stuck") == stuck.lines(generator="stuck")
        grown = later.sum(BLOCKED, output="stdout") - stuck.sum(BLOCKED, output="stdout")
        assert grown > 60 * INTERVAL / 2
        assert later.sum(BLOCKED) - later.sum(BLOCKED, output="stdout") < grown / 10
        assert 0 <= statistics.median(lags) < INTERVAL
        assert {round(step, 6) for step in steps(free)} == {INTERVAL}
        # When it is read again, it continues, and no line is lost or torn.
        received: list[bytes] = []
        drain = threading.Thread(target=lambda: received.append(pipe.read()))
        drain.start()
        program.wait_for_lines(20_000, generator="stuck")
        written = by_generator(program.stop())
        drain.join()
        assert len(whole_lines(received[0])) == written["stuck"]
        assert len(every_line(free)) == written["free"]


def test_a_stalled_output_takes_no_memory(run: Run) -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb"):
        with os.fdopen(writer, "wb") as stdout:
            program = run(document(), stdout=stdout)
        wait_for("the stall", lambda: program.metrics().sum(BLOCKED, output="stdout") > 0.5)
        before = memory(program)
        wait_for("a long stall", lambda: program.metrics().sum(BLOCKED, output="stdout") > 4)
        assert memory(program) < before * 1.25
        program.signal(signal.SIGKILL)


def test_a_stopped_process_catches_up_with_the_stamps_that_were_due(run: Run) -> None:
    program = run(
        source("shop", error("free", stream("b", "Info", fixed("50ms")), output=file("a.log")))
    )
    program.wait_for_lines(5)
    program.signal(signal.SIGSTOP)
    stopped = datetime.now()
    wait_for("a while", lambda: (datetime.now() - stopped).total_seconds() > 1)
    program.signal(signal.SIGCONT)
    program.wait_for_lines(40)
    program.stop()
    assert {round(step, 6) for step in steps(program.logs / "a.log")} == {INTERVAL}


def test_slow_lines_are_visible_at_once(run: Run) -> None:
    program = run(
        source("shop", error("free", stream("b", "Info", fixed("200ms")), output=file("a.log")))
    )
    lags = follow(program.logs / "a.log", 25)
    # The median, so that a pause of the machine is no failure. 50 ms are promised.
    assert 0 <= statistics.median(lags) < 0.05
    program.stop()
