"""TLS on the ports of the sink, and the credential that its clients have to show."""

from __future__ import annotations

import hashlib
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any

import msgpack
import pytest
import urllib3
from support import node
from support.files import every_line
from support.sink import Sink, counts
from support.tools import tool
from support.waiting import wait_for

LINES, BATCH = 2000, 500
TOKEN, USER, PASSWORD = "s3cret-token", "shop", "pass word"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a certificate of 127.0.0.1 that its clients trust, as a Secret has it."""
    directory = tmp_path_factory.mktemp("certificate")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc")
    names = ("-subj", "/CN=sink", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost")
    files = ("-keyout", directory / "tls.key", "-out", directory / "tls.crt")
    command = [tool("openssl"), "req", "-x509", *key, *names, "-days", "2", *files]
    subprocess.run(command, check=True, capture_output=True)
    return directory


@pytest.fixture
def lines(emitted: Path) -> list[bytes]:
    return every_line(emitted / "emitted.log")


@pytest.fixture
def options(tmp_path: Path, emitted: Path, certificate: Path) -> list[str | Path]:
    credentials = tmp_path / "credentials"
    credentials.write_text(f"{TOKEN}\n{USER}:{PASSWORD}\n")
    ports = [f"--{name}=127.0.0.1:0" for name in ("grpc", "forward", "syslog", "lines")]
    asked = ("--tls", certificate, "--credentials", credentials, *ports)
    return ["--emitted", emitted / "emitted.json", *asked]


def send(sink: Sink, certificate: Path, lines: list[bytes], **headers: str) -> set[int]:
    """Sends the lines over HTTPS, and returns the statuses."""
    pool = urllib3.PoolManager(ca_certs=str(certificate / "tls.crt"), timeout=60)
    url = f"https://{sink.address()}/logs"
    bodies = (b"\n".join(lines[start : start + BATCH]) for start in range(0, LINES, BATCH))
    return {pool.request("POST", url, body=body, headers=headers).status for body in bodies}


def delivered(sink: Sink, certificate: Path) -> int:
    pool = urllib3.PoolManager(ca_certs=str(certificate / "tls.crt"), timeout=60)
    return pool.request("GET", f"https://{sink.address()}/verdict").json()["total"]["delivered"]


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {TOKEN}"},
        {"authorization": f"Splunk {TOKEN}"},
        urllib3.make_headers(basic_auth=f"{USER}:{PASSWORD}"),
    ],
)
def test_who_shows_a_credential_delivers(
    tmp_path: Path,
    certificate: Path,
    options: list[Any],
    lines: list[bytes],
    headers: dict[str, str],
) -> None:
    with Sink(tmp_path, *options) as sink:
        assert send(sink, certificate, lines, **headers) == {200}
        code, verdict = sink.stop()
    assert (code, verdict["total"]) == (0, counts(emitted=LINES, delivered=LINES))


def test_who_shows_none_is_told_so_and_delivers_nothing(
    tmp_path: Path, certificate: Path, options: list[Any], lines: list[bytes]
) -> None:
    with Sink(tmp_path, *options) as sink:
        for headers in ({}, {"authorization": "Bearer other"}):
            assert send(sink, certificate, lines, **headers) == {401}
        pool = urllib3.PoolManager(ca_certs=str(certificate / "tls.crt"), timeout=60)
        for path in ("/_bulk", "/loki/api/v1/push", "/v1/logs", "/services/collector/event"):
            answer = pool.request("POST", f"https://{sink.address()}{path}", body=lines[0])
            assert answer.status == 401 and "Basic" in answer.headers["www-authenticate"]
        assert delivered(sink, certificate) == 0


def test_real_clients_deliver_over_tls_with_a_credential(
    tmp_path: Path, certificate: Path, options: list[Any], lines: list[bytes]
) -> None:
    from elasticsearch import Elasticsearch, helpers
    from grpc import ssl_channel_credentials
    from opentelemetry._logs import LogRecord
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor

    trusted = certificate / "tls.crt"
    with Sink(tmp_path, *options) as sink:
        url, shown = f"https://{sink.address()}", (USER, PASSWORD)
        with Elasticsearch(url, basic_auth=shown, ca_certs=str(trusted)) as client:
            actions = ({"_index": "logs", "message": line.decode()} for line in lines[:BATCH])
            assert helpers.bulk(client, actions) == (BATCH, [])
        exporter = OTLPLogExporter(
            f"https://{sink.address('grpc')}",
            credentials=ssl_channel_credentials(trusted.read_bytes()),
            headers={"authorization": f"Bearer {TOKEN}"},
        )
        provider = LoggerProvider()
        provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
        for line in lines[BATCH : BATCH + 100]:
            provider.get_logger("test").emit(LogRecord(body=line.decode()))
        provider.shutdown()
        context = ssl.create_default_context(cafile=trusted)
        address = ("127.0.0.1", int(sink.address("lines").split(":")[1]))
        with (
            socket.create_connection(address, 60) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
        ):
            connection.sendall(b"\n".join(lines[BATCH + 100 :]) + b"\n")
            connection.unwrap()
        wanted = counts(emitted=LINES, delivered=LINES)
        wait_for("all lines", lambda: delivered(sink, certificate) == LINES)
        code, verdict = sink.stop()
    assert (code, verdict["total"]) == (0, wanted)


@pytest.mark.parametrize("listener", ["http", "grpc", "forward", "syslog", "lines"])
def test_who_speaks_no_tls_ends_nothing(
    tmp_path: Path,
    certificate: Path,
    options: list[Any],
    lines: list[bytes],
    listener: str,
) -> None:
    with Sink(tmp_path, *options) as sink:
        address = ("127.0.0.1", int(sink.address(listener).split(":")[1]))
        with socket.create_connection(address, 60) as connection:
            connection.sendall(b"POST / HTTP/1.1\r\nHost: sink\r\nContent-Length: 0\r\n\r\n")
            # What the sink says in TLS is an alert, and then it closes the connection.
            while connection.recv(4096):
                pass
        assert send(sink, certificate, lines, authorization=f"Bearer {TOKEN}") == {200}


def test_files_that_cannot_be_used_are_named(tmp_path: Path, certificate: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "tls.crt").write_text("no certificate\n")
    (empty / "none").write_text("\n")
    for number, (asked, wanted) in enumerate(
        [
            (("--tls", empty), f"{empty}/tls.crt has no certificate"),
            (("--tls", tmp_path), f"cannot read certificates in {tmp_path}/tls.crt"),
            (
                ("--credentials", empty / "none"),
                "none has no credential: a token, or USER:PASSWORD",
            ),
            (("--credentials", empty / "nowhere"), f"cannot read credentials in {empty}/nowhere"),
        ]
    ):
        directory = tmp_path / str(number)
        directory.mkdir()
        with Sink(directory, *asked) as sink:
            assert sink.process.wait(60) == 2
            assert wanted in sink.diagnostics.read_text()


def connect(sink: Sink) -> socket.socket:
    host, port = sink.address("forward").split(":")
    return socket.create_connection((host, int(port)), 60)


def test_forward_asks_for_the_shared_key(tmp_path: Path, emitted: Path, lines: list[bytes]) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"other\n{TOKEN}\n")
    told = ("--emitted", emitted / "emitted.json", "--credentials", keys)
    record = msgpack.packb(["tag", 0, {"log": lines[0].decode()}])
    with Sink(tmp_path, *told, "--forward", "127.0.0.1:0") as sink:
        with connect(sink) as connection:
            name, hello = msgpack.unpackb(connection.recv(4096))
            assert name == "HELO" and len(hello["nonce"]) == 16 and hello["auth"] == ""
            digest = hashlib.sha512(b"saltshop" + hello["nonce"] + b"wrong").hexdigest()
            ping = msgpack.packb(["PING", "shop", "salt", digest, "", ""])
            # What comes with it isn't listened to.
            connection.sendall(ping + record)
            assert msgpack.unpackb(connection.recv(4096))[:2] == ["PONG", False]
            connection.sendall(record)
            assert connection.recv(4096) == b""
        with connect(sink) as connection:
            connection.recv(4096)
            connection.sendall(record)
            assert connection.recv(4096) == b""
        sink.wait_for(emitted=LINES, delivered=0)
        security = {"clientHostname": "shop", "sharedKey": TOKEN}
        text = b"\n".join(lines) + b"\n"
        node.deliver("forward", sink.address("forward"), text, security=security)
        code, verdict = sink.stop()
    assert (code, verdict["total"]) == (0, counts(emitted=LINES, delivered=LINES))
