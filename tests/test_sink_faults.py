"""Faults of the sink on purpose, what a correct client does, and what the verdict says of it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
import urllib3
from support.files import every_line
from support.metrics import get
from support.program import visor
from support.sink import Sink, counts

LINES, BATCH = 6000, 500


@pytest.fixture
def lines(emitted: Path) -> list[bytes]:
    return every_line(emitted / "emitted.log")


def sink(directory: Path, emitted: Path, *faults: str, options: tuple[str, ...] = ()) -> Sink:
    all_faults = [option for fault in faults for option in ("--fault", fault)]
    return Sink(directory, "--emitted", emitted / "emitted.json", *all_faults, *options)


def batches(lines: list[bytes]) -> Iterator[list[bytes]]:
    for start in range(0, len(lines), BATCH):
        yield lines[start : start + BATCH]


class Client:
    """A client that sends again whatever failed: urllib3's, as most of Python uses it."""

    def __init__(self, sink: Sink, timeout: float = 60, **retry: Any) -> None:
        self.url = f"{sink.url}/logs"
        retries = urllib3.Retry(
            **{"total": 9, "backoff_factor": 0.01, "allowed_methods": None, **retry}
        )
        self.pool = urllib3.PoolManager(retries=retries, timeout=timeout)

    def send(self, lines: list[bytes]) -> list[int]:
        """Sends the lines in batches, and returns the statuses."""
        requests = (b"\n".join(batch) for batch in batches(lines))
        return [self.pool.request("POST", self.url, body=body).status for body in requests]


def happened(sink: Sink) -> int:
    """How often a fault has happened."""
    page = get(sink.address(), "/metrics")
    counts = [line for line in page.splitlines() if line.startswith("visor_sink_faults_total{")]
    return sum(int(line.split()[-1]) for line in counts)


def verdict(sink: Sink) -> tuple[int, dict[str, int]]:
    sink.wait_for(emitted=LINES)
    code, verdict = sink.stop()
    return code, {**verdict["total"], "late": 0}


@pytest.mark.parametrize(
    "fault",
    ["reject,every=2", "reject,status=429,retry-after=1s,count=2", "close,when=before,every=3"],
)
def test_what_is_not_taken_is_sent_again(
    tmp_path: Path, emitted: Path, lines: list[bytes], fault: str
) -> None:
    with sink(tmp_path, emitted, fault) as it:
        statuses = Client(it, status_forcelist=[429, 503]).send(lines)
        assert set(statuses) == {200} and happened(it) >= 2
        # None of it was delivered before, so nothing has come twice.
        assert verdict(it) == (0, counts(emitted=LINES, delivered=LINES))


def test_what_is_rejected_for_good_is_not_delivered(
    tmp_path: Path, emitted: Path, lines: list[bytes]
) -> None:
    with sink(tmp_path, emitted, "reject,status=400,every=4") as it:
        statuses = Client(it, status_forcelist=[429, 503]).send(lines)
        lost = statuses.count(400) * BATCH
        assert lost == LINES // 4
        left = counts(emitted=LINES, delivered=LINES - lost, unobserved=lost)
        assert verdict(it) == (3, left)


@pytest.mark.parametrize("fault", ["error,every=3,count=4", "close,every=3,count=4"])
def test_what_was_taken_all_the_same_comes_again(
    tmp_path: Path, emitted: Path, lines: list[bytes], fault: str
) -> None:
    with sink(tmp_path, emitted, fault) as it:
        statuses = Client(it, status_forcelist=[500]).send(lines)
        assert set(statuses) == {200} and happened(it) > 2
        again = happened(it) * BATCH
        # The client is right to send it again. What comes without a reason is its own fault.
        wanted = counts(emitted=LINES, delivered=LINES, redelivered=again)
        assert it.total() | {"late": 0} == wanted
        Client(it).send(lines[:7])
        assert verdict(it) == (1, {**wanted, "duplicated": 7})


def test_an_answer_that_comes_late_is_waited_for(
    tmp_path: Path, emitted: Path, lines: list[bytes]
) -> None:
    with sink(tmp_path, emitted, "delay,by=1s,every=5") as it:
        assert set(Client(it).send(lines)) == {200} and happened(it) == 2
        assert verdict(it) == (0, counts(emitted=LINES, delivered=LINES))


def test_an_answer_that_comes_too_late_makes_a_client_send_again(
    tmp_path: Path, emitted: Path, lines: list[bytes]
) -> None:
    with sink(tmp_path, emitted, "delay,by=30s,every=5,count=2") as it:
        assert set(Client(it, timeout=2).send(lines)) == {200} and happened(it) == 2
        again = counts(emitted=LINES, delivered=LINES, redelivered=2 * BATCH)
        assert verdict(it) == (0, again)


@pytest.mark.parametrize("sends_again", [True, False])
def test_items_of_a_bulk_are_rejected(
    tmp_path: Path, emitted: Path, lines: list[bytes], sends_again: bool
) -> None:
    from elasticsearch import Elasticsearch, helpers

    with sink(tmp_path, emitted, "reject-items,share=2%") as it, Elasticsearch(it.url) as client:
        actions = ({"_index": "logs", "message": line.decode()} for line in lines)
        retries = {"max_retries": 9, "initial_backoff": 0.01} if sends_again else {}
        outcome = helpers.streaming_bulk(
            client, actions, chunk_size=BATCH, raise_on_error=False, **retries
        )
        failed = [item for succeeded, item in outcome if not succeeded]
        rejected = happened(it)
        assert rejected > 0 and len(failed) == (0 if sends_again else rejected)
        delivered = LINES - len(failed)
        left = counts(emitted=LINES, delivered=delivered, unobserved=len(failed))
        code, total = verdict(it)
        assert code == (0 if sends_again else 3)
        # What comes again comes late.
        assert {**total, "outOfOrder": 0} == left


def test_a_chunk_without_an_acknowledgement_is_sent_again(
    tmp_path: Path, emitted: Path, lines: list[bytes]
) -> None:
    """As Fluent Bit and fluentd do with `require_ack_response`."""
    options = ("--forward", "127.0.0.1:0")
    fault = "withhold-acknowledgements,every=4"
    with sink(tmp_path, emitted, fault, options=options) as it:
        host, port = it.address("forward").split(":")
        sent_again = 0
        for number, batch in enumerate(batches(lines)):
            entries = b"".join(msgpack.packb([number, {"log": line.decode()}]) for line in batch)
            options_ = {"chunk": f"chunk-{number}", "size": len(batch)}
            message = msgpack.packb(["test", entries, options_])
            while True:
                with socket.create_connection((host, int(port)), 60) as connection:
                    connection.sendall(message)
                    connection.settimeout(0.5)
                    try:
                        answer = connection.recv(1000)
                    except TimeoutError:
                        sent_again += 1
                        continue
                assert msgpack.unpackb(answer) == {"ack": options_["chunk"]}
                break
        assert sent_again > 0
        again = counts(emitted=LINES, delivered=LINES, redelivered=sent_again * BATCH)
        assert verdict(it) == (0, again)


def test_a_sink_that_reads_slowly_gets_everything(
    tmp_path: Path, emitted: Path, lines: list[bytes]
) -> None:
    bytes_ = sum(map(len, lines))
    with sink(tmp_path, emitted, f"slow-read,bytes-per-second={bytes_}") as it:
        assert set(Client(it).send(lines)) == {200}
        assert verdict(it) == (0, counts(emitted=LINES, delivered=LINES))


def test_several_faults_happen_side_by_side(
    tmp_path: Path, emitted: Path, lines: list[bytes]
) -> None:
    faults = ("reject,every=4", "error,every=5", "close,when=before,every=7", "reject,for=1ms")
    with sink(tmp_path, emitted, *faults) as it:
        assert set(Client(it, status_forcelist=[500, 503]).send(lines)) == {200}
        total = it.total()
        assert total["redelivered"] > 0 and total["redelivered"] % BATCH == 0
        again = counts(emitted=LINES, delivered=LINES, redelivered=total["redelivered"])
        assert verdict(it) == (0, again)


@pytest.mark.parametrize("fault", ["explode", "reject,status=200", "delay", "close,often=1"])
def test_a_fault_that_there_is_not_is_an_error(fault: str) -> None:
    done = visor("sink", "--fault", fault)
    assert done.returncode == 2 and "--fault" in done.stderr, done.stderr
