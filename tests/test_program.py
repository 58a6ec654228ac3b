"""The program as a person or a supervisor meets it: pipes, signals, input, help."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from support.documents import (
    STDOUT,
    UNLIMITED,
    access,
    error,
    file,
    rate,
    save,
    source,
    stream,
    text_of,
)
from support.files import every_line, unread, whole_lines
from support.program import BINARY, Running, by_generator, visor
from support.waiting import TIMEOUT, wait_for

COMBINED = re.compile(rb'\S+ \S+ \S+ \[[^]]+\] "[^\n]*" [1-5]\d\d (?:\d+|-) "[^\n]*" "[^\n]*"')


def endless(output: dict) -> dict:
    """A source that writes as fast as it can."""
    return source("flood", access("web", stream("requests", "Access", UNLIMITED), output=output))


@pytest.mark.parametrize("command", ["emit", "run"])
def test_a_closed_output_ends_quietly(tmp_path: Path, command: str) -> None:
    document = save(tmp_path / "flood.yaml", endless(STDOUT))
    arguments = {"emit": ["access", "--unlimited"], "run": ["-f", document, "--listen", "none"]}
    process = subprocess.Popen(
        [BINARY, command, *arguments[command]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
    )
    first = [process.stdout.readline() for _ in range(5)]
    wait_for("lines that nobody will read", lambda: unread(process.stdout.fileno()) > 0)
    process.stdout.close()
    output_text = process.stderr.read().decode()
    # Lines that were counted but not read are reported, and the run fails.
    is_reported = "the reader has gone" in output_text
    assert is_reported == (command == "run")
    assert process.wait(TIMEOUT) == int(is_reported), output_text
    process.stderr.close()
    assert all(COMBINED.fullmatch(line.rstrip(b"\n")) for line in first)
    assert not re.search(r"panic|error|broken pipe", output_text, re.IGNORECASE)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_after_a_whole_line(
    run: Callable[..., Running], number: signal.Signals
) -> None:
    program = run(endless(file("access.log")))
    program.wait_for_lines(10_000)
    program.signal(number)
    assert program.wait() == 0
    assert len(every_line(program.logs / "access.log")) > 10_000


def test_a_second_signal_ends_it_even_while_a_pipe_is_stalled(run: Callable[..., Running]) -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as pipe:
        with os.fdopen(writer, "wb") as stdout:
            program = run(endless(STDOUT), stdout=stdout)
        wait_for(
            "the pipe to stall",
            lambda: program.metrics().sum("visor_write_blocked_seconds_total") > 0.2,
        )
        output_text = len(program.events())
        program.signal(signal.SIGTERM)
        wait_for("an answer to the signal", lambda: has_answered(program, output_text))
        program.signal(signal.SIGTERM)
        program.wait()
        assert whole_lines(pipe.read())


def has_answered(program: Running, output_text: int) -> bool:
    """Whether the program has logged more than `said` messages, or has ended."""
    return program.process.poll() is not None or len(program.events()) > output_text


def test_documents_come_from_standard_input_and_from_several_files(tmp_path: Path) -> None:
    def finite(name: str, lines: int) -> dict:
        generator = access(
            name, stream("requests", "Access", UNLIMITED), output=file(f"{name}.log")
        )
        return source(name, generator, stopAfter={"lines": lines})

    first = save(tmp_path / "first.yaml", finite("one", 10), finite("two", 20))
    second = save(tmp_path / "second.yaml", finite("three", 30))
    done = visor(
        *("run", "-f", first, "-f", second, "-f", "-", "--listen", "none"),
        stdin=text_of(finite("four", 40)),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    counts = {path.stem: len(every_line(path)) for path in (tmp_path / "logs").iterdir()}
    assert counts == {"one": 10, "two": 20, "three": 30, "four": 40}


def test_emitted_lines_and_diagnostics_never_mix(
    run: Callable[..., Running], tmp_path: Path
) -> None:
    generators = [
        access("web", stream("requests", "Access", rate(500)), output=STDOUT),
        access("more", stream("requests", "Access", rate(500)), output=STDOUT),
    ]
    with (tmp_path / "stdout").open("wb") as stdout:
        program = run(source("shop", *generators), stdout=stdout)
        program.wait_for_lines(1000)
        program.signal(signal.SIGHUP)
        program.wait_for_lines(500)
        summary = program.stop()
    lines = whole_lines((tmp_path / "stdout").read_bytes())
    assert all(COMBINED.fullmatch(line) for line in lines)
    assert len(lines) == sum(by_generator(summary).values())
    # `events` has read every diagnostic as JSON; the summary names both streams.
    assert len(program.events()) > 2 and len(summary) == 2


def test_diagnostics_as_text_say_the_summary_too(tmp_path: Path) -> None:
    document = save(
        tmp_path / "shop.yaml",
        source(
            "shop",
            error("daemon", stream("failures", "Error", UNLIMITED), output=STDOUT),
            stopAfter={"lines": 1234},
        ),
    )
    done = visor("run", "-f", document, "--listen", "none", cwd=tmp_path)
    assert done.returncode == 0
    assert len(whole_lines(done.stdout)) == 1234
    assert re.search(r"failures.*\b1[ ,_']?234\b", done.stderr), done.stderr


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (["access"], 1000),
        (["error"], 1000),
        (["access", "-n", "17", "--format", "Common"], 17),
        (["access", "-n", "17", "--format", "VhostCombined"], 17),
        (["access", "-n", "17", "--format", "%h %>s %D"], 17),
        (["error", "-n", "17", "--format", "Httpd22", "--level", "warn"], 17),
        (["error", "-n", "17", "--mpm", "Prefork"], 17),
        (["access", "-n", "50", "--rate", "1000"], 50),
        (["access", "-n", "50", "--interval", "uniform:1ms-3ms"], 50),
    ],
    ids=str,
)
def test_emit_writes_as_many_lines_as_asked(
    tmp_path: Path, arguments: list[str], lines: int
) -> None:
    done = visor("emit", *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(whole_lines(done.stdout)) == lines
    assert not list(tmp_path.iterdir()), "emit leaves no files"


def test_emit_simulates_a_span_from_a_start() -> None:
    span = ["--start", "2026-01-01T00:00:00Z", "--for", "1h", "--time-zone", "Asia/Tokyo"]
    # An error log, since a request is stamped with when it began, be that before the span.
    done = visor("emit", "error", *span, "--interval", "fixed:3s")
    assert done.returncode == 0, done.stderr
    lines = whole_lines(done.stdout)
    assert len(lines) == 1200
    assert b"Jan 01 09:00:01.500000 2026]" in lines[0]
    assert b"Jan 01 09:59:58.500000 2026]" in lines[-1]


def test_emit_with_a_seed_is_the_same_anywhere(tmp_path: Path) -> None:
    arguments = ["emit", "access", "--seed", "42", "--start", "2026-01-01T00:00:00Z"]
    to_stdout = visor(*arguments).stdout
    assert visor(*arguments, "-o", tmp_path / "access.log").stdout == b""
    assert (tmp_path / "access.log").read_bytes() == to_stdout
    assert visor(*arguments[:2], "--seed", "43", *arguments[4:]).stdout != to_stdout


def test_help_has_examples_and_names_every_command() -> None:
    help_text = visor("--help").stdout.decode()
    for command in ("run", "emit", "validate"):
        assert re.search(rf"^\s+{command}\b", help_text, re.MULTILINE), help_text
        detail = visor(command, "--help").stdout.decode()
        assert re.search("^examples?:", detail, re.IGNORECASE | re.MULTILINE), detail
        assert f"visor {command}" in detail


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completions_are_there_for_each_shell(tmp_path: Path, shell: str) -> None:
    done = visor("completions", shell)
    assert done.returncode == 0 and b"output-dir" in done.stdout
    if shell == "bash":
        script = tmp_path / "visor.bash"
        script.write_bytes(done.stdout)
        subprocess.run(["bash", "-n", script], check=True)


def test_man_pages_are_there(tmp_path: Path) -> None:
    done = visor("man", "--output-dir", tmp_path)
    assert done.returncode == 0, done.stderr
    pages = {page.name: page.read_text() for page in tmp_path.iterdir()}
    assert {"visor.1", "visor-run.1", "visor-emit.1", "visor-validate.1"} <= pages.keys()
    assert all(".TH visor" in page for page in pages.values())
    assert r"\-\-output\-dir" in pages["visor-run.1"]


@pytest.mark.parametrize(
    "arguments",
    [["run"], ["emit"], ["run", "--nonsense"], ["emit", "access", "--rate", "-3"]],
    ids=" ".join,
)
def test_wrong_usage_is_exit_code_2(arguments: list[str]) -> None:
    done = visor(*arguments)
    assert done.returncode == 2 and done.stdout == b"" and "--help" in done.stderr


def test_json_diagnostics_equal_the_text_for_a_bad_document(tmp_path: Path) -> None:
    document = tmp_path / "bad.yaml"
    document.write_text("kind: Nonsense\n")
    done = visor(
        "run", "-f", document, "--logging-format", "json", "--listen", "none", cwd=tmp_path
    )
    assert done.returncode == 1
    assert "bad.yaml" in done.stderr
    for line in done.stderr.splitlines():
        json.loads(line)


def test_every_manual_page_that_a_page_names_is_written(tmp_path: Path) -> None:
    assert visor("man", "--output-dir", tmp_path).returncode == 0
    pages = {path.name.removesuffix(".1"): path.read_text() for path in tmp_path.iterdir()}
    pages["printed"] = visor("man").stdout.decode()
    for name, page in pages.items():
        named = set(re.findall(r"visor(?:-[a-z-]+)?(?=\(1\))", page.replace("\\", "")))
        assert named <= pages.keys(), name
        assert named or name not in ("visor", "printed")
