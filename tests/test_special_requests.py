"""Requests that aren't for a path: what Visor writes about them is what httpd writes.

Each is sent to a real httpd, and configured in a document; each directive about the request line,
its target and its host must have the same value. httpd's own configuration is the only difference:
the directory of its documents and its name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from support.documents import access, source, stream
from support.httpd import Httpd
from support.program import visor

# Each directive that says something about the request line, the target or the host.
DIRECTIVES = (
    "%r %m %U %q %H %f %v %V %{Host}i %s %>s %u %l %{Referer}i %{User-Agent}i %h %a %{c}a "
    "%{X-None}i %{None}o %{none}C %{none}n %{none}e %{None}^ti %{None}^to"
).split()
LOG_FORMAT = "|".join(DIRECTIVES)
NAME = "shop.example"


class Special(NamedTuple):
    """What is sent, and how a document says it."""

    name: str
    sent: str
    method: str
    target: str
    protocol: str = "HTTP/1.1"


SPECIAL = [
    Special("a path", "GET /a%20b?c=d HTTP/1.1", "GET", "/a%20b?c=d"),
    Special("the server", "OPTIONS * HTTP/1.1", "OPTIONS", "*"),
    Special("an authority", "CONNECT shop.example:443 HTTP/1.1", "CONNECT", "shop.example:443"),
    Special("an address", "CONNECT 192.0.2.1:443 HTTP/1.1", "CONNECT", "192.0.2.1:443"),
    Special("a URI", "GET http://shop.example/a?b HTTP/1.1", "GET", "http://shop.example/a?b"),
    Special("no path", "GET http://shop.example HTTP/1.1", "GET", "http://shop.example"),
    Special("a port", "GET http://Shop.example:80 HTTP/1.1", "GET", "http://Shop.example:80"),
    Special("only a query", "GET ?x HTTP/1.1", "GET", "?x"),
    Special("a directory", "GET / HTTP/1.1", "GET", "/"),
    Special("a bad escape", "GET /%zz HTTP/1.1", "GET", "/%zz"),
    Special("a bad expectation", "GET /a HTTP/1.1\r\nExpect: miracles", "GET", "/a"),
    Special("HTTP/1.0", "GET /a HTTP/1.0", "GET", "/a", "HTTP/1.0"),
    Special("TRACE", "TRACE /a HTTP/1.1", "TRACE", "/a"),
    Special("an unknown method", "BREW /a HTTP/1.1", "BREW", "/a"),
    Special("a large body", "POST /a HTTP/1.1\r\nContent-Length: 5000", "POST", "/a"),
]


@pytest.fixture(scope="module")
def httpd() -> Iterator[Httpd]:
    extra = f"ServerName {NAME}:8008\nDirectoryIndex disabled\nLimitRequestBody 1000"
    with Httpd(custom=LOG_FORMAT, extra=extra) as server:
        yield server


def of_httpd(server: Httpd, request: Special) -> dict[str, str]:
    """What httpd writes."""
    head = f"{request.sent}\r\nHost: {NAME}\r\nConnection: close\r\n\r\n"
    server.exchange("127.0.0.1", head.encode())
    line = server.lines("Custom")[-1].decode()
    values = dict(zip(DIRECTIVES, line.split("|"), strict=True))
    return values | {"%f": values["%f"].replace(str(server.documents), "/var/www/html")}


def of_visor(tmp_path: Path, request: Special, status: str) -> dict[str, str]:
    """What Visor writes about the same request with the same answer."""

    def one(value: str) -> list[dict[str, Any]]:
        return [{"value": value}]

    log = {
        "format": "Custom",
        "logFormat": LOG_FORMAT,
        "methods": one(request.method),
        "targets": one(request.target),
        "protocols": one(request.protocol),
        "statuses": [{"value": int(status)}],
        "virtualHosts": one(NAME),
        "users": one("-"),
        "referers": one("-"),
        "userAgents": one("-"),
        "clients": {"pool": 1, "networks": one("127.0.0.1/32")},
    }
    document = tmp_path / "special.json"
    spec = source("special", access("web", stream("one", "Access"), **log))
    document.write_text(json.dumps(spec | {"spec": spec["spec"] | {"stopAfter": {"lines": 1}}}))
    done = visor("run", "-f", document, "--listen", "none")
    assert done.returncode == 0, done.stderr
    return dict(zip(DIRECTIVES, done.stdout.decode().rstrip("\n").split("|"), strict=True))


@pytest.mark.parametrize("special", SPECIAL, ids=lambda special: special.name)
def test_every_directive_is_that_of_httpd(httpd: Httpd, tmp_path: Path, special: Special) -> None:
    theirs = of_httpd(httpd, special)
    ours = of_visor(tmp_path, special, theirs["%>s"])
    differing = {
        name: {"httpd": value, "ours": ours[name]}
        for name, value in theirs.items()
        if value != ours[name]
    }
    assert not differing


HEARTBEATS = {
    "KubeProbe": f"GET /healthz HTTP/1.1\r\nHost: {NAME}\r\nUser-Agent: kube-probe/1.33",
    "InternalDummyConnection": "OPTIONS * HTTP/1.0\r\nUser-Agent: "
    "Apache/2.4.71 (Debian) (internal dummy connection)",
}


@pytest.mark.parametrize("style", HEARTBEATS)
def test_a_heartbeat_is_a_request_of_httpd(httpd: Httpd, tmp_path: Path, style: str) -> None:
    (httpd.documents / "healthz").write_text("ok\n")
    connection = "" if "HTTP/1.0" in HEARTBEATS[style] else "Connection: close\r\n"
    httpd.exchange("127.0.0.1", f"{HEARTBEATS[style]}\r\n{connection}\r\n".encode())
    line = httpd.lines("Custom")[-1].decode()
    theirs = dict(zip(DIRECTIVES, line.split("|"), strict=True))
    theirs["%f"] = theirs["%f"].replace(str(httpd.documents), "/var/www/html")
    log = {
        "format": "Custom",
        "logFormat": LOG_FORMAT,
        "virtualHosts": [{"value": NAME}, {"value": "other.example"}],
    }
    spec = source("probes", access("web", stream("one", "Heartbeat", heartbeat=style), **log))
    document = tmp_path / "probes.json"
    document.write_text(json.dumps(spec | {"spec": spec["spec"] | {"stopAfter": {"lines": 1}}}))
    done = visor("run", "-f", document, "--listen", "none")
    assert done.returncode == 0, done.stderr
    ours = dict(zip(DIRECTIVES, done.stdout.decode().rstrip("\n").split("|"), strict=True))
    for address in ("%h", "%a", "%{c}a"):
        del ours[address], theirs[address]
    assert ours == theirs
