"""Real clients deliver lines to the sink, and its verdict is exact."""

from __future__ import annotations

import gzip
import json
import logging
import re
import socket
import subprocess
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import node
from support.documents import access, file, rate, source, stream
from support.files import every_line
from support.program import Running
from support.sink import Sink, counts
from support.tools import tool
from support.waiting import wait_for

LINES = 10_000


@pytest.fixture
def sink(tmp_path: Path, emitted: Path) -> Iterator[Sink]:
    """A sink that is told what was emitted."""
    ports = [f"--{name}=127.0.0.1:0" for name in ("grpc", "forward", "syslog", "lines")]
    with Sink(tmp_path, "--emitted", emitted / "emitted.json", *ports) as sink:
        yield sink


def batches(lines: list[str], size: int = 700) -> Iterator[list[str]]:
    for start in range(0, len(lines), size):
        yield lines[start : start + size]


def post(url: str, body: bytes, **headers: str) -> None:
    request = urllib.request.Request(url, body, headers)
    with urllib.request.urlopen(request, timeout=60) as response:
        assert 200 <= response.status < 300


def plain(sink: Sink, lines: list[str]) -> None:
    for batch in batches(lines):
        post(f"{sink.url}/logs", "\n".join(batch).encode(), **{"Content-Type": "text/plain"})


def as_form_that_is_none(sink: Sink, lines: list[str]) -> None:
    """As syslog-ng's http() sends them."""
    for batch in batches(lines):
        post(f"{sink.url}/", "\n".join(batch).encode())


def by_line(sink: Sink, lines: list[str]) -> None:
    for batch in batches(lines):
        body = "".join(json.dumps({"log": line}) + "\n" for line in batch).encode()
        headers = {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}
        post(f"{sink.url}/any/path", gzip.compress(body), **headers)


def in_lists(sink: Sink, lines: list[str]) -> None:
    for batch in batches(lines):
        body = json.dumps([{"date": 1.5, "log": line} for line in batch]).encode()
        headers = {"Content-Type": "application/json", "Content-Encoding": "deflate"}
        post(f"{sink.url}/", zlib.compress(body), **headers)


def with_zstd(sink: Sink, lines: list[str]) -> None:
    """By curl, with the body of Debian's zstd."""
    for batch in batches(lines, 4000):
        body = "".join(line + "\n" for line in batch).encode()
        packed = subprocess.run(["zstd", "-c"], input=body, capture_output=True, check=True).stdout
        command = ["curl", "-sS", "--fail", "-H", "Content-Encoding: zstd", "--data-binary", "@-"]
        subprocess.run([*command, sink.url], input=packed, check=True, timeout=60)


def elasticsearch(sink: Sink, lines: list[str], **options: object) -> None:
    from elasticsearch import Elasticsearch, helpers

    with Elasticsearch(sink.url, **options) as client:
        assert client.info()["version"]["number"]
        actions = ({"_index": "logs", "message": line} for line in lines)
        assert helpers.bulk(client, actions, chunk_size=700) == (len(lines), [])


def elasticsearch_compressed(sink: Sink, lines: list[str]) -> None:
    elasticsearch(sink, lines, http_compress=True)


def opensearch(sink: Sink, lines: list[str], **options: object) -> None:
    from opensearchpy import OpenSearch, helpers

    client = OpenSearch(sink.url, **options)
    assert client.info()["version"]["distribution"] == "opensearch"
    actions = (
        {"_op_type": "create", "_index": "logs", "_id": number, "message": line}
        for number, line in enumerate(lines)
    )
    assert helpers.bulk(client, actions, chunk_size=700) == (len(lines), [])
    client.close()


def opensearch_compressed(sink: Sink, lines: list[str]) -> None:
    opensearch(sink, lines, http_compress=True)


def otlp(sink: Sink, lines: list[str], compression: str = "none") -> None:
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter

    url = f"{sink.url}/v1/logs"
    export(OTLPLogExporter(url, compression=Compression(compression)), lines)


def otlp_grpc(sink: Sink, lines: list[str], compressed: bool = False) -> None:
    from grpc import Compression
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter

    compression = Compression.Gzip if compressed else Compression.NoCompression
    address = sink.address("grpc")
    export(OTLPLogExporter(address, insecure=True, compression=compression), lines)


def otlp_grpc_compressed(sink: Sink, lines: list[str]) -> None:
    otlp_grpc(sink, lines, compressed=True)


def export(exporter: Any, lines: list[str]) -> None:
    """Logs lines with OpenTelemetry's kit."""
    from opentelemetry._logs import LogRecord, SeverityNumber
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

    provider = LoggerProvider()
    processor = BatchLogRecordProcessor(exporter, max_queue_size=LINES, max_export_batch_size=700)
    provider.add_log_record_processor(processor)
    logger = provider.get_logger("test")
    for line in lines:
        attributes = {"log.file.name": "access.log"}
        logger.emit(
            LogRecord(body=line, severity_number=SeverityNumber.INFO, attributes=attributes)
        )
    provider.shutdown()


def otlp_compressed(sink: Sink, lines: list[str]) -> None:
    otlp(sink, lines, "gzip")


def log_all(handler: logging.Handler, lines: list[str]) -> None:
    """Logs lines as an application does."""
    logger = logging.Logger("test", logging.INFO)
    logger.addHandler(handler)
    for line in lines:
        logger.info("%s", line)


def loki(sink: Sink, lines: list[str], **options: object) -> None:
    from loki_logger_handler.loki_logger_handler import LokiLoggerHandler

    url = f"{sink.url}/loki/api/v1/push"
    handler = LokiLoggerHandler(url, {"job": "test"}, timeout=1, **options)
    for batch in batches(lines):
        log_all(handler, batch)
        handler._send()


def loki_uncompressed(sink: Sink, lines: list[str]) -> None:
    loki(sink, lines, compressed=False)


def splunk(sink: Sink, lines: list[str]) -> None:
    from splunk_handler import SplunkHandler

    host, port = sink.address().split(":")
    handler = SplunkHandler(
        host, port, "token", "main", protocol="http", verify=False, queue_size=0, flush_interval=60
    )
    for batch in batches(lines):
        log_all(handler, batch)
        handler.force_flush()
    handler.close()


def forward(sink: Sink, lines: list[str]) -> None:
    from fluent.sender import FluentSender

    host, port = sink.address("forward").split(":")
    sender = FluentSender("test", host, int(port), nanosecond_precision=True)
    for line in lines:
        assert sender.emit("access", {"log": line, "stream": "stdout"}), sender.last_error
    sender.close()


def by_node(client: str, listener: str, **options: object) -> Callable[[Sink, list[str]], None]:
    """A client of Node's users."""

    def deliver(sink: Sink, lines: list[str]) -> None:
        text = "".join(line + "\n" for line in lines)
        node.deliver(client, sink.address(listener), text.encode(), **options)

    deliver.__name__ = "-".join(["node", client, *options])
    return deliver


def logger(sink: Sink, lines: list[str], *options: str, listener: str = "syslog") -> None:
    """By util-linux' logger."""
    host, port = sink.address(listener).split(":")
    command = ["logger", "--server", host, "--port", port, "--size", "64KiB", *options]
    for batch in batches(lines, 2500):
        text = "".join(line + "\n" for line in batch)
        subprocess.run(command, input=text, text=True, check=True, timeout=60)


def logger_tcp(sink: Sink, lines: list[str]) -> None:
    logger(sink, lines, "--tcp", "--rfc3164")


def logger_octet_count(sink: Sink, lines: list[str]) -> None:
    logger(sink, lines, "--tcp", "--rfc5424", "--octet-count")


def logger_udp(sink: Sink, lines: list[str]) -> None:
    """Few at a time: there is no room for more datagrams than a socket's buffer has."""
    for start in range(0, len(lines), 200):
        batch = lines[start : start + 200]
        logger(sink, batch, "--udp", "--rfc5424", listener="syslog-udp")
        taken = f'visor_sink_records_total{{protocol="syslog"}} {start + len(batch)}'
        wait_for(taken, lambda wanted=taken: wanted in sink.get("/metrics").splitlines())


def lines_over_tcp(sink: Sink, lines: list[str]) -> None:
    host, port = sink.address("lines").split(":")
    with socket.create_connection((host, int(port)), 60) as connection:
        connection.sendall("\n".join(lines).encode())
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""


CLIENTS: list[Callable[[Sink, list[str]], None]] = [
    *(plain, as_form_that_is_none, by_line, in_lists, with_zstd),
    *(elasticsearch, elasticsearch_compressed, opensearch, opensearch_compressed),
    *(forward, logger_tcp, logger_octet_count, logger_udp, lines_over_tcp),
    *(otlp, otlp_compressed, otlp_grpc, otlp_grpc_compressed, loki, loki_uncompressed, splunk),
    *(by_node("loki", "http"), by_node("loki", "http", json=True)),
    *(by_node("elasticsearch", "http"), by_node("elasticsearch", "http", compression=True)),
    by_node("forward", "forward"),
    by_node("forward", "forward", eventMode="CompressedPackedForward"),
]


@pytest.mark.parametrize("deliver", CLIENTS, ids=lambda client: client.__name__)
def test_what_a_client_delivers_is_counted_exactly(
    emitted: Path, sink: Sink, deliver: Callable[[Sink, list[str]], None]
) -> None:
    lines = [line.decode() for line in every_line(emitted / "emitted.log")]
    # One doesn't arrive, and one arrives twice.
    deliver(sink, lines[:5000] + lines[5001:])
    plain(sink, [lines[7000]])
    happened = {"emitted": LINES, "delivered": LINES - 1, "duplicated": 1, "unobserved": 1}
    sink.wait_for(**happened)
    code, verdict = sink.stop()
    # A client takes as long as it takes, and may have several requests at a time.
    left = {"late": 0, "outOfOrder": 0}
    assert code == 1 and {**verdict["total"], **left} == counts(**happened)
    (example,) = verdict["examples"]
    assert (example["fault"], example["number"]) == ("duplicated", 7000)


def test_the_page_and_the_metrics_say_what_arrived(emitted: Path, sink: Sink) -> None:
    lines = [line.decode() for line in every_line(emitted / "emitted.log")]
    plain(sink, lines[:-1])
    sink.wait_for(delivered=LINES - 1)
    request = urllib.request.Request(sink.url, headers={"Accept": "text/html"})
    with urllib.request.urlopen(request, timeout=60) as response:
        page = response.read().decode()
    content = sink.get("/content")
    # The page has its content from the start on, and loads nothing from elsewhere.
    assert content.count("<svg") == page.count("<svg") == 2
    assert not re.search(r"(src|href)=|https?:", page)
    assert f"<dt>delivered</dt><dd>{LINES - 1}</dd>" in content
    assert "<td>http</td>" in content and "<td>emitted.log</td>" in content
    metrics = sink.get("/metrics")
    for sample in (
        f'visor_sink_lines{{count="delivered",identity="",output="emitted.log"}} {LINES - 1}',
        f'visor_sink_records_total{{protocol="http"}} {LINES - 1}',
        f"visor_sink_latency_seconds_count {LINES - 1}",
    ):
        assert sample in metrics.splitlines(), metrics
    promtool = [tool("promtool"), "check", "metrics"]
    checked = subprocess.run(promtool, input=metrics, text=True, capture_output=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize(
    ("listener", "bytes_"),
    [
        ("http", b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab"),
        ("http", b"\x16\x03\x01"),
        ("forward", b"GET / HTTP/1.1\r\n\r\n"),
        ("forward", b"\xdd\xff\xff\xff\xff" * 100),
        ("forward", b"\x92\xa1a\xdb\xff\xff\xff\xff"),
        ("syslog", b"999999999 <13>a"),
        ("lines", b"\0" * 100_000),
        ("grpc", b"GET / HTTP/1.1\r\n\r\n"),
        ("grpc", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 1000),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_no_protocol_ends_nothing(sink: Sink, listener: str, bytes_: bytes) -> None:
    host, port = sink.address(listener).split(":")
    for _ in range(3):
        with socket.create_connection((host, int(port)), 60) as connection:
            connection.sendall(bytes_)
            connection.shutdown(socket.SHUT_WR)
            # An answer, or only the end.
            connection.recv(1000)
    assert sink.total()["delivered"] == 0


@pytest.mark.parametrize(
    ("path", "headers", "body", "status"),
    [
        ("/", {"Content-Encoding": "gzip"}, b"no gzip", 400),
        ("/", {"Content-Encoding": "zstd"}, b"no zstd", 400),
        ("/", {"Content-Encoding": "br"}, b"a", 415),
        ("/", {"Content-Encoding": "gzip"}, gzip.compress(bytes(40 << 20)), 413),
        ("/_bulk", {}, b"{}\n{}\n", 400),
        ("/_bulk", {}, b'{"create":{}}\n', 400),
        ("/loki/api/v1/push", {"Content-Type": "application/json"}, b"{", 400),
        ("/loki/api/v1/push", {}, b"\xff\xff\xff\xff\x0f", 400),
        ("/v1/logs", {}, b"\x0a\x7f", 400),
        ("/v1/logs", {"Content-Type": "application/json"}, b"[", 400),
        ("/services/collector", {}, b'{"time":1}', 400),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_malformed_has_an_answer(
    sink: Sink, path: str, headers: dict[str, str], body: bytes, status: int
) -> None:
    request = urllib.request.Request(sink.url + path, body, headers)
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(request, timeout=60)
    assert raised.value.code == status, raised.value.read()
    assert sink.total()["delivered"] == 0


def test_a_generator_that_has_gone_has_ended(tmp_path: Path, run: Callable[..., Running]) -> None:
    requests = stream("requests", "Access", rate(500))
    running = run(source("shop", access("web", requests, output=file("web.log")), tokens=True))
    place = f"http://{running.address}/emitted"
    with Sink(tmp_path, "--emitted", place, "--settle", "1s", "--until-complete") as sink:
        running.wait_for_lines(300)
        wait_for("what was emitted", lambda: sink.total()["emitted"] >= 300)
        running.process.kill()
        running.process.wait()
        lines = every_line(running.logs / "web.log")
        post(f"{sink.url}/logs", b"\n".join(lines))
        _, verdict = sink.finish()
    total = verdict["total"]
    assert (total["delivered"], total["missing"]) == (len(lines), 0)
    (output,) = verdict["outputs"]
    assert output["sources"] == ["shop/web"]
