"""A proxy in front of an API server that injects faults: errors, delays, or no response. It records
the requests."""

from __future__ import annotations

import json
import select
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

WRITES = {"POST", "PUT", "PATCH", "DELETE"}
# In place of a status: there is no answer until the client gives up.
SILENCE = 0
REASONS = {409: "Conflict", 429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable"}
# What is between two hosts, and not between two programs.
HOP_BY_HOP = {"connection", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
# The response to a watch whose resource version has expired.
TOO_OLD = {
    "type": "ERROR",
    "object": {
        "apiVersion": "v1",
        "kind": "Status",
        "status": "Failure",
        "message": "too old resource version: 1 (2)",
        "reason": "Expired",
        "code": 410,
    },
}


class Seen(NamedTuple):
    """A request that came."""

    time: float
    method: str
    path: str
    # How it was made to fail, if it was.
    fault: int | None


class FaultyProxy(ThreadingHTTPServer):
    """Hands requests on to `backend` (HOST:PORT), but for those that are to fail."""

    daemon_threads = True

    def __init__(self, backend: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.backend = backend
        self.given: Counter[int] = Counter()
        self.ended = threading.Event()
        # How many seconds each answer takes more than it would.
        self.delay = 0.0
        # The `Retry-After` of an overloaded server (429), in seconds.
        self.retry_after = 0
        # Whether connections are ended without an answer, as by a server that is away.
        self.is_away = False
        # The events that a new watch returns at once before it ends; None for one that continues.
        self.watches_end_with: bytes | None = None
        self._lock = threading.Lock()
        self._writes: deque[int] = deque()
        # By a part of their path.
        self._watches: dict[str, deque[int]] = {}
        self._watching: dict[socket.socket, str] = {}
        self._seen: list[Seen] = []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def seen(self) -> list[Seen]:
        """All requests so far."""
        with self._lock:
            return list(self._seen)

    def fail_writes(self, *statuses: int) -> None:
        """The next writes are answered by these statuses."""
        self._writes.extend(statuses)

    def fail_watches(self, part: str, *statuses: int) -> None:
        """The next watches with this in their path are answered by these statuses, and those that
        there are end now."""
        with self._lock:
            self._watches[part] = deque(statuses)
        self.cut_watches(part)

    def cut_watches(self, part: str = "") -> None:
        """Ends the watches that there are with this in their path."""
        with self._lock:
            for connection, path in self._watching.items():
                if part in path:
                    with suppress(OSError):
                        connection.shutdown(socket.SHUT_RDWR)

    def is_done(self) -> bool:
        """Whether all that was to fail has failed."""
        return not self._writes and not any(self._watches.values())

    def fault(self, method: str, path: str) -> int | None:
        """How a request is to fail, if it is."""
        with self._lock:
            if is_watch(path):
                faults = next((f for part, f in self._watches.items() if f and part in path), None)
            else:
                faults = self._writes if method in WRITES else None
            fault = faults.popleft() if faults else None
            if fault is not None:
                self.given[fault] += 1
            self._seen.append(Seen(time.monotonic(), method, path, fault))
            return fault

    @contextmanager
    def watching(self, connection: socket.socket, path: str) -> Iterator[None]:
        with self._lock:
            self._watching[connection] = path
        try:
            yield
        finally:
            with self._lock:
                del self._watching[connection]


def is_watch(path: str) -> bool:
    return "watch=true" in path


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultyProxy

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.server.fault(self.command, self.path)
        if self.server.is_away:
            self.close_connection = True
            return
        self.server.ended.wait(self.server.delay)
        if fault == SILENCE:
            self.say_nothing()
        elif fault is not None:
            self.refuse(fault)
        elif is_watch(self.path) and self.server.watches_end_with is not None:
            self.reply(200, self.server.watches_end_with)
        else:
            # Either side may end a connection at any time.
            with suppress(ConnectionError, HTTPException):
                self.hand_on(body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

    def hand_on(self, body: bytes) -> None:
        backend = HTTPConnection(self.server.backend)
        headers = {n: v for n, v in self.headers.items() if n.lower() not in HOP_BY_HOP}
        try:
            backend.request(self.command, self.path, body or None, headers)
            response = backend.getresponse()
            self.send_response(response.status)
            for name, value in response.getheaders():
                if name.lower() not in HOP_BY_HOP | {"content-length"}:
                    self.send_header(name, value)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            if is_watch(self.path):
                with self.server.watching(self.connection, self.path):
                    self.copy(response)
            else:
                self.copy(response)
        finally:
            backend.close()

    def copy(self, response: HTTPResponse) -> None:
        """Each piece as it comes: a watch never ends."""
        while piece := response.read1(1 << 16):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def say_nothing(self) -> None:
        while not self.server.ended.is_set():
            readable, _, _ = select.select([self.connection], [], [], 0.1)
            if readable and not self.connection.recv(1, socket.MSG_PEEK):
                break
        self.close_connection = True

    def refuse(self, status: int) -> None:
        reported = {
            "apiVersion": "v1",
            "kind": "Status",
            "status": "Failure",
            "message": "told to fail",
            "reason": REASONS.get(status, "Unknown"),
            "code": status,
        }
        headers = {}
        if status == 429 and self.server.retry_after:
            headers["Retry-After"] = str(self.server.retry_after)
        self.reply(status, json.dumps(reported).encode(), headers)

    def reply(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing: the operator logs what it sees."""


@contextmanager
def faulty_proxy(backend: str) -> Iterator[FaultyProxy]:
    with FaultyProxy(backend) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        try:
            yield proxy
        finally:
            proxy.ended.set()
            proxy.shutdown()
