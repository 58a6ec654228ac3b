"""The operators themselves: one is the leader, and if it ends for any reason, another one
continues."""

from __future__ import annotations

import os
import signal

import pytest

from support.clusters import Cluster, processes_of
from support.documents import Object
from support.kubernetes import KubectlError, Kubernetes
from support.operators import Operators
from support.sources import Source, apply, shop


@pytest.fixture(autouse=True)
def ready(operators: Operators) -> None:
    """Each test begins with all of them."""
    operators.are_ready()


def named(name: str, **spec: object) -> Object:
    return {**shop(lines_per_second=5, **spec), "metadata": {"name": name}}


def test_one_of_two_is_the_leader(operators: Operators) -> None:
    leader = operators.leader()
    assert len(operators.names()) == 2
    assert [name for name in operators.names() if operators.is_leader(name)] == [leader]
    for name in operators.names():
        metrics = operators.metrics(name)
        assert metrics.sum("visor_operator_build_info") == 1
        assert metrics.sum("process_resident_memory_bytes") > 0


def test_when_the_leader_is_killed_another_continues(
    cluster: Cluster, operators: Operators, namespace: Kubernetes
) -> None:
    leader = operators.leader()
    kill(cluster, operators, leader)
    # Its container would be started again, under the same name.
    operators.kubernetes.delete("pod", leader, "--grace-period=0", "--force")
    source = apply(namespace, shop())
    assert operators.leader(leader) != leader
    source.is_ready()


def kill(cluster: Cluster, operators: Operators, name: str, number: int = signal.SIGKILL) -> None:
    """Sends a signal to an operator's process; on an existing cluster, its pod is deleted without a
    grace period."""
    if not cluster.own:
        operators.kubernetes.delete("pod", name, "--grace-period=0", "--force")
        return
    (process,) = processes_of(operators.pod(name)["metadata"]["uid"])
    os.kill(process, number)


def test_one_that_has_lost_the_lease_while_it_was_frozen_stops_writing(
    cluster: Cluster, operators: Operators, namespace: Kubernetes
) -> None:
    cluster.need_own("it freezes a process")
    leader = operators.leader()
    restarts = operators.container(leader)["restartCount"]
    kill(cluster, operators, leader, signal.SIGSTOP)
    source = apply(namespace, shop())
    other = operators.leader(leader)
    source.is_ready()
    kill(cluster, operators, leader, signal.SIGCONT)

    def ended() -> Object | None:
        container = operators.container(leader)
        return container if container["restartCount"] > restarts else None

    ended_ = operators.kubernetes.wait_for("its end", ended)
    # By itself: a probe would have killed it.
    assert ended_["lastState"]["terminated"]["exitCode"] == 1
    operators.are_ready()
    assert operators.leader() == other
    assert [name for name in operators.names() if operators.is_leader(name)] == [other]


def test_an_operator_killed_in_the_middle_of_its_work_leaves_nothing_half_done(
    cluster: Cluster, operators: Operators, namespace: Kubernetes
) -> None:
    sources = [Source(namespace, f"shop-{number}") for number in range(20)]
    documents = [named(source.name) for source in sources]
    namespace.apply({"apiVersion": "v1", "kind": "List", "items": documents[:10]})
    kill(cluster, operators, operators.leader())
    namespace.apply({"apiVersion": "v1", "kind": "List", "items": documents[10:]})
    for source in sources:
        source.is_ready()
        assert set(source.children()) == {"ConfigMap", "Service", "Deployment"}
    for kind in ("configmaps", "services", "deployments"):
        ours = namespace.list(kind, "app.kubernetes.io/managed-by=visor-operator")
        assert len(ours) == len(sources)


def test_the_api_server_may_be_away_for_a_while(
    cluster: Cluster, operators: Operators, namespace: Kubernetes
) -> None:
    cluster.need_own("it restarts the API server")
    source = apply(namespace, shop())
    source.is_ready()
    before = {pod["metadata"]["name"]: pod for pod in operators.pods()}
    cluster.command("stop", "kube-apiserver")
    cluster.command("start", "kube-apiserver")
    namespace.wait_for("the API server", lambda: answers(namespace))
    source.change(replicas=2)
    namespace.wait_for("another pod", lambda: len(source.pods()) == 2)
    source.is_ready()
    another = apply(namespace, named("another"))
    another.is_ready()
    for name, pod in before.items():
        (status,) = pod["status"]["containerStatuses"]
        assert operators.container(name)["restartCount"] == status["restartCount"]


def answers(kubernetes: Kubernetes) -> bool:
    try:
        return kubernetes.raw("/readyz") == "ok"
    except KubectlError:
        return False


METHODS = ("GET", "POST", "PATCH", "DELETE")


def requests(operators: Operators, leader: str, *methods: str) -> dict[str, float]:
    """How many requests of these methods it has made so far. The lease is written by PUT."""
    metrics = operators.metrics(leader)
    return {m: metrics.sum("visor_operator_api_requests_total", method=m) for m in methods}


def wait_until_quiet(operators: Operators, leader: str) -> None:
    """Waits until nothing but the lease is written while pods are asked twice. The counters are of
    the whole cluster, and of a namespace that is about to end things go one by one, each of which
    the operator sees: so those of other tests must be gone."""

    def no_namespace_is_ending() -> bool:
        found = operators.kubernetes.list("namespaces")
        return all(each["status"]["phase"] == "Active" for each in found)

    operators.kubernetes.wait_for("the end of other tests' namespaces", no_namespace_is_ending)

    def rounds() -> float:
        return operators.metrics(leader).sum("visor_operator_scrape_rounds_total")

    def quiet() -> bool:
        before = operators.metrics(leader).select("visor_operator_writes_total")
        wanted = rounds() + 2
        operators.kubernetes.wait_for("two rounds", lambda: rounds() >= wanted)
        return operators.metrics(leader).select("visor_operator_writes_total") == before

    operators.kubernetes.wait_for("idleness", quiet)


def test_an_idle_operator_asks_for_nothing_but_watches_and_its_lease(
    operators: Operators, namespace: Kubernetes
) -> None:
    source = apply(namespace, shop(replicas=2))
    source.suspend()
    leader = operators.leader()
    wait_until_quiet(operators, leader)
    before = requests(operators, leader, *METHODS)
    # It is written every five seconds.
    wanted = requests(operators, leader, "PUT")["PUT"] + 4
    operators.kubernetes.wait_for(
        "time to pass", lambda: requests(operators, leader, "PUT")["PUT"] >= wanted
    )
    assert requests(operators, leader, *METHODS) == before


def test_a_status_is_written_once_in_an_interval(
    operators: Operators, namespace: Kubernetes
) -> None:
    source = apply(namespace, shop())
    source.is_ready()
    leader = operators.leader()
    wait_until_quiet_but_for(source, operators, leader)

    def counted() -> tuple[float, float]:
        metrics = operators.metrics(leader)
        written = metrics.sum("visor_operator_writes_total", kind="FakeLogSource", action="status")
        return written, metrics.sum("visor_operator_scrape_rounds_total")

    written, rounds = counted()
    # Six pods come one by one, and lines all the while.
    source.change(replicas=7)
    source.is_ready()
    namespace.wait_for("some rounds", lambda: counted()[1] >= rounds + 5)
    more, later = (now - then for now, then in zip(counted(), (written, rounds), strict=True))
    # That it was seen, that pods are missing, that they are there.
    assert more <= later + 1 + 4, (more, later)


def wait_until_quiet_but_for(source: Source, operators: Operators, leader: str) -> None:
    """Waits until nothing is written but for a source."""
    source.change(suspend=True)
    source.wait_for("Ready", reason="Suspended")
    wait_until_quiet(operators, leader)
    source.change(suspend=False)
    source.is_ready()


def test_a_source_is_made_by_few_requests(operators: Operators, namespace: Kubernetes) -> None:
    leader = operators.leader()
    wait_until_quiet(operators, leader)
    before = requests(operators, leader, *METHODS)
    # Suspended, so that scrape rounds have no new lines.
    apply(namespace, shop(suspend=True)).wait_for("Ready", reason="Suspended")
    wait_until_quiet(operators, leader)
    after = requests(operators, leader, *METHODS)
    used = {method: after[method] - before[method] for method in METHODS}
    # Three objects and an event; the statuses Progressing and Ready; and, after the first round in
    # which its pod was scraped, its lines. A round, of which there is one per second here, may come
    # before the pod is ready: then there is nothing to count, and that is a status, too.
    assert used["POST"] == 4 and used["PATCH"] <= 4
    assert used["GET"] == used["DELETE"] == 0
