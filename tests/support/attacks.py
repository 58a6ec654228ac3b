"""What a hostile peer does to a port: connections by the thousand, requests that don't end, answers
that aren't read, and reviews whose shape costs more than their bytes."""

from __future__ import annotations

import asyncio
import resource
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

# As large as the webhook takes one.
LARGEST = 8 << 20

# What the body of a review is made of again and again, between a beginning and an end.
SHAPES = {
    "containers": ('{"request":{"object":{"spec":{"containers":[', "{}", "]}}}}"),
    "init containers": ('{"request":{"object":{"spec":{"initContainers":[', "[]", "]}}}}"),
    "volumes": ('{"request":{"object":{"spec":{"volumes":[', '{"":0}', "]}}}}"),
    "what nobody reads": ('{"request":{"oldObject":[', "{}", "]}}"),
    "labels": ('{"request":{"object":{"metadata":{"labels":{', '"visor.dev/a":""', "}}}}}"),
    "keys": ('{"request":{"object":{"spec":{', '"a":0', "}}}}"),
    "escapes": ('{"request":{"object":{"metadata":{"name":"', "\\u0061", '"}}}}'),
    "depth": ("", "[", ""),
}


def body(shape: str) -> bytes:
    """A review of nearly the largest size."""
    begin, unit, end = SHAPES[shape]
    between = "" if shape in ("escapes", "depth") else ","
    count = (LARGEST - len(begin) - len(end) - 1) // len(unit + between)
    return (begin + between.join([unit] * count) + end).encode()


def allow_many_connections() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def connect(host: str, port: int, *, reads: int | None = None) -> socket.socket | None:
    """A connection, if there was one to be had in time; with a small buffer for what it reads."""
    stream = socket.socket()
    stream.setblocking(False)
    if reads is not None:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, reads)
    try:
        loop = asyncio.get_running_loop()
        await asyncio.wait_for(loop.sock_connect(stream, (host, port)), 10)
    except (TimeoutError, OSError):
        stream.close()
        return None
    return stream


@asynccontextmanager
async def half_open(host: str, port: int, count: int) -> AsyncIterator[int]:
    """So many connections on which a request was begun, 200 of them at a time on their way, and as
    many of them kept open as this process may. Gives how many could be made."""
    beginnings = [b"", b"GET /metrics HTTP/1.1\r\nHost: a\r\n", b"\x16\x03\x01\x02\x00\x01"]
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    on_their_way = asyncio.Semaphore(200)
    open_sockets: deque[socket.socket] = deque()
    made = 0

    async def begin(number: int) -> None:
        nonlocal made
        async with on_their_way:
            stream = await connect(host, port)
        if stream is None:
            return
        made += 1
        open_sockets.append(stream)
        if len(open_sockets) > most - 2000:
            open_sockets.popleft().close()
        # It may have been ended already.
        with suppress(OSError):
            stream.send(beginnings[number % len(beginnings)])

    try:
        await asyncio.gather(*(begin(number) for number in range(count)))
        yield made
    finally:
        for stream in open_sockets:
            stream.close()


@asynccontextmanager
async def slow_readers(host: str, port: int, count: int) -> AsyncIterator[None]:
    """So many who ask for a page and never read it."""
    streams = []
    for _ in range(count):
        stream = await connect(host, port, reads=2048)
        if stream is not None:
            stream.send(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n" * 20)
            streams.append(stream)
    try:
        yield
    finally:
        for stream in streams:
            stream.close()


async def review(host: str, port: int, content: bytes) -> int:
    """Sends a review, and returns the status of the answer; 0 without one."""
    head = (
        "POST /inject HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        f"Connection: close\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    try:
        reader, writer = await asyncio.wait_for(
            asyncio.open_connection(host, port, ssl=trusting()), 60
        )
    except (TimeoutError, OSError):
        return 0
    try:
        writer.write(head.encode() + content)
        await asyncio.wait_for(writer.drain(), 60)
        answer = await asyncio.wait_for(reader.read(64), 60)
        return int(answer.split()[1]) if answer.startswith(b"HTTP/1.1 ") else 0
    except (TimeoutError, OSError, ssl.SSLError):
        return 0
    finally:
        writer.transport.abort()


async def reviews(host: str, port: int, count: int) -> list[int]:
    """So many of the largest reviews at once, of all shapes."""
    contents = [body(shape) for shape in SHAPES]
    return await asyncio.gather(
        *(review(host, port, contents[number % len(contents)]) for number in range(count))
    )
