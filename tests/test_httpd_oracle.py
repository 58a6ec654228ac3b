"""Real httpd is the reference for access logs: our formatter, with the same fields, writes the same
bytes.

What the test sent is known from the test; what only the server knows (times, sizes, processes)
comes from a log of bare numbers that httpd writes beside the others.
"""

from __future__ import annotations

import itertools
import string
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest

from support import formatter
from support.formatter import text
from support.httpd import Httpd
from support.requests import REQUESTS, Request

# Every directive whose fields are known for each well-formed request.
CUSTOM = (
    "%a %{c}a %A %B %b %<s %s %>s %h %l %u %{remote}p %p %{canonical}p %{local}p %P %{tid}P "
    "%{hextid}P %{pid}P %k %X %D %T %{s}T %{ms}T %{us}T %I %O %S %H %m %U%q [%r] %v %V "
    "%t %{%Y-%m-%dT%H:%M:%S%z}t %{sec}t %{msec}t %{usec}t %{msec_frac}t %{usec_frac}t "
    "%{begin:%d/%b/%Y:%T}t %{begin:msec}t %{SESSION}C %{theme}C %{nothing}C %{FLAVOUR}e %{NONE}e "
    "%{note}n %{Host}i %{X-None}i %{Location}o %200,304{User-Agent}i %!200,206{User-Agent}i "
    "%404{Referer}i %{Referer}^ti %{None}^to %R %L %{end:usec}t %{end:%T}t %{c}h %f "
    r"tab\tback\\slash \q %% end"
)

# Every conversion of strftime, the letters that are none, with modifiers and flags, each in an
# argument of its own. A newline is not for a line.
CONVERSIONS = [letter for letter in string.ascii_letters + "+%" if letter != "n"]
STRFTIME = "|".join(
    f"%{{{form.format(letter)}}}t"
    for letter in CONVERSIONS
    for form in (
        "%{}",
        "begin:%{}",
        "<%E{}>",
        "%O{}",
        "%-{}",
        "%_{}",
        "%0{}",
        "%^{}",
        "%#{}",
        "%7{}",
    )
)

SERVERS = [
    pytest.param(("event", "UTC"), id="event-UTC"),
    pytest.param(("worker", "America/St_Johns"), id="worker-St_Johns"),
    pytest.param(("prefork", "Asia/Kathmandu"), id="prefork-Kathmandu"),
]


@pytest.fixture(scope="module", params=SERVERS)
def httpd(request: pytest.FixtureRequest) -> Iterator[Httpd]:
    """A server that has served every request, one after the other, and has ended."""
    mpm, time_zone = request.param
    with Httpd(mpm=mpm, time_zone=time_zone, custom=CUSTOM, strftime=STRFTIME) as server:
        (server.documents / "index.html").write_text("<p>What a fine day.</p>\n")
        (server.documents / "empty.txt").write_text("")
        (server.documents / "members").write_text("Frank\n")
        # The password `secret`, hashed by htpasswd -s.
        (server.root / "users").write_text("frank:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n")
        for connection in connections():
            sent = [request.sent for request in connection]
            server.exchange(connection[0].address, b"".join(sent), count=len(connection))
        server.stop()
        yield server


def connections() -> Iterator[list[Request]]:
    """The requests, in groups that share a connection."""
    numbers = itertools.accumulate(not request.same_connection for request in REQUESTS)
    for _, group in itertools.groupby(
        zip(numbers, REQUESTS, strict=True), key=lambda pair: pair[0]
    ):
        yield [request for _, request in group]


def fields_of(request: Request, numbers: bytes, server: Httpd) -> dict[str, Any]:
    """The fields that the test knows, and those of the server's log of numbers."""
    names = "usec duration connection status original body in out pid tid kept port handler log_id"
    seen = dict(zip(names.split(), numbers.decode().split(" "), strict=True))
    absent = {"-": None}
    cookies = request.fields["requestHeaders"].get("Cookie", "")
    return request.fields | {
        "time": int(seen["usec"]) * 1000,
        "durationNanoseconds": int(seen["duration"]) * 1000,
        "client": request.address,
        "remotePort": int(seen["port"]),
        "status": int(seen["status"]),
        "originalStatus": int(seen["original"]),
        "bodyBytes": int(seen["body"]),
        "bytesIn": int(seen["in"]),
        "bytesOut": int(seen["out"]),
        "connectionStatus": seen["connection"],
        "pid": int(seen["pid"]),
        "tid": int(seen["tid"]),
        "keepAliveRequests": int(seen["kept"]),
        "handler": absent.get(seen["handler"], seen["handler"]),
        "logId": absent.get(seen["log_id"], seen["log_id"]),
        "virtualHost": "oracle.example",
        "serverName": request.fields["requestHeaders"].get("Host", "oracle.example"),
        "port": 8008,
        "localPort": server.port,
        "localAddress": request.address,
        "filename": filename(request, server),
        "cookies": dict(pair.split("=", 1) for pair in cookies.split("; ") if pair),
        "environment": {"FLAVOUR": 'va"nilla'} if served_from_documents(request) else {},
    }


def filename(request: Request, server: Httpd) -> str | None:
    """The file that httpd maps a request to; the request has it if it isn't its path."""
    path = request.fields.get("path") or request.fields.get("target") or ""
    decoded = text(unquote_to_bytes(path.encode("latin-1"))).lstrip("/")
    name = request.fields.get("filename", decoded)
    return None if name is None else f"{server.documents}/{name}"


def served_from_documents(request: Request) -> bool:
    """Whether the request reached the directory of documents, so that its `SetEnv` holds."""
    if request.fields.get("target") == "*":
        return False
    is_directory = request.fields.get("filename") == "empty/"
    return is_directory or request.status in (200, 206, 301, 304, 404, 501)


def test_every_request_was_answered_as_it_should_provoke(httpd: Httpd) -> None:
    seen = [int(line.split()[3]) for line in httpd.lines("fields")]
    wanted = {request.name: request.status for request in REQUESTS}
    assert dict(zip(wanted, seen, strict=True)) == wanted


@pytest.mark.parametrize("name", ["Common", "Combined", "CombinedIo", "VhostCombined"])
def test_the_standard_formats_are_byte_identical(httpd: Httpd, name: str) -> None:
    compare(httpd, name, REQUESTS)


def test_every_other_directive_is_byte_identical(httpd: Httpd) -> None:
    compare(httpd, "Custom", [request for request in REQUESTS if request.is_well_formed])


def test_every_conversion_of_a_time_is_byte_identical(httpd: Httpd) -> None:
    numbers, theirs = httpd.lines("fields")[0], httpd.lines("Strftime")[0]
    fields = fields_of(REQUESTS[0], numbers, httpd)
    ours = formatter.render([formatter.access(STRFTIME, httpd.time_zone, fields)])[0]
    # Side by side, so that a failure shows which.
    assert ours.split(b"|") == theirs.split(b"|")


def compare(httpd: Httpd, log: str, compared: list[Request]) -> None:
    """Compares the lines of the compared requests in one of httpd's logs with ours."""
    numbers = zip(REQUESTS, httpd.lines("fields"), httpd.lines(log), strict=True)
    rows = [row for row in numbers if row[0] in compared]
    fields = [fields_of(request, numbers, httpd) for request, numbers, _ in rows]
    wanted = httpd.formats[log]
    ours = formatter.render([formatter.access(wanted, httpd.time_zone, field) for field in fields])
    differing = {
        request.name: {"httpd": theirs, "ours": line}
        for (request, _, theirs), line in zip(rows, ours, strict=True)
        if theirs != line
    }
    assert not differing, "\n".join(f"{name}: {pair}" for name, pair in differing.items())
