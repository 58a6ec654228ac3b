"""The counts of the program equal the lines in the files."""

from __future__ import annotations

import re
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from support.delivery import assert_emitted
from support.disk import remount, small_disk
from support.documents import access, error, file, rate, source, stream
from support.files import every_line, rotated
from support.program import Running, Summary, by_generator
from support.tools import tool
from support.waiting import wait_for

Run = Callable[..., Running]

KINDS = {"notices": "Notice", "warnings": "Warn", "failures": "Error"}


def shop(web: dict, daemon: dict | None = None, lines_per_second: int = 2000) -> dict:
    """An access log and an error log, several streams each."""
    return source(
        "shop",
        access(
            "web",
            stream("heartbeat", "Heartbeat", rate(10)),
            stream("readers", "Access", rate(lines_per_second)),
            stream("writers", "Access", rate(lines_per_second // 4)),
            output=web,
        ),
        error(
            "daemon",
            *(stream(name, kind, rate(lines_per_second // 4)) for name, kind in KINDS.items()),
            output=daemon or file("error.log"),
        ),
        seed=7,
        tokens=True,
    )


def check(program: Running, summary: Summary, web: str = "access.log") -> None:
    """The summary agrees with the files: line by line, byte by byte, and in the error log kind by
    kind, since there a line shows its stream. The report has the number of each line."""
    logs = {"web": every_line(program.logs / web), "daemon": every_line(program.logs / "error.log")}
    assert {name: len(lines) for name, lines in logs.items()} == by_generator(summary)
    for name, lines in logs.items():
        written = sum(w.bytes for (_, generator, _), w in summary.items() if generator == name)
        assert written == sum(len(line) + 1 for line in lines)
    assert_emitted(program.report, logs["web"] + logs["daemon"])
    levels = Counter(re.match(rb"\[[^]]+\] \[\w+:(\w+)\]", line)[1] for line in logs["daemon"])
    for name, kind in KINDS.items():
        assert levels[kind.lower().encode()] == summary["shop", "daemon", name].lines


def test_after_a_signal(run: Run) -> None:
    program = run(shop(file("access.log")))
    metrics = program.wait_for_lines(10_000)
    summary = program.stop()
    check(program, summary)
    for (_, generator, name), written in summary.items():
        assert written.lines >= metrics.lines(source="shop", generator=generator, stream=name) > 0


@pytest.mark.parametrize("method", ["Rename", "CopyTruncate"])
@pytest.mark.parametrize("compress", ["None", "Gzip"])
def test_after_rotation_by_size(run: Run, method: str, compress: str) -> None:
    rotation = {"maxSize": "32Ki", "keep": 1000, "method": method, "compress": compress}
    program = run(shop(file("access.log", **rotation)))
    wait_for("rotations", lambda: program.metrics().sum("visor_rotations_total") >= 20)
    summary = program.stop()
    check(program, summary)
    files = rotated(program.logs / "access.log")
    assert len(files) >= 20
    if compress == "Gzip":
        assert {path.suffix for path in files} == {".gz"}
    else:
        assert all(32768 - 1000 < path.stat().st_size <= 32768 for path in files)


@pytest.mark.parametrize("method", ["Rename", "CopyTruncate"])
def test_after_rotation_by_age(run: Run, method: str) -> None:
    program = run(shop(file("access.log", maxAge="1s", keep=1000, method=method)))
    wait_for("rotations", lambda: program.metrics().sum("visor_rotations_total") >= 3)
    summary = program.stop()
    check(program, summary)
    assert len(rotated(program.logs / "access.log")) >= 3


def test_only_as_many_rotated_files_as_configured_are_kept(run: Run) -> None:
    program = run(shop(file("access.log", maxSize="16Ki", keep=3, compress="Gzip")))
    wait_for("rotations", lambda: program.metrics().sum("visor_rotations_total") >= 10)
    program.stop()
    names = {path.name for path in rotated(program.logs / "access.log")}
    assert names == {f"access.log.{number}.gz" for number in (1, 2, 3)}
    assert not [path for path in program.logs.iterdir() if path.name.startswith(".")]


def test_after_logrotate_renamed_the_files(run: Run, tmp_path: Path) -> None:
    program = run(shop(file("access.log")))
    program.wait_for_lines(1000)
    for count in range(1, 4):
        logrotate(tmp_path, program, f"postrotate\n kill -HUP {program.process.pid}\n endscript")
        wait_for("a new file", lambda: (program.logs / "access.log").exists())
        program.wait_for_lines(1000, generator="web")
        assert len(rotated(program.logs / "access.log")) == count
    check(program, program.stop())


def test_after_logrotate_cut_the_files(run: Run, tmp_path: Path) -> None:
    program = run(shop(file("access.log")))
    for _ in range(3):
        program.wait_for_lines(1000, generator="web")
        # logrotate loses what is written between its copy and its cut, so nothing is.
        program.signal(signal.SIGSTOP)
        logrotate(tmp_path, program, "copytruncate")
        assert (program.logs / "access.log").stat().st_size == 0
        program.signal(signal.SIGCONT)
    program.wait_for_lines(1000, generator="web")
    check(program, program.stop())


def logrotate(directory: Path, program: Running, how: str) -> None:
    """Rotates access.log once by the real logrotate."""
    configuration = directory / "logrotate.conf"
    directives = f"rotate 100\n size 1\n nocompress\n nocreate\n {how}"
    configuration.write_text(f'"{program.logs}/access.log" {{\n {directives}\n}}\n')
    configuration.chmod(0o600)
    program.logs.chmod(0o755)
    state = directory / "logrotate.state"
    subprocess.run([tool("logrotate"), "--force", "--state", state, configuration], check=True)


def test_after_a_full_disk(run: Run, tmp_path: Path) -> None:
    with small_disk(tmp_path / "logs" / "small", "size=512k") as disk:
        ballast = disk / "ballast"
        ballast.write_bytes(b"\0" * (128 << 10))
        program = run(shop(file("small/access.log")))
        until_an_error(program)
        program.wait_for_lines(1000, generator="daemon")
        before = program.metrics().lines(generator="web")
        ballast.unlink()
        wait_for("recovery", lambda: program.metrics().lines(generator="web") > before)
        # It fills up again; the next recovery is for good.
        until_an_error(program)
        remount(disk, "size=64m")
        program.wait_for_lines(5000, generator="web")
        check(program, program.stop(), "small/access.log")


def test_when_it_ends_while_the_disk_is_full(run: Run, tmp_path: Path) -> None:
    with small_disk(tmp_path / "logs" / "small", "size=128k"):
        program = run(shop(file("small/access.log")))
        until_an_error(program)
        program.wait_for_lines(1000, generator="daemon")
        check(program, program.stop(), "small/access.log")


def test_a_full_disk_while_rotating(run: Run, tmp_path: Path) -> None:
    with small_disk(tmp_path / "logs" / "small", "size=256k") as disk:
        rotation = {"maxSize": "32Ki", "keep": 1000, "compress": "Gzip"}
        program = run(shop(file("small/access.log", **rotation)))
        until_an_error(program)
        program.wait_for_lines(1000, generator="daemon")
        remount(disk, "size=64m")
        program.wait_for_lines(5000, generator="web")
        check(program, program.stop(), "small/access.log")


def test_a_read_only_directory_delays_no_other(run: Run, tmp_path: Path) -> None:
    with small_disk(tmp_path / "logs" / "small", "size=64m") as disk:
        remount(disk, "ro")
        program = run(shop(file("small/access.log")))
        until_an_error(program)
        metrics = program.wait_for_lines(1000, generator="daemon")
        assert metrics.lines(generator="web") == 0
        output_text = "\n".join(map(str, program.events()))
        assert "small/access.log" in output_text and "Read-only file system" in output_text
        remount(disk, "rw")
        program.wait_for_lines(1000, generator="web")
        check(program, program.stop(), "small/access.log")


def until_an_error(program: Running) -> None:
    """Waits for one more failed write of the access log."""
    failed = "visor_write_errors_total"
    before = program.metrics().sum(failed)
    wait_for("a write error", lambda: program.metrics().sum(failed) > before)


def test_a_restart_appends(run: Run) -> None:
    total: Counter[str] = Counter()
    for _ in range(3):
        program = run(shop(file("access.log", maxSize="256Ki", keep=1000)))
        program.wait_for_lines(2000)
        total += by_generator(program.stop())
    assert len(every_line(program.logs / "access.log")) == total["web"]
    assert len(every_line(program.logs / "error.log")) == total["daemon"]


def test_a_killed_writer_leaves_no_line_that_is_glued_to_the_next(run: Run) -> None:
    program = run(shop(file("access.log")))
    program.wait_for_lines(2000)
    program.process.kill()
    program.wait()
    log = program.logs / "access.log"
    # As if the kill had come in the middle of a line.
    log.write_bytes(log.read_bytes() + b'192.0.2.1 - - [01/Jan/2026:00:00:00 +0000] "GET /cut')
    before = len(log.read_bytes().split(b"\n"))
    program = run(shop(file("access.log")))
    program.wait_for_lines(2000)
    summary = program.stop()
    assert len(every_line(log)) == before + by_generator(summary)["web"]
