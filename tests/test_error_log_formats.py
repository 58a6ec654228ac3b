"""ErrorLogFormat strings of public configurations: httpd decides which are formats, and what their
lines look like.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from support import formatter
from support.formatter import text
from support.httpd import MODULES, Httpd
from support.program import visor
from support.tools import tool
from support.waiting import wait_for

CORPUS = [
    line
    for line in (Path(__file__).parent / "corpus" / "error_log_formats.txt")
    .read_text()
    .splitlines()
    if line and not line.startswith("# ")
]


def escaped(log_format: str) -> str:
    return log_format.replace("\\", "\\\\").replace('"', '\\"')


def httpd_takes(directory: Path, log_format: str) -> tuple[bool, str]:
    """The result of `apache2 -t`, and its output."""
    configuration = directory / "httpd.conf"
    configuration.write_text(
        f'ServerRoot "{directory}"\nServerName httpd.example\nDefaultRuntimeDir "{directory}"\n'
        "LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so\n"
        f'ErrorLog "{directory}/error.log"\nErrorLogFormat "{escaped(log_format)}"\n'
    )
    done = subprocess.run(
        [tool("apache2"), "-t", "-f", configuration], capture_output=True, text=True
    )
    return done.returncode == 0, done.stderr


def visor_takes(log_format: str) -> tuple[bool, str]:
    """Whether `visor emit` takes a format, and its message if it doesn't."""
    done = visor("emit", "error", "-n", "30", "--format", log_format)
    return done.returncode == 0, done.stderr


@pytest.mark.parametrize("log_format", CORPUS)
def test_the_verdict_is_that_of_httpd(tmp_path: Path, log_format: str) -> None:
    ours, theirs = visor_takes(log_format), httpd_takes(tmp_path, log_format)
    assert ours[0] == theirs[0], f"visor: {ours[1]}\nhttpd: {theirs[1]}"


def test_the_corpus_has_formats_and_near_misses(tmp_path: Path) -> None:
    taken = [log_format for log_format in CORPUS if httpd_takes(tmp_path, log_format)[0]]
    assert len(taken) >= 30 and len(CORPUS) - len(taken) >= 8


FORMATS = [log_format for log_format in CORPUS if visor_takes(log_format)[0]]


@dataclass
class Case:
    """A request to each virtual host, and what httpd has to say about it."""

    name: str
    target: bytes
    module: str
    message: str
    errno: tuple[int, str] | None = None
    headers: dict[str, bytes] = field(default_factory=dict)

    def sent(self, number: int) -> bytes:
        """The request to the virtual host with this number."""
        lines = [
            b"GET " + self.target + b" HTTP/1.1",
            f"Host: f{number}.example".encode(),
            b"Connection: close",
            b"X-Forwarded-For: 127.0.0.1",
            *(name.encode() + b": " + value for name, value in self.headers.items()),
        ]
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def fields(self, number: int, documents: str, port: int) -> dict[str, Any]:
        """The fields of its message; what the server alone knows is made up."""
        return {
            "time": time.time_ns(),
            "module": self.module,
            "level": "error",
            "pid": 1000,
            "tid": 1001,
            "posixTid": 140187334538944,
            "sourceFile": "source.c",
            "sourceLine": 1,
            "errno": self.errno and self.errno[0],
            "errnoText": self.errno and self.errno[1],
            "client": "127.0.0.1",
            "clientPort": port,
            "message": self.message.replace("{docs}", documents),
            "referer": text(self.headers.get("Referer", b"")) or None,
            "userAgent": text(self.headers.get("User-Agent", b"")) or None,
            "virtualHost": f"f{number}.example",
        }


CASES = [
    Case(
        "denied, with headers",
        b"/denied",
        "authz_core",
        "AH01630: client denied by server configuration: {docs}/denied",
        headers={"Referer": b'http://a/?q="\\', "User-Agent": b'cu"rl\\\t\xe9'},
    ),
    Case(
        "denied",
        b"/denied",
        "authz_core",
        "AH01630: client denied by server configuration: {docs}/denied",
    ),
    Case(
        "empty headers",
        b"/empty/",
        "autoindex",
        "AH01276: Cannot serve directory {docs}/empty/: No matching DirectoryIndex (index.html)"
        " found, and server-generated directory index forbidden by Options directive",
        headers={"Referer": b"", "User-Agent": b""},
    ),
    Case(
        "an error of the system",
        b"/" + b"a" * 300,
        "core",
        "AH00036: access to /" + "a" * 300 + " failed (filesystem path '{docs}/" + "a" * 300 + "')",
        errno=(36, "File name too long"),
    ),
    Case(
        "cut",
        b"/" + b"a" * 4030,
        "core",
        "AH00036: access to /"
        + "a" * 4030
        + " failed (filesystem path '{docs}/"
        + "a" * 4030
        + "')",
        errno=(36, "File name too long"),
        headers={"Referer": b"http://a/", "User-Agent": b"curl"},
    ),
]


# A virtual host of a format, which httpd's configuration is made of in turn.
HOST = """
<VirtualHost *:*>
    ServerName f{number}.example
    DocumentRoot "{{root}}/htdocs"
    ErrorLog "{{root}}/f{number}.log"
    ErrorLogFormat "{log_format}"
</VirtualHost>
"""


@dataclass
class Story:
    """A server that has ended, and the ports of each virtual host's clients."""

    server: Httpd
    ports: list[list[int]]


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    hosts = f"LoadModule unique_id_module {MODULES}/mod_unique_id.so\n" + "".join(
        HOST.format(
            number=number, log_format=escaped(log_format).replace("{", "{{").replace("}", "}}")
        )
        for number, log_format in enumerate(FORMATS)
    )
    with Httpd(extra=hosts) as server:
        ports = [
            [server.exchange("127.0.0.1", case.sent(number))[0] for case in CASES]
            for number in range(len(FORMATS))
        ]
        wait_for("the last line", lambda: len(server.lines(f"f{len(FORMATS) - 1}")) >= len(CASES))
        server.stop()
        yield Story(server, ports)


# What differs from line to line, and the letter that stands for it.
VARYING = [
    (re.compile(rb"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} "), b"D "),
    # Before the shorter one, which would match its beginning if a hyphen follows there.
    (re.compile(rb"(?<![\w-])[\w-]{27}(?![\w-])"), b"U"),
    (re.compile(rb"(?<![\w+/:.-])[A-Za-z0-9+/]{11}(?![\w+/])"), b"I"),
    (re.compile(rb"[a-z_]+\.c\(\d+\)"), b"F"),
    (re.compile(rb"\d+"), b"0"),
    # Where a line is cut depends on the length of its numbers.
    (re.compile(rb"a+"), b"a"),
]


def shape(line: bytes) -> bytes:
    for pattern, letter in VARYING:
        line = pattern.sub(letter, line)
    return line


def test_a_message_names_its_place_in_httpd_s_sources(story: Story) -> None:
    place = re.compile(rb"([a-z_]+\.[ch]\(\d+\)):.* (AH\d{5}): ")
    assert "%F:" in FORMATS[0]
    theirs = {
        found[2]: found[1] for line in story.server.lines("f0") if (found := place.search(line))
    }
    done = visor("emit", "error", "-n", "5000", "--seed", "1", "--format", FORMATS[0])
    found = (place.search(line) for line in done.stdout.splitlines())
    ours = {match[2]: match[1] for match in found if match}
    assert theirs and theirs == {code: ours[code] for code in theirs}


@pytest.mark.parametrize("number", range(len(FORMATS)), ids=FORMATS)
def test_lines_have_the_shape_of_httpd_s(story: Story, number: int) -> None:
    theirs = story.server.lines(f"f{number}")
    documents = str(story.server.documents)
    ours = formatter.render(
        [
            formatter.error("event", "UTC", case.fields(number, documents, port), FORMATS[number])
            for case, port in zip(CASES, story.ports[number], strict=True)
        ]
    )
    assert [shape(line) for line in ours] == [shape(line) for line in theirs]
