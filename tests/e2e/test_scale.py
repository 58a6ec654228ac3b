"""What many sources cost the operator: each as much as the first ones, and nothing while nothing
happens.

The sources have no replicas, for no node of tests has room for so many pods; all else is theirs.

    VISOR_SCALE_SOURCES        how many; 300 (`make scale`: 2,000)
    VISOR_SCALE_IDLE_SECONDS   how long nothing happens; 20 (`make scale`: 300)
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.clusters import Cluster
from support.documents import access, rate, source, stream
from support.helm import Release
from support.kubernetes import Kubernetes
from support.metrics import Metrics
from support.operators import Operators

pytestmark = pytest.mark.timeout(3 * 3600)

SOURCES = int(os.environ.get("VISOR_SCALE_SOURCES", "300"))
IDLE_SECONDS = float(os.environ.get("VISOR_SCALE_IDLE_SECONDS", "20"))
FIRST = 100
"""What the others are compared with."""
TIMEOUT = 1800.0
REQUESTS_TO_CREATE = 6
MEMORY = 120 << 20
"""What 2,000 may take, in bytes."""
DEARER = 1.6
"""How much more processor time a source may take among many: the machine's noise is in it."""


@dataclass(frozen=True)
class Usage:
    """The resources that the leader has used since it started."""

    requests: Counter[str]
    writes: float
    processor_seconds: float
    memory: float

    def __sub__(self, before: Usage) -> Usage:
        return Usage(
            self.requests - before.requests,
            self.writes - before.writes,
            self.processor_seconds - before.processor_seconds,
            self.memory,
        )

    @property
    def count(self) -> int:
        return self.requests.total()


def processor_seconds(pod_uid: str) -> float:
    """What the program of an operator's pod has used so far, user's and system's time. The node of
    the tests' own cluster is this machine."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            of_pod = pod_uid in (process / "cgroup").read_text()
            if of_pod and (process / "comm").read_text().startswith("visor-operator"):
                fields = (process / "stat").read_text().rpartition(")")[2].split()
                return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except FileNotFoundError:
            # It has ended meanwhile.
            continue
    raise AssertionError(f"pod {pod_uid} has no operator")


def usage(metrics: Metrics, processor_seconds: float) -> Usage:
    """A PUT renews the lease, and a WATCH is there all the time: neither is any source's."""
    requests: Counter[str] = Counter()
    for (_, labels), value in metrics.select("visor_operator_api_requests_total").items():
        requests[dict(labels)["method"]] += int(value)
    del requests["PUT"], requests["WATCH"]
    return Usage(
        requests,
        metrics.sum("visor_operator_writes_total"),
        processor_seconds,
        metrics.sum("process_resident_memory_bytes"),
    )


class Fleet:
    """Many sources alike in a namespace of their own."""

    def __init__(self, kubernetes: Kubernetes, operators: Operators) -> None:
        self.kubernetes = kubernetes
        self.operators = operators

    def apply(self, numbers: range) -> tuple[Usage, float]:
        """Applies them at once: what that took until all are as they should be, and the seconds."""
        before, started = self.rest(), time.monotonic()
        items = [self.source(number, 50) for number in numbers]
        document = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        self.kubernetes.run("apply", "--server-side", "-f", "-", stdin=document, timeout=TIMEOUT)
        self.are_available(numbers.stop)
        seconds = time.monotonic() - started
        return self.rest() - before, seconds

    @staticmethod
    def source(number: int, lines_per_second: int) -> dict:
        readers = stream("readers", "Access", rate(lines_per_second))
        return source(f"shop-{number}", access("web", readers), seed=7, replicas=0)

    def are_available(self, count: int) -> None:
        def all_of_them() -> bool:
            metrics = self.metrics()
            return all(
                metrics.sum("visor_operator_source_conditions", condition=condition, status="True")
                >= count
                for condition in ("Accepted", "Available")
            )

        self.kubernetes.wait_for(f"{count} sources", all_of_them, TIMEOUT)

    def metrics(self) -> Metrics:
        return self.operators.metrics(self.operators.leader())

    def usage(self) -> Usage:
        """Its own counter of processor time has whole seconds: the kernel knows more."""
        leader = self.operators.leader()
        uid = self.operators.pod(leader)["metadata"]["uid"]
        return usage(self.operators.metrics(leader), processor_seconds(uid))

    def rest(self) -> Usage:
        """Waits until the queue is empty and there are no more requests, and returns what has been
        used up to then."""

        def resting() -> Usage | None:
            before = self.usage()
            time.sleep(3)
            now = self.usage()
            queued = self.metrics().sum("visor_operator_queue_depth")
            return now if now.requests == before.requests and not queued else None

        return self.kubernetes.wait_for("rest", resting, TIMEOUT)


@dataclass(frozen=True)
class Made:
    fleet: Fleet
    first: Usage
    others: Usage


@pytest.fixture(scope="module")
def made(cluster: Cluster, release: Release) -> Iterator[Made]:
    cluster.need_own("it fills the cluster with sources")
    kubernetes = cluster.kubernetes.within("scale")
    cluster.kubernetes.run("create", "namespace", "scale")
    fleet = Fleet(kubernetes, Operators(cluster.kubernetes.within(release.namespace)))
    first, seconds = fleet.apply(range(FIRST))
    say(f"the first {FIRST}", first, FIRST, seconds)
    others, seconds = fleet.apply(range(FIRST, SOURCES))
    say(f"{SOURCES - FIRST} more", others, SOURCES - FIRST, seconds)
    yield Made(fleet, first, others)
    # Deleting the namespace deletes everything in it, before other tests continue.
    options = ("--wait=true", "--timeout=30m")
    kubernetes.run("delete", "namespace", "scale", *options, timeout=TIMEOUT)


def say(what: str, used: Usage, count: int, seconds: float) -> None:
    print(
        f"\n{what}: {seconds:.1f} s with kubectl's own; for each "
        f"{used.count / count:.2f} requests ({dict(used.requests)} in all) and "
        f"{1000 * used.processor_seconds / count:.2f} ms of the operator's processor time; "
        f"it has {used.memory / (1 << 20):.1f} MiB"
    )


def test_a_source_costs_as_little_among_many_as_among_few(made: Made) -> None:
    first, others = made.first, made.others
    assert first.count <= REQUESTS_TO_CREATE * FIRST
    assert others.count <= REQUESTS_TO_CREATE * (SOURCES - FIRST)
    each = others.processor_seconds / (SOURCES - FIRST)
    assert each <= DEARER * first.processor_seconds / FIRST
    assert others.memory < MEMORY


def test_all_have_their_children(made: Made) -> None:
    kubernetes = made.fleet.kubernetes
    for kind in ("configmaps", "deployments"):
        selector = "app.kubernetes.io/component=generator"
        names = kubernetes.run("get", kind, "--selector", selector, "-o", "name", timeout=TIMEOUT)
        assert len(names.split()) == SOURCES, kind


def test_idle_sources_cost_no_request(made: Made) -> None:
    before = made.fleet.rest()
    time.sleep(IDLE_SECONDS)
    used = made.fleet.usage() - before
    print(
        f"\nin {IDLE_SECONDS:.0f} s of idleness: {used.count} requests, "
        f"{1000 * used.processor_seconds:.0f} ms of processor time"
    )
    assert not used.requests


def test_one_change_among_many_is_handled_at_once_and_alone(made: Made) -> None:
    fleet = made.fleet
    before = fleet.rest()
    changed = json.dumps(Fleet.source(FIRST // 2, 51))
    fleet.kubernetes.run("apply", "--server-side", "-f", "-", stdin=changed)
    started = time.monotonic()

    def handled() -> bool:
        found = fleet.kubernetes.get("fakelogsource", f"shop-{FIRST // 2}")
        return found["status"]["observedGeneration"] == found["metadata"]["generation"]

    fleet.kubernetes.wait_for("the change", handled)
    print(f"\na change among {SOURCES}: handled and seen after {time.monotonic() - started:.2f} s")
    used = fleet.rest() - before
    assert 0 < used.count <= REQUESTS_TO_CREATE, used.requests


def test_an_operator_that_finds_them_all_as_they_should_be_writes_nothing(made: Made) -> None:
    fleet = made.fleet
    fleet.operators.scale(0)
    fleet.operators.scale(2)
    fleet.are_available(SOURCES)
    used = fleet.rest()
    looks = fleet.metrics().sum("visor_operator_reconciles_total")
    print(
        f"\nafter a restart: {looks:.0f} looks, {used.count} requests {dict(used.requests)}, "
        f"{used.writes:.0f} writes, {used.processor_seconds:.2f} s of processor time, "
        f"{used.memory / (1 << 20):.1f} MiB"
    )
    assert looks >= SOURCES
    assert used.writes == 0
    assert not {"POST", "PATCH", "DELETE"} & set(used.requests)
    assert used.memory < MEMORY
