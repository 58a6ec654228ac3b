"""Malformed requests of the default access log: what Visor writes about each is what httpd writes.

Each is sent to a real httpd; each directive must have the same value, except for what is another
server's: its clients, threads and times, and the page that a request of HTTP/0.9 gets.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.documents import access, save, source, stream
from support.httpd import MODULES, Httpd
from support.program import visor

DIRECTIVES = (
    "%r %m %U %q %H %f %v %V %{Host}i %s %>s %u %l %{Referer}i %{User-Agent}i %{X-Request-Id}i "
    "%{X-None}i %{None}C %{none}n %{none}e %{UNIQUE_ID}e %{Content-Type}o %{None}o %{None}^ti "
    "%{None}^to %{HTTPS}x %{SSL_PROTOCOL}x %{SSL_CIPHER}x %{version}c %{None}x %b %B %I %O %S %k "
    "%X %R %L"
).split()
SIZES = ("%b", "%B", "%O", "%S")
NAME = "shop.example"


def tls(start: bytes, size: int) -> bytes:
    """A hello of TLS of this size, which contains a byte that ends a line."""
    return start + b"\0" + b"a" * (size - len(start) - 2) + b"\n"


# What is sent, by the request line that httpd logs.
SENT = {
    "-": b"",
    "- after an empty line": b"\r\n\r\n",
    "GET / HTTP/1.1 that times out": b"GET / HTTP/1.1\r\nHost: shop.example\r\n",
    r"\x16\x03\x01": tls(b"\x16\x03\x01", 517),
    r"\x16\x03\x01\x02": tls(b"\x16\x03\x01\x02", 517),
    r"\x16\x03\x01\x01\xfc\x01": tls(b"\x16\x03\x01\x01\xfc\x01", 513),
    r"\x16\x03\x01\x05\xa8\x01": tls(b"\x16\x03\x01\x05\xa8\x01", 1453),
    r"\x16\x03\x02\x01o\x01": tls(b"\x16\x03\x02\x01o\x01", 372),
    r"\x03": b"\x03\x00\x00+&\xe0\x00\x00\x00\x00\x00Cookie: mstshash=administrator1\n"[:43],
    "": b"\x00\x00\x00\x54\xffSMBr" + b"\x00" * 74 + b"\n",
    r"\x05\x01": b"\x05\x01\x00\n",
    r"\x04\x01": b"\x04\x01\x00\x50\xc0\x00\x02\x0b\n",
    "JRMI": b"JRMI\x00\x02K\n",
    r"t3 12.1.2\n": b"t3 12.1.2\n",
    r"\n": b"\n",
    r"\x01default\n": b"\x01default\n",
    r"MGLNDD_192.0.2.10_80\n": b"MGLNDD_192.0.2.10_80\n",
    r"H\xc0\x80\"\\\xe9\n": b'H\xc0\x80"\\\xe9\n',
    "SSH-2.0-Go": b"SSH-2.0-Go\r\n",
    "quit": b"quit\r\n",
    "GET": b"GET\r\n",
    "PRI * HTTP/2.0": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "GET / HTTP/1.1": b"GET / HTTP/1.1\r\n\r\n",
    "GET / http/1.1": b"GET / http/1.1\r\nHost: shop.example\r\n\r\n",
    "GET index.php HTTP/1.1": b"GET index.php HTTP/1.1\r\nHost: shop.example\r\n\r\n",
    r"G\"ET / HTTP/1.1": b'G"ET / HTTP/1.1\r\nHost: shop.example\r\n\r\n',
    "GET /new folder/": b"GET /new folder/ HTTP/1.1\r\nHost: shop.example\r\n\r\n",
    "POST /login": b"POST /login\r\n",
    "GET /": b"GET /\r\n",
    "GET /cgi-bin/AAA HTTP/1.0": b"GET /cgi-bin/" + b"A" * 1500 + b" HTTP/1.0\r\n\r\n",
    "GET /index.php?s=AAA": b"GET /index.php?s=" + b"A" * 8988 + b" HTTP/1.1\r\n\r\n",
}


@pytest.fixture(scope="module")
def httpd() -> Iterator[Httpd]:
    modules = "\n".join(
        f"LoadModule {name}_module {MODULES}/mod_{name}.so" for name in ("unique_id", "ssl")
    )
    extra = f"ServerName {NAME}:8008\nServerTokens OS\nDirectoryIndex disabled"
    # Modules come first: their directives are in the formats.
    extra = f"{modules}\n{extra}"
    with Httpd(custom="|".join(DIRECTIVES), extra=extra) as server:
        yield server


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, ...], set[str]]:
    """The lines about malformed requests in a long default log, without the sizes of pages of
    HTTP/0.9, and the ports of their servers."""
    log = {
        "format": "Custom",
        "logFormat": "|".join([*DIRECTIVES, "%p", "%D"]),
        "malformedRequests": True,
    }
    directory = tmp_path_factory.mktemp("malformed")
    spec = source("default", access("web", stream("requests", "Access"), **log), seed=1)
    document = save(directory / "default.yaml", spec)
    done = visor(
        *("run", "-f", document, "--listen", "none", "--simulate"),
        *("--start", "2026-01-01", "--for", "30h"),
    )
    assert done.returncode == 0, done.stderr
    found: dict[tuple[str, ...], set[str]] = {}
    for line in done.stdout.decode().splitlines():
        *values, port, _duration = line.split("|")
        fields = dict(zip(DIRECTIVES, values, strict=True))
        if fields["%{Host}i"] == "-":
            found.setdefault(tuple(normal(fields).values()), set()).add(port)
    return found


def normal(fields: dict[str, str]) -> dict[str, str]:
    """The fields without what is another server's."""
    fields = dict(fields)
    if fields["%{UNIQUE_ID}e"] != "-":
        fields["%{UNIQUE_ID}e"] = "an id"
    if fields["%H"] == "HTTP/0.9":
        for size in SIZES:
            fields[size] = "of a page"
        # The page of a server without an index is made by a module.
        fields["%R"] = "-"
    return fields


def of_httpd(server: Httpd, sent: bytes) -> dict[str, str]:
    server.exchange("127.0.0.1", sent)
    line = server.lines("Custom")[-1].decode()
    fields = dict(zip(DIRECTIVES, line.split("|"), strict=True))
    return fields | {"%f": fields["%f"].replace(str(server.documents), "/var/www/html")}


@pytest.mark.parametrize("name", SENT)
def test_a_malformed_request_is_as_httpd_writes_it(
    httpd: Httpd, ours: dict[tuple[str, ...], set[str]], name: str
) -> None:
    theirs = normal(of_httpd(httpd, SENT[name]))
    same_line = [
        dict(zip(DIRECTIVES, values, strict=True)) for values in ours if values[0] == theirs["%r"]
    ]
    differing = [
        {name: (value, theirs[name]) for name, value in fields.items() if value != theirs[name]}
        for fields in same_line
    ]
    assert {} in differing, differing


def test_each_malformed_request_of_a_default_log_is_one_of_these(
    httpd: Httpd, ours: dict[tuple[str, ...], set[str]]
) -> None:
    assert len(ours) == len(SENT)
    assert all(ports == {"80"} for ports in ours.values())


@pytest.mark.parametrize(
    ("log", "are_malformed"),
    [
        ({}, True),
        ({"clients": {"pool": 3}}, True),
        ({"format": "Custom", "logFormat": '"%r" %>s '}, False),
        ({"users": [{"value": "Frank"}]}, False),
        ({"users": [{"value": "Frank"}], "malformedRequests": True}, True),
        ({"targets": [{"value": "/"}], "statuses": [{"value": 200}]}, False),
        ({"malformedRequests": False}, False),
    ],
    ids=str,
)
def test_one_of_250_requests_is_malformed_unless_lists_are_set(
    tmp_path: Path, log: dict, are_malformed: bool
) -> None:
    requests = stream("requests", "Access", {"unlimited": {}})
    spec = source("share", access("web", requests, **log), seed=3, stopAfter={"lines": 50_000})
    document = save(tmp_path / "share.yaml", spec)
    done = visor("run", "-f", document, "--listen", "none")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.decode().splitlines()
    refused = [line for line in lines if '" 408 ' in line or '"\\x16' in line or "PRI *" in line]
    # Half of 200 are these; five times the deviation of a binomial distribution are allowed.
    assert (60 < len(refused) < 170) if are_malformed else not refused
