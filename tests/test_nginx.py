"""Formats of nginx: Debian's nginx decides which strings are formats, and writes the same bytes."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from support import formatter
from support.formatter import text
from support.program import visor
from support.tools import free_port, tool
from support.waiting import wait_for

CORPUS = [
    line
    for line in (Path(__file__).parent / "corpus" / "nginx_log_formats.txt")
    .read_text()
    .splitlines()
    if line and not line.startswith("# ")
]

# What only the server knows of a request.
FIELDS = (
    "$msec $request_time $status $body_bytes_sent $bytes_sent $request_length $pid"
    ' $connection_requests $remote_port "$sent_http_content_type"'
)

CONFIGURATION = """
daemon off;
master_process off;
pid {root}/pid;
error_log {root}/error.log;
events {{}}
http {{
    client_body_temp_path {root}/temp;
    proxy_temp_path {root}/temp;
    fastcgi_temp_path {root}/temp;
    uwsgi_temp_path {root}/temp;
    scgi_temp_path {root}/temp;
    default_type text/plain;
    {formats}
    server {{
        listen 127.0.0.1:{port};
        server_name nginx.example;
        root {root};
        # An index would be another request within the server.
        index none;
        {logs}
    }}
}}
"""


def parameters(log_format: str) -> str:
    """The parameters as nginx's configuration has them."""
    escape, mark, rest = log_format.partition(" ")
    if not escape.startswith("escape="):
        escape, rest = "", log_format
    quoted = rest.replace("'", "\\'")
    return f"{escape} '{quoted}'"


def configure(root: Path, log_formats: list[str], port: int) -> Path:
    """A configuration that writes a log in each format."""
    all_formats = [*log_formats, FIELDS]
    configuration = root / "nginx.conf"
    configuration.write_text(
        CONFIGURATION.format(
            root=root,
            port=port,
            formats="\n".join(
                f"log_format f{number} {parameters(log_format)};"
                for number, log_format in enumerate(all_formats)
            ),
            logs="\n".join(
                f"access_log {root}/f{number}.log f{number};" for number in range(len(all_formats))
            ),
        )
    )
    return configuration


def nginx_takes(root: Path, log_format: str) -> tuple[bool, str]:
    """The result of `nginx -t`, and its output."""
    configuration = configure(root, [log_format], free_port())
    done = subprocess.run(
        [tool("nginx"), "-t", "-c", configuration], capture_output=True, text=True
    )
    return done.returncode == 0, done.stderr


def emit(log_format: str) -> subprocess.CompletedProcess[Any]:
    return visor("emit", "access", "-n", "30", "--format", log_format)


@pytest.mark.parametrize("log_format", [text for text in CORPUS if "$" in text])
def test_the_verdict_is_that_of_nginx(tmp_path: Path, log_format: str) -> None:
    ours, (taken, output) = emit(log_format), nginx_takes(tmp_path, log_format)
    assert (ours.returncode == 0) == taken, f"visor: {ours.stderr}\nnginx: {output}"


FORMATS = [log_format for log_format in CORPUS if emit(log_format).returncode == 0]


@dataclass
class Request:
    """A request, with headers beside those that each has."""

    target: bytes
    method: bytes = b"GET"
    headers: dict[str, bytes] = field(default_factory=dict)

    def all_headers(self) -> dict[str, bytes]:
        return {
            "Host": b"Nginx.example",
            "X-Forwarded-For": b"127.0.0.1",
            "X-Request-Id": b"0815",
            **self.headers,
        }

    def line(self) -> bytes:
        return self.method + b" " + self.target + b" HTTP/1.1"

    def sent(self) -> bytes:
        headers = [name.encode() + b": " + value for name, value in self.all_headers().items()]
        lines = [self.line(), *headers, b"Connection: close", b"Content-Length: 0"]
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def fields(self, port: int, known: bytes) -> dict[str, Any]:
        """The formatter's fields, with those that the server knows."""
        numbers, content_type, _ = known.split(b'"')
        msec, duration, *rest = numbers.split()
        status, body, sent, received, pid, requests, remote_port = map(int, rest)
        took = int(duration.replace(b".", b"")) * 1_000_000
        target, mark, query = self.target.partition(b"?")
        headers = {name: text(value) for name, value in self.all_headers().items()}
        cookies = [part.split("=") for part in headers.get("Cookie", "").split("; ") if part]
        return {
            "time": int(msec.replace(b".", b"")) * 1_000_000 - took,
            "durationNanoseconds": took,
            "client": "127.0.0.1",
            "requestLine": text(self.line()),
            "method": text(self.method),
            "target": text(target),
            "requestTarget": text(self.target),
            "query": text(mark + query),
            "protocol": "HTTP/1.1",
            "status": status,
            "bodyBytes": body,
            "bytesOut": sent,
            "bytesIn": received,
            "pid": pid,
            "keepAliveRequests": requests - 1,
            "remotePort": remote_port,
            "requestHeaders": headers,
            "contentType": None if content_type == b"-" else text(content_type),
            "cookies": dict(cookies),
            "serverName": "nginx.example",
            "localAddress": "127.0.0.1",
            "port": port,
        }


REQUESTS = [
    Request(b"/"),
    Request(b"/missing?q=a%20b&none"),
    Request(b"/a%22b%5c%c3%a9/../c%3f?q=%22"),
    Request(b"/?"),
    Request(b"/a?&q&q=&Q=2"),
    Request(
        b"/index.html?Q=1",
        headers={
            "Referer": b'http://a/?q="\\',
            "User-Agent": b'cu"rl\\\t\xc3\xa9\xff',
            "X-Tenant": b"a'b",
            "Cookie": b"a=b; session=42",
        },
    ),
    Request(b"/", method=b"POST", headers={"User-Agent": b""}),
]


@dataclass
class Story:
    """A server that has ended: its port, and the lines of each format, at last those of the fields."""

    port: int
    logs: list[list[bytes]]


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    port, root = free_port(), Path(tempfile.mkdtemp(prefix="visor-nginx-"))
    root.chmod(0o755)
    (root / "index.html").write_text("here")
    configuration = configure(root, FORMATS, port)
    process = subprocess.Popen([tool("nginx"), "-c", configuration], stderr=subprocess.DEVNULL)

    def lines(number: int) -> list[bytes]:
        path = root / f"f{number}.log"
        return path.read_bytes().split(b"\n")[:-1] if path.exists() else []

    def listens() -> bool:
        assert process.poll() is None, (root / "error.log").read_text()
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port)) == 0

    wait_for("nginx to listen", listens)
    for request in REQUESTS:
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            connection.sendall(request.sent())
            while connection.recv(65536):
                pass
    wait_for("all lines", lambda: len(lines(len(FORMATS))) >= len(REQUESTS))
    process.terminate()
    process.wait(60)
    yield Story(port, [lines(number) for number in range(len(FORMATS) + 1)])
    shutil.rmtree(root)


# What differs from the numbers that the formatter makes up.
MADE_UP = re.compile(rb'\b[0-9a-f]{32}\b|(?<="connection":)\d+')


@pytest.mark.parametrize("number", range(len(FORMATS)), ids=FORMATS)
def test_lines_are_those_of_nginx(story: Story, number: int) -> None:
    *_, known = story.logs
    ours = formatter.render(
        [
            formatter.nginx(FORMATS[number], request.fields(story.port, line))
            for request, line in zip(REQUESTS, known, strict=True)
        ]
    )
    theirs = [MADE_UP.sub(b"?", line) for line in story.logs[number]]
    assert [MADE_UP.sub(b"?", line) for line in ours] == theirs
