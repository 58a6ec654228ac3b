"""Awkward HTTP requests as bytes, each with the fields that its log line must show."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

from support.formatter import text


@dataclass
class Request:
    """What is sent, and what the log must contain. `fields` are the formatter's; those that only
    the server knows (times, sizes) are added from httpd's own log of fields."""

    name: str
    sent: bytes
    fields: dict[str, Any] = field(default_factory=dict)
    status: int = 200
    address: str = "127.0.0.1"
    # Sent on the connection of the request before it.
    same_connection: bool = False

    @property
    def is_well_formed(self) -> bool:
        """Whether httpd made sense of the request line, so that its parts are known."""
        return "method" in self.fields


def request(
    name: str,
    target: bytes = b"/index.html",
    *,
    method: bytes = b"GET",
    protocol: bytes = b"HTTP/1.1",
    headers: dict[str, bytes] | None = None,
    user: bytes | None = None,
    path: bytes | None = None,
    location: str | None = None,
    filename: str | None = "",
    keep_alive: bool = False,
    **more: Any,
) -> Request:
    """A well-formed request. `path` is the target's path as processed by httpd, if it depends on
    more than the target; `user` has a password; `location` is where httpd redirects it; `filename`
    is the document, if it isn't the path."""
    line = method + b" " + target + b" " + protocol
    headers = dict(headers or {})
    if user is not None:
        headers["Authorization"] = b"Basic " + base64.b64encode(user + b":secret")
    sent = [line, b"Host: www.oracle.example"]
    sent += [name.encode() + b": " + value for name, value in headers.items()]
    if not keep_alive:
        sent.append(b"Connection: close")
    plain, mark, query = target.partition(b"?")
    fields = {
        "requestLine": text(line),
        "method": text(method),
        **({"target": text(plain)} if path is None else {"path": text(path)}),
        "query": text(mark + query),
        "protocol": text(protocol),
        "user": None if user is None else text(user),
        "requestHeaders": {name: text(value.strip()) for name, value in headers.items()}
        | {"Host": "www.oracle.example"},
        "responseHeaders": {"Location": location} if location else {},
        **({"filename": filename} if filename != "" else {}),
    }
    return Request(name, b"\r\n".join(sent) + b"\r\n\r\n", fields, **more)


def raw(name: str, sent: bytes, request_line: bytes | None, status: int, **more: Any) -> Request:
    """Bytes that are no HTTP request, and the request line that httpd takes from them."""
    line = None if request_line is None else text(request_line)
    return Request(name, sent, {"requestLine": line, "requestHeaders": {}}, status, **more)


# Every unusual byte that a header may contain; httpd rejects the other control characters.
AWKWARD = b'q"uo"te back\\slash tab\there %percent% \xc3\xa9\xe2\x82\xac \xff\x80\xfe'
HUGE = b"/" + b"a" * 8300

REQUESTS = [
    request("plain", headers={"Referer": b"http://shop.example/", "User-Agent": b"curl/8.5.0"}),
    request("no user agent, no referer"),
    request("empty headers", headers={"Referer": b"", "User-Agent": b""}),
    request("a dash as header", headers={"Referer": b"-", "User-Agent": b"-"}),
    request("awkward user agent", headers={"User-Agent": AWKWARD}),
    request("awkward referer", headers={"Referer": AWKWARD, "User-Agent": b'"'}),
    request("every printable byte", headers={"User-Agent": bytes(range(0x20, 0x7F)) + b"x"}),
    request("every byte above", headers={"User-Agent": bytes(range(0x80, 0x100))}),
    request("query", b'/index.html?a=b&c="d"\\e%20f'),
    request("query mark alone", b"/index.html?"),
    request("raw UTF-8 in the target", "/index.html?ä=€".encode()),
    request("escaped UTF-8 in the path", b"/%c3%a9t%C3%A9", status=404),
    request("escaped controls", b"/a%01%0a%22%5c%7f", status=404),
    request("an escaped space", b"/not%20here", status=404),
    request("escaped letters", b"/%69n%64ex.html"),
    request("slashes", b"//index.html"),
    request("dot segments", b"/empty/../././index.html", filename="index.html"),
    request("escaped dot segments", b"/empty/%2e%2E/index.html", filename="index.html"),
    request("a dot at the end", b"/empty/.", status=403, filename="empty/"),
    request(
        "an absolute URI", b"http://www.oracle.example//%69ndex.html?a=b", filename="index.html"
    ),
    request("an escape that is none", b"/%zz", status=400, filename=None),
    request("HEAD", method=b"HEAD"),
    request("not modified", headers={"If-None-Match": b"*"}, status=304),
    request("partial", headers={"Range": b"bytes=2-5"}, status=206),
    request("empty file", b"/empty.txt"),
    request("missing", b"/missing.html", status=404),
    request("moved", b"/empty", status=301, location="http://www.oracle.example:8008/empty/"),
    request("internal redirect", b"/", path=b"/index.html"),
    request("denied", b"/denied", status=403),
    request("no user", b"/members", status=401),
    request("user", b"/members", user=b"frank", status=200),
    request("empty user", b"/members", user=b"", status=401),
    request("awkward user", b"/members", user=b'fr "an\\k\xc3\xa9\x01\x1b', status=401),
    request("wildcard", b"*", method=b"OPTIONS"),
    request("unknown method", method=b"BREW", status=501),
    request("HTTP/1.0", protocol=b"HTTP/1.0"),
    request("IPv6", address="::1", headers={"User-Agent": b"six"}),
    request("cookies", headers={"Cookie": b'theme=dark; SESSION=ab\\c"d; last=1'}),
    request("kept alive", keep_alive=True, headers={"User-Agent": b"first"}),
    request("the second of a connection", b"/empty.txt", same_connection=True, keep_alive=True),
    request("the third of a connection", b"/missing", same_connection=True, status=404),
    raw("no protocol", b"GET /index.html\r\n", b"GET /index.html", 200),
    raw("one word", b"GARBAGE\r\n\r\n", b"GARBAGE", 400),
    raw(
        "lower case",
        b"get /index.html HTTP/1.1\r\nHost: a\r\n\r\n",
        b"get /index.html HTTP/1.1",
        501,
    ),
    raw("quotes and controls", b'G"E\\T \x01\x02\x1b[31m\r\n\r\n', b'G"E\\T \x01\x02\x1b[31m', 400),
    raw("bad protocol", b"GET / JUNK/9\r\n\r\n", b"GET / JUNK/9", 400),
    raw("no host", b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1", 400),
    raw("spaces", b"GET  /a  b  HTTP/1.1\r\n\r\n", b"GET /a b", 400),
    raw("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"\x16\x03\x01\x02", 400),
    raw("huge target", b"GET " + HUGE + b" HTTP/1.1\r\n\r\n", b"GET " + HUGE[:8187], 414),
    raw("silence", b"", None, 408),
    raw("half a request line", b"GET /ind", None, 408),
    raw("half the headers", b"GET / HTTP/1.1\r\nHost: a\r\n", b"GET / HTTP/1.1", 408),
]
