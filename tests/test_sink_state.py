"""The state of the sink in a file: a sink that begins again goes on, wherever it was killed."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path

import urllib3
from support.disk import remount, small_disk
from support.files import every_line
from support.sink import Sink, counts
from support.tools import free_port
from support.waiting import TIMEOUT, wait_for

LINES, BATCH, KILLS = 30_000, 50, 100


def begin(directory: Path, emitted: Path, state: Path, **more: str) -> Sink:
    # The lines are older than most graces by the time they are sent.
    options = ("--emitted", emitted / "emitted.json", "--settle", "10m", "--state", state)
    return Sink(directory, *options, **more)


def batches(emitted: Path) -> list[bytes]:
    lines = every_line(emitted / "emitted.log")
    return [b"\n".join(lines[start : start + BATCH]) for start in range(0, LINES, BATCH)]


class Client(threading.Thread):
    """Sends its batches one after the other, each again until it is answered. With `permits` it
    takes one for each batch."""

    def __init__(
        self, url: str, batches: list[bytes], permits: threading.Semaphore | None = None
    ) -> None:
        super().__init__(daemon=True)
        self.url, self.batches, self.answered, self.failures = url, batches, 0, 0
        self.permits = permits

    def run(self) -> None:
        pool = urllib3.PoolManager(retries=False, timeout=60)
        for batch in self.batches:
            if self.permits:
                self.permits.acquire()
            while True:
                try:
                    if pool.request("POST", self.url, body=batch).status == 200:
                        self.answered += 1
                        break
                except urllib3.exceptions.HTTPError:
                    pass
                self.failures += 1
                # Else it would only ask for connections while there is no sink.
                time.sleep(0.005)


def test_a_sink_that_begins_again_goes_on(tmp_path: Path, emitted: Path) -> None:
    state, sent = tmp_path / "state.jsonl", batches(emitted)
    with begin(tmp_path, emitted, state) as sink:
        Client(sink.url, sent[:100] + sent[:1]).run()
        first = sink.wait_for(emitted=LINES)
        code, verdict = sink.stop()
        assert verdict["total"] == first and code == 1
    with begin(tmp_path, emitted, state) as sink:
        # At once, before anything arrives; only what should have arrived by now is to be seen.
        assert sink.wait_for(emitted=LINES) == first
        Client(sink.url, sent[100:]).run()
        code, verdict = sink.stop()
        wanted = counts(emitted=LINES, delivered=LINES, duplicated=BATCH)
        assert (code, verdict["total"]) == (1, wanted)
        examples = {(line["fault"], line["number"]) for line in verdict["examples"]}
        assert examples == {("duplicated", number) for number in range(10)}
    # What was emitted is in the state as well, for the report may be gone.
    with begin(tmp_path, tmp_path, state) as sink:
        assert sink.total()["emitted"] == LINES
    with Sink(tmp_path, "--emitted", tmp_path / "other.json", "--state", state) as sink:
        assert sink.total() == counts(emitted=LINES, delivered=LINES, duplicated=BATCH)


def test_what_was_not_answered_before_a_kill_is_at_most_duplicated(
    tmp_path: Path, emitted: Path
) -> None:
    state, sent = tmp_path / "state.jsonl", batches(emitted)
    with begin(tmp_path, emitted, state) as sink:
        Client(sink.url, sent[:-1]).run()
        sink.kill()
    # Half a change, as if the kill had come in the middle of it.
    with state.open("ab") as log:
        log.write(b'{"change":{"lanes":[["AAA')
    with begin(tmp_path, emitted, state) as sink:
        # The one before the kill is known, so that it comes twice; the last one is new.
        Client(sink.url, sent[-2:]).run()
        sink.wait_for(emitted=LINES)
        code, verdict = sink.stop()
        wanted = counts(emitted=LINES, delivered=LINES, duplicated=BATCH)
        assert (code, verdict["total"]) == (1, wanted)


def test_nothing_is_lost_with_a_hundred_kills_under_load(tmp_path: Path, emitted: Path) -> None:
    state, sent = tmp_path / "state.jsonl", batches(emitted)
    address = f"127.0.0.1:{free_port()}"
    # Each sink gets its share of the batches and what the one before did not answer, however fast
    # the clients are: so there is load until the last kill.
    permits, share = threading.Semaphore(0), len(sent) // KILLS
    clients = [Client(f"http://{address}/logs", sent[part::4], permits) for part in range(4)]
    generator = random.Random(7)
    for client in clients:
        client.start()
    for _ in range(KILLS):
        with begin(tmp_path, emitted, state, http=address) as sink:
            permits.release(share)
            wait_for_answers(sink, clients, generator.randint(1, share - 1))
            sink.kill()
    with begin(tmp_path, emitted, state, http=address) as sink:
        finish(sink, clients)


def answered(clients: list[Client]) -> int:
    return sum(client.answered for client in clients)


def wait_for_answers(sink: Sink, clients: list[Client], count: int) -> None:
    enough = answered(clients) + count

    def are_there() -> bool:
        assert sink.process.poll() is None, sink.diagnostics.read_text()
        return answered(clients) >= enough

    wait_for("answers", are_there, pause=0.001)


def finish(sink: Sink, clients: list[Client]) -> None:
    """Waits until everything is sent: nothing is missing, and only batches without an answer may be
    there twice, each as a whole."""
    for client in clients:
        client.join(TIMEOUT)
        assert not client.is_alive()
    sink.wait_for(emitted=LINES)
    _, verdict = sink.stop()
    again = verdict["total"]["duplicated"]
    assert again % BATCH == 0 and again <= BATCH * sum(client.failures for client in clients)
    assert verdict["total"] == counts(emitted=LINES, delivered=LINES, duplicated=again)


def test_a_state_that_another_sink_uses_or_that_is_none_is_left_alone(
    tmp_path: Path, emitted: Path
) -> None:
    state = tmp_path / "state.jsonl"
    with begin(tmp_path, emitted, state) as sink:
        sink.address()
        (tmp_path / "two").mkdir()
        with begin(tmp_path / "two", emitted, state) as other:
            out, _ = other.process.communicate(timeout=60)
            assert (other.process.returncode, out) == (2, b"")
            said = other.diagnostics.read_text()
            assert f"cannot open the state {state}: another program uses it" in said
    notes = tmp_path / "notes.txt"
    notes.write_text("my notes\n")
    with begin(tmp_path, emitted, notes) as sink:
        assert sink.process.wait(60) == 2
        assert f"{notes}:1: it is no state" in sink.diagnostics.read_text()
    assert notes.read_text() == "my notes\n"


def test_a_sink_that_cannot_write_its_state_ends(tmp_path: Path, emitted: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    client = Client(f"http://{address}/logs", batches(emitted))
    client.start()
    with small_disk(tmp_path / "disk", "size=16k") as disk:
        state = disk / "state.jsonl"
        with begin(tmp_path, emitted, state, http=address) as sink:
            assert sink.process.wait(TIMEOUT) == 2
            said = sink.diagnostics.read_text()
            assert "cannot write the state" in said and "No space left on device" in said, said
        assert 0 < client.answered < len(client.batches)
        remount(disk, "size=4m")
        with begin(tmp_path, emitted, state, http=address) as sink:
            finish(sink, [client])
