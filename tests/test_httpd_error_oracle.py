"""Real httpd is the reference for error logs: our formatter, with the same fields, writes the same
bytes.

Each line that httpd writes is taken apart into fields by a strict pattern and rendered again. Where
the test itself sent the awkward bytes, the message and the referer are taken from what was sent,
so that the escaping is compared, not just copied.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from support import formatter
from support.error_lines import fields_of
from support.formatter import text
from support.httpd import Httpd
from support.requests import Request, raw, request

AWKWARD = b'"quoted" back\\slash \x01\x0a\x1b[31m \xc3\xa9 \xff'
ENCODED = b"%22quoted%22%20back%5cslash%20%01%0a%1b[31m%20%c3%a9%20%ff"
# A header holds no controls but the tab.
PAGE = b'http://shop.example/?q="a"\\\t\xc3\xa9'
REWRITING = "RewriteEngine On\nRewriteRule ^/rewritten$ /index.html"


@dataclass
class Provocation:
    """A request, and the message that it makes httpd write; {root} and {docs} are its
    directories."""

    request: Request
    code: str
    message: bytes
    referer: bytes | None = None


def too_long(
    name: str, path: bytes, backslash: bytes = b"\\", referer: bytes | None = None
) -> Provocation:
    """A name that no file system takes, and that the message has twice."""
    return Provocation(
        request(
            name,
            b"/" + path.replace(b"\\", backslash),
            headers={"Referer": referer} if referer else {},
            status=403,
        ),
        "AH00036",
        b"AH00036: access to /" + path + b" failed (filesystem path '{docs}/" + path + b"')",
        referer,
    )


PROVOCATIONS = [
    Provocation(
        request("missing", b"/lost/" + ENCODED, status=404),
        "AH00128",
        b"AH00128: File does not exist: {docs}/lost/" + AWKWARD,
    ),
    Provocation(
        request("denied", b"/denied", headers={"Referer": PAGE}, status=403),
        "AH01630",
        b"AH01630: client denied by server configuration: {docs}/denied",
        PAGE,
    ),
    Provocation(
        request("denied over IPv6", b"/denied", address="::1", status=403),
        "AH01630",
        b"AH01630: client denied by server configuration: {docs}/denied",
    ),
    Provocation(
        request("no index", b"/empty/", status=403),
        "AH01276",
        b"AH01276: Cannot serve directory {docs}/empty/: No matching DirectoryIndex (index.html)"
        b" found, and server-generated directory index forbidden by Options directive",
    ),
    Provocation(
        request("no permission", b"/secret/" + ENCODED, status=403),
        "AH00035",
        b"AH00035: access to /secret/"
        + AWKWARD
        + b" denied (filesystem path '{docs}/secret/"
        + AWKWARD
        + b"') because search permissions are missing on a component of the path",
    ),
    Provocation(
        request("no such user", b"/members", user=b'fr "an\\k\xc3\xa9\x01\x1b', status=401),
        "AH01618",
        b'AH01618: user fr "an\\k\xc3\xa9\x01\x1b not found: /members',
    ),
    Provocation(
        request("wrong password", b"/members", user=b"frank", status=401),
        "AH01617",
        b'AH01617: user frank: authentication failure for "/members": Password Mismatch',
    ),
    Provocation(
        raw("no path", b"GET lost\xe9 HTTP/1.1\r\nHost: a\r\n\r\n", b"", 400),
        "AH03450",
        b"AH03450: HTTP Request Line; Unable to parse URI: 'lost\xe9'",
    ),
    Provocation(
        request("above the root", b"/../../etc/passwd", status=400),
        "AH10244",
        b"AH10244: invalid URI path (/../../etc/passwd)",
    ),
    Provocation(
        request("unknown method", method=b"BREW", status=501),
        "AH00135",
        b"AH00135: Invalid method in request BREW /index.html HTTP/1.1",
    ),
    Provocation(
        request("missing, after a rewriting", b"/rewritten", status=404),
        "AH00128",
        b"AH00128: File does not exist: {docs}/index.html",
    ),
    # The line's length is limited: the cut falls among ordinary bytes, at each byte of an escape
    # of four and of one of two, and in the referer.
    too_long("cut", b"a" * 4030),
    *(too_long(f"cut at byte {n} of 4", b"a" * n + b"\xe9" * 3000) for n in range(4)),
    *(too_long(f"cut at byte {n} of 2", b"a" * n + b"\\" * 2500, b"%5c") for n in range(2)),
    too_long("referer cut", b"a" * 3990, referer=PAGE * 9),
]

SERVERS = [
    pytest.param(("event", "UTC"), id="event-UTC"),
    pytest.param(("worker", "America/St_Johns"), id="worker-St_Johns"),
    pytest.param(("prefork", "Asia/Kathmandu"), id="prefork-Kathmandu"),
]


@dataclass
class Story:
    """A server that has ended, and the port that each provocation came from."""

    server: Httpd
    ports: list[int]


@pytest.fixture(scope="module", params=SERVERS)
def story(request: pytest.FixtureRequest) -> Iterator[Story]:
    mpm, time_zone = request.param
    with Httpd(mpm=mpm, time_zone=time_zone, log_level="trace2", extra=REWRITING) as server:
        secret = server.documents / "secret"
        secret.mkdir()
        secret.chmod(0o700 if os.geteuid() == 0 else 0)
        (server.documents / "members").write_text("Frank\n")
        # The password `other`, hashed by htpasswd -s.
        (server.root / "users").write_text("frank:{SHA}0ZQJ6wvSEDkT8mSGNHXm3Cqm6pM=\n")
        ports = [
            server.exchange(provocation.request.address, provocation.request.sent)[0]
            for provocation in PROVOCATIONS
        ]
        server.stop()
        secret.chmod(0o700)
        yield Story(server, ports)


def test_every_line_is_byte_identical(story: Story) -> None:
    # What was cut off can't be read from a line; those lines are compared with what was sent.
    lines = [line for line in story.server.lines("error") if len(line) < 8000]
    fields = [fields_of(line, story.server.time_zone) for line in lines]
    levels = {field["level"] for field in fields}
    assert {"notice", "error", "info", "debug", "trace1", "trace2"} <= levels
    assert any(field["sourceFile"] for field in fields) and any(field["errno"] for field in fields)
    compare(story.server, lines, fields)


@pytest.mark.parametrize(
    "index", range(len(PROVOCATIONS)), ids=[p.request.name for p in PROVOCATIONS]
)
def test_what_was_sent_is_escaped_as_httpd_does(story: Story, index: int) -> None:
    provocation, server = PROVOCATIONS[index], story.server
    mark = f":{story.ports[index]}] {provocation.code}: ".encode()
    lines = [line for line in server.lines("error") if mark in line]
    assert len(lines) == 1, server.lines("error")
    fields = fields_of(lines[0], server.time_zone)
    message = provocation.message.replace(b"{docs}", os.fsencode(server.documents))
    fields["message"] = text(message)
    fields["referer"] = None if provocation.referer is None else text(provocation.referer)
    assert fields["client"] == provocation.request.address
    compare(server, lines, [fields])


def compare(server: Httpd, theirs: list[bytes], fields: list[dict]) -> None:
    ours = formatter.render(
        [formatter.error(server.mpm, server.time_zone, field) for field in fields]
    )
    differing = [(line, our) for line, our in zip(theirs, ours, strict=True) if line != our]
    assert not differing, "\n".join(report(*pair) for pair in differing[:5])


def report(theirs: bytes, ours: bytes) -> str:
    """The neighbourhood of the first difference."""
    same = len(os.path.commonprefix([theirs, ours]))
    place = slice(max(0, same - 60), same + 200)
    return (
        f"\nfrom byte {same}"
        f"\nhttpd ({len(theirs)}) {theirs[place]}"
        f"\nours  ({len(ours)}) {ours[place]}"
    )
