"""Error logs of several releases of httpd: the messages of the present one are those of the httpd
that Debian has, and each release has its own thread IDs."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import pytest

from support.documents import error, file, rate, save, source, stream
from support.error_lines import HTTPD_22, LEVELS, fields_of
from support.httpd import MODULES, Httpd
from support.program import visor
from support.tools import tool

PRESENT = "2.4.71"
MPMS = ["event", "worker", "prefork"]
TEXT = re.compile(rb"[\t\n\r -~]{4,}(?=\0)")
CONVERSION = re.compile(r"%%|%[-#0-9.*]*(?:ll|[lhzqt])?(?:p[A-Za-z]|[a-zA-Z])")


def emit(*options: str, lines: int = 2000) -> list[bytes]:
    arguments = ["emit", "error", "-n", str(lines), "--seed", "5", *options]
    return visor(*arguments).stdout.splitlines()


class Format(NamedTuple):
    """A constant text of a module, as a format string of printf."""

    text: str
    # The number of characters that every message has.
    weight: int
    pattern: re.Pattern[str]

    @classmethod
    def of(cls, text: str) -> Format:
        literal = [re.escape(part) for part in CONVERSION.split(text)]
        conversions = ["%" if found == "%%" else ".*?" for found in CONVERSION.findall(text)]
        parts = zip_longest(literal, conversions, fillvalue="")
        pattern = re.compile("".join(part for pair in parts for part in pair), re.DOTALL)
        return cls(text, len(CONVERSION.sub("", text)), pattern)


@cache
def formats(module: str) -> list[Format]:
    """The constant texts of a module, which is a file of its own or a part of the program."""
    file = MODULES / f"mod_{module}.so"
    program = file if file.exists() else Path(tool("apache2"))
    return [Format.of(found[0].decode()) for found in TEXT.finditer(program.read_bytes())]


def is_of_httpd(module: str, message: str) -> bool:
    """Whether a module can write a message."""
    known = formats(module)
    number = re.match(r"AH\d{5}: ", message)
    if number:
        own = [form for form in known if form.text.startswith(number[0])]
        if own and own[0].text == number[0]:
            # The number alone is an argument of a function that has the words.
            message = message.removeprefix(number[0])
            own = [form for form in known if form.weight > 9]
        return any(form.pattern.fullmatch(message) for form in own)
    if message.startswith("/srv/"):
        # The file of a directive, and what its handler says, which may begin with its name.
        message = message.partition(": ")[2]
        known = [form for form in known if form.weight > 12]
        return any(form.pattern.search(message) for form in known)
    return any(form.pattern.fullmatch(message) for form in known if form.weight > 3)


@pytest.fixture(scope="module")
def installed() -> str:
    version = subprocess.run([tool("apache2"), "-v"], capture_output=True, text=True, check=True)
    found = re.search(r"Apache/(\S+)", version.stdout)
    assert found
    return found[1]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("mpm", MPMS)
def test_a_message_is_one_of_the_installed_httpd(installed: str, mpm: str, level: str) -> None:
    if installed != PRESENT:
        pytest.skip(f"the catalog is that of {PRESENT}, Debian has {installed}: compare them")
    lines = emit("--mpm", mpm, "--level", level, "--release", PRESENT)
    messages = set()
    for line in lines:
        fields = fields_of(line, "UTC")
        messages.add((fields["module"], fields["message"]))
    assert len(messages) > 2
    assert [message for message in sorted(messages) if not is_of_httpd(*message)] == []


def ids(lines: list[bytes]) -> Iterator[tuple[int, int | None]]:
    for line in lines:
        fields = fields_of(line, "UTC")
        yield fields["pid"], fields["tid"]


@pytest.mark.parametrize("mpm", MPMS)
def test_a_thread_has_the_id_that_its_release_writes(mpm: str) -> None:
    parents = list(ids(emit("--mpm", mpm, "--level", "notice")))
    children = list(ids(emit("--mpm", mpm, "--level", "error")))
    with Httpd(mpm=mpm, log_level="notice") as server:
        of_httpd = [fields_of(line, "UTC") for line in server.lines("error")]
    assert of_httpd and all(fields["pid"] == fields["tid"] for fields in of_httpd)
    # The kernel counts processes and threads together; the first thread is the process.
    assert any(pid == tid for pid, tid in parents)
    assert all(tid is not None and tid < 100_000 for _, tid in parents + children)
    assert any(pid != tid for pid, tid in children) == (mpm != "prefork")
    old = list(ids(emit("--mpm", mpm, "--level", "error", "--release", "2.4.59")))
    if mpm == "prefork":
        assert all(tid is None for _, tid in old)
    else:
        assert all(len(str(tid)) == 15 for _, tid in old)


def test_a_document_has_the_messages_of_its_release(tmp_path: Path) -> None:
    streams = [stream(level, level.capitalize(), rate(1000)) for level in LEVELS[:8]]
    for release, software in [("2.2.34", "2.2.34 (Unix)"), ("2.4.59", "2.4.59 (Debian)")]:
        output = file("error.log")
        document = source(
            "shop", error("web", *streams, output=output), server={"release": release}
        )
        directory = tmp_path / release
        done = visor(
            "run",
            "--simulate",
            "-f",
            save(tmp_path / "source.yaml", document),
            "--start",
            "2026-01-01",
            "--for",
            "2s",
            "--output-dir",
            directory,
        )
        assert done.returncode == 0, done.stderr
        lines = (directory / "error.log").read_bytes().splitlines()
        assert any(f"Apache/{software} configured".encode() in line for line in lines)
        if release == "2.2.34":
            assert all(HTTPD_22.fullmatch(line) or b"[debug] " in line for line in lines)
            assert not any(re.search(rb"AH\d{5}|MaxRequestWorkers|2\.4\.", line) for line in lines)
        else:
            assert all(fields_of(line, "UTC") for line in lines)
