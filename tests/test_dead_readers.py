"""The reader of the program's own messages may stop, close the pipe, or never have existed: lines
continue, and the program ends as usual."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from support.documents import access, file, rate, save, source, stream
from support.files import every_line, size
from support.program import BINARY
from support.waiting import TIMEOUT, wait_for


def shop(lines_per_second: int = 500) -> dict:
    return source(
        "shop",
        access(
            "web", stream("readers", "Access", rate(lines_per_second)), output=file("access.log")
        ),
    )


def without_a_reader() -> int:
    """The writing end of a pipe whose reader is gone."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


@pytest.fixture(params=["nobody", "full"])
def deaf(request: pytest.FixtureRequest) -> int:
    """A descriptor that takes nothing that is written to it."""
    descriptor = (
        without_a_reader() if request.param == "nobody" else os.open("/dev/full", os.O_WRONLY)
    )
    request.addfinalizer(lambda: os.close(descriptor))
    return descriptor


BAD = "kind: Nonsense\n"
SAYINGS = [
    (["--help"], 0),
    (["run", "--help"], 0),
    (["--version"], 0),
    (["help", "emit"], 0),
    (["completions", "bash"], None),
    (["man"], None),
    (["run", "--nonsense"], 2),
    (["validate", "-f", "-"], 1),
    (["validate", "-f", "-", "--logging-format", "json"], 1),
    (["run", "-f", "-", "--logging-format", "json", "--listen", "none"], 1),
    (["emit", "access", "--format", "nonsense"], 1),
]


@pytest.mark.parametrize(("arguments", "code"), SAYINGS, ids=str)
def test_what_cannot_be_said_changes_no_ending(
    deaf: int, tmp_path: Path, arguments: list[str], code: int | None
) -> None:
    done = subprocess.run(
        [BINARY, *arguments], input=BAD.encode(), stdout=deaf, stderr=deaf, cwd=tmp_path
    )
    # What was asked to be printed and could not be is a failure; a reader that left is none.
    assert done.returncode == code if code is not None else done.returncode in (0, 1)


def test_lines_and_diagnostics_into_one_pipe_that_is_closed(tmp_path: Path) -> None:
    both = 'set -o pipefail; "$0" "$@" 2>&1 | head -5'
    document = save(tmp_path / "shop.yaml", source("shop", access("web", output={"stdout": {}})))
    for arguments in (["emit", "access", "--unlimited"], ["run", "-f", document]):
        done = subprocess.run(
            ["bash", "-c", both, BINARY, *arguments], capture_output=True, cwd=tmp_path
        )
        assert done.returncode in (0, 1) and len(done.stdout.splitlines()) == 5


def test_lines_continue_when_the_diagnostics_are_not_read(tmp_path: Path) -> None:
    document = save(tmp_path / "shop.yaml", shop())
    deaf = without_a_reader()
    process = start(tmp_path, document, deaf)
    os.close(deaf)
    with process:
        log = tmp_path / "logs" / "access.log"
        wait_for("lines", lambda: size(log) > 10_000)
        # All kinds of messages: documents that are valid, invalid, and unchanged.
        save(document, shop(lines_per_second=600))
        wait_for("lines", grows(log))
        document.write_text(BAD)
        wait_for("lines", grows(log))
        process.send_signal(signal.SIGHUP)
        wait_for("lines", grows(log))
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT) == 0
        assert every_line(log)


def test_lines_continue_while_the_reader_of_the_diagnostics_has_stalled(tmp_path: Path) -> None:
    document = save(tmp_path / "shop.yaml", shop())
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    while True:
        try:
            os.write(writer, b"\0" * 4096)
        except BlockingIOError:
            break
    os.set_blocking(writer, True)
    process = start(tmp_path, document, writer)
    os.close(writer)
    with process:
        log = tmp_path / "logs" / "access.log"
        wait_for("lines", lambda: size(log) > 10_000)
        document.write_text(BAD)
        wait_for("lines", grows(log))
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT) == 0
        assert every_line(log)
    os.close(reader)


def test_lines_continue_after_the_terminal_with_the_table_is_gone(tmp_path: Path) -> None:
    document = save(tmp_path / "shop.yaml", shop())
    master, terminal = pty.openpty()
    process = start(tmp_path, document, terminal)
    os.close(terminal)
    with process:
        log = tmp_path / "logs" / "access.log"
        read(master, b"ACTUAL/S")
        os.close(master)
        wait_for("lines", grows(log))
        document.write_text(BAD)
        wait_for("lines", grows(log))
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT) == 0
        assert every_line(log)


@pytest.mark.parametrize("variable", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_no_colors_where_they_are_not_configured(tmp_path: Path, variable: dict[str, str]) -> None:
    document = tmp_path / "shop.yaml"
    document.write_text(BAD)
    for arguments in (["--help"], ["run", "--nonsense"], ["run", "-f", "-", "--wait"]):
        master, terminal = pty.openpty()
        environment = {**os.environ, "TERM": "xterm-256color", "CI": "true", **variable}
        process = subprocess.Popen(
            [BINARY, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=terminal,
            stderr=terminal,
            env=environment,
        )
        os.close(terminal)
        with process:
            output_text = read(master, b"\n")
            process.terminate()
        os.close(master)
        assert output_text.strip() and b"\x1b[" not in output_text.replace(b"\x1b[0m", b""), (
            output_text
        )


def start(directory: Path, document: Path, stderr: int) -> subprocess.Popen:
    return subprocess.Popen(
        [BINARY, "run", "-f", document, "--listen", "none"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        cwd=directory,
        env={**os.environ, "TERM": "xterm-256color"},
    )


def read(master: int, until: bytes) -> bytes:
    """What a terminal shows, up to these bytes."""
    shown = b""
    while until not in shown:
        shown += os.read(master, 4096)
    return shown


def grows(log: Path) -> Callable[[], bool]:
    """Whether a log has grown by some lines since now."""
    before = log.stat().st_size if log.exists() else 0
    return lambda: size(log) > before + 10_000
