"""Only one operator is the leader at a time, whatever happens to it: proved by the audit log of the
API server."""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise

import pytest

from support.audit import WRITES, Audit, Request
from support.clusters import Cluster, processes_of
from support.kubernetes import KubectlError, Kubernetes
from support.operators import Operators
from support.sources import Source, apply, shop

# What every operator may write, leader or not: the Lease, events about pods of its reviews, the
# webhook's certificate and its caBundle.
ANYBODYS = {"leases", "events", "secrets", "mutatingwebhookconfigurations"}


def strays(requests: list[Request], lease: str) -> list[Request]:
    """The writes of operators that did not hold the Lease at that time. An operator holds it from
    its request until another one has acquired it."""
    taken = takings(requests)
    assert {taking.what["name"] for taking in taken} == {lease}
    tenures: list[tuple[str, Request, Request | None]] = []
    for taking in sorted(taken, key=lambda request: request.end):
        holder = taking.event["requestObject"]["spec"].get("holderIdentity") or ""
        if not tenures or tenures[-1][0] != holder:
            if tenures:
                tenures[-1] = (*tenures[-1][:2], taking)
            tenures.append((holder, taking, None))

    def is_held(write: Request) -> bool:
        return any(
            f"({holder})" in write.agent
            and write.begin >= first.begin
            and (after is None or write.end <= after.end)
            for holder, first, after in tenures
            if holder
        )

    begin = min(taking.begin for taking in taken)
    return [w for w in leader_writes(requests) if w.begin >= begin and not is_held(w)]


def takings(requests: list[Request]) -> list[Request]:
    """Each time that a Lease was taken, renewed or given back."""
    return [r for r in requests if r.verb in WRITES and r.resource == "leases" and r.succeeded]


# How much later than the Lease allows another operator may acquire it: requests take time,
# especially on a busy machine.
SLACK = 5


def first_takeover(requests: list[Request]) -> tuple[float, float]:
    """How many seconds the Lease was not renewed before another operator acquired it for the first
    time, and the expected number: a released one is acquired at once, another one when its duration
    is over. At the first time, the other operators have not been disturbed yet."""
    taken = sorted(takings(requests), key=lambda request: request.end)
    for last, taking in pairwise(taken):
        old, new = (r.event["requestObject"]["spec"] for r in (last, taking))
        before, after = (spec.get("holderIdentity") for spec in (old, new))
        if after and before != after:
            allowed = old["leaseDurationSeconds"] if before else 0
            return (taking.end - last.end).total_seconds(), allowed + SLACK
    pytest.fail("nobody else took it")


def leader_writes(requests: list[Request]) -> list[Request]:
    return [r for r in requests if r.verb in WRITES and r.resource not in ANYBODYS]


@contextmanager
def restless(sources: list[Source]) -> Iterator[None]:
    """Creates work for the leader all the time."""
    ended = threading.Event()

    def change() -> None:
        number = 0
        while not ended.wait(0.2):
            number += 1
            with suppress(KubectlError):
                sources[number % len(sources)].change(seed=number)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def send(operators: Operators, name: str, number: int) -> None:
    for process in processes_of(operators.pod(name)["metadata"]["uid"]):
        os.kill(process, number)


@pytest.fixture
def calm(operators: Operators) -> Iterator[None]:
    """Containers that were killed over and over are started late; the next test gets new pods."""
    yield
    operators.kubernetes.run("rollout", "restart", f"deployment/{operators.release}")
    operators.are_ready()


def test_there_never_are_two_that_act(
    cluster: Cluster, calm: None, operators: Operators, namespace: Kubernetes
) -> None:
    cluster.need_own("it kills and freezes processes, and reads what the API server notes")
    operators.are_ready()
    audit = Audit(cluster)
    leaders = [operators.leader()]
    account = f"{operators.kubernetes.namespace}:{operators.release}"
    # The audit log must have its Lease before it writes.
    namespace.wait_for("a renewal", lambda: takings(audit.requests(account)))
    sources = [
        apply(namespace, {**shop(lines_per_second=5), "metadata": {"name": f"shop-{number}"}})
        for number in range(4)
    ]
    with restless(sources):
        for number in [signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP] * 2:
            leader = leaders[-1]
            send(operators, leader, number)
            if number == signal.SIGSTOP:
                leaders.append(operators.leader(leader))
                send(operators, leader, signal.SIGCONT)
            else:
                # Perhaps the same one, when it has been started again.
                leaders.append(operators.kubernetes.wait_for("a leader", operators.leader))
    for source in sources:
        source.is_ready()
    requests = audit.requests(account)
    written = leader_writes(requests)
    assert len({write.agent for write in written}) >= 2 and len(written) > 50
    # With the Lease as it was at the time.
    found = strays(requests, operators.lease)
    assert not found, "\n".join(map(str, [*found[:5], *takings(requests)]))
    alone, allowed = first_takeover(requests)
    assert alone <= allowed
    # The same would happen if another client had done it.
    other = dataclasses.replace(written[-1], event={**written[-1].event, "userAgent": "(nobody)"})
    assert strays([*requests, other], operators.lease) == [other]
