"""Hostile neighbours: pods that send, answer and are labeled as none should be. Nothing breaks, no
count is wrong, and everybody else is served meanwhile."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from e2e.conftest import new_namespace
from e2e.test_injection import are_all_injected, workload
from support import attacks
from support.clusters import Cluster
from support.documents import Object
from support.kubernetes import Kubernetes
from support.operators import Operators
from support.pods import start
from support.sources import apply, shop

pytestmark = pytest.mark.smoke

WEBHOOK = 9443
PAGES = 8080
METRICS = 9464


@contextmanager
def meanwhile(attack: Any) -> Iterator[list[Any]]:
    """Runs an attack beside what is done meanwhile; gives what came of it, once it has ended."""
    came: list[Any] = []
    thread = threading.Thread(target=lambda: came.append(asyncio.run(attack)))
    thread.start()
    try:
        yield came
    finally:
        thread.join()


def are_well(operators: Operators, before: dict[str, int]) -> None:
    """They are ready, and none of them was restarted."""
    for pod in operators.pods():
        name = pod["metadata"]["name"]
        status = operators.container(name)
        assert status["ready"], status
        assert status["restartCount"] == before[name], status


def restarts(operators: Operators) -> dict[str, int]:
    return {name: operators.container(name)["restartCount"] for name in operators.names()}


def test_two_hundred_pods_are_injected_among_two_hundred_of_the_worst_reviews(
    cluster: Cluster, operators: Operators, namespace: Kubernetes
) -> None:
    cluster.need_own("it attacks the operators")
    operators.are_ready()
    before = restarts(operators)
    addresses = [pod["status"]["podIP"] for pod in operators.pods()]

    async def attack() -> list[int]:
        found = await asyncio.gather(
            *(attacks.reviews(address, WEBHOOK, 200 // len(addresses)) for address in addresses)
        )
        return sum(found, [])

    with meanwhile(attack()) as statuses:
        are_all_injected(cluster, namespace, 200)
    assert len(statuses[0]) >= 200 - len(addresses)
    assert set(statuses[0]) <= {0, 400, 413, 503}
    are_well(operators, before)


def test_twenty_thousand_connections_block_nobody_at_a_port(
    cluster: Cluster, operators: Operators, namespace: Kubernetes
) -> None:
    cluster.need_own("it attacks the operators")
    attacks.allow_many_connections()
    # As much as an injected generator has.
    little = {"resources": {"limits": {"memory": "64Mi"}}}
    source = apply(namespace, {**shop(podTemplate=little), "metadata": {"name": "counted"}})
    source.is_ready()
    generator = source.pod()
    operators.are_ready()
    before = restarts(operators)
    operator = operators.pod(operators.leader())["status"]["podIP"]
    page = generator.object["status"]["podIP"]
    ports = [(operator, WEBHOOK), (operator, PAGES), (page, METRICS)]

    async def attack(attacked: threading.Event, over: threading.Event) -> list[int]:
        made = []
        for address, port in ports:
            async with attacks.half_open(address, port, 20_000) as count:
                async with attacks.slow_readers(address, port, 100):
                    made.append(count)
                    if port == METRICS:
                        attacked.set()
                        await asyncio.to_thread(over.wait, 300)
        return made

    attacked, over = threading.Event(), threading.Event()
    with meanwhile(attack(attacked, over)) as made:
        try:
            are_all_injected(cluster, namespace, 200)
            assert attacked.wait(300)
            # The operator still reads the pod's page.
            lines = source.status["lines"]
            source.kubernetes.wait_for("more lines", lambda: source.status["lines"] > lines)
        finally:
            over.set()
    assert min(made[0]) > 10_000
    are_well(operators, before)
    assert generator.now().restarts == 0 and generator.now().is_ready


def test_a_pod_that_only_claims_a_source_is_not_counted(
    cluster: Cluster, operators: Operators, namespace: Kubernetes
) -> None:
    source = apply(namespace, shop(lines_per_second=10))
    source.is_ready()
    forged = {"visor.dev/source": "shop", "visor.dev/source-uid": source.uid}
    with new_namespace(cluster, "attacker", "restricted") as attacker:
        for kubernetes in (attacker, namespace):
            impostor(kubernetes, cluster, forged)
        for kubernetes in (attacker, namespace):
            kubernetes.wait_for("the impostor's page", lambda k=kubernetes: page_of(k))
        # All lines there are, while the impostors write a hundred times as many.
        after = source.suspend()
        output_text = sum(metrics.lines() for metrics in after.values())
        source.kubernetes.wait_for(
            "all lines", lambda: source.status["lines"] == output_text and source.status
        )
        assert source.status["replicas"] == 1
        for kubernetes in (attacker, namespace):
            pod = kubernetes.get("pod", "impostor")
            assert "visor.dev/document-hash" not in pod["metadata"].get("annotations", {})


def page_of(kubernetes: Kubernetes) -> bool:
    pod = kubernetes.get("pod", "impostor")
    running = pod["status"].get("phase") == "Running"
    return running and "visor_lines_total" in kubernetes.page("impostor", METRICS, "/metrics")


def impostor(kubernetes: Kubernetes, cluster: Cluster, claims: dict[str, str]) -> None:
    """Starts a pod that writes for itself, and has the labels of a source's pods."""
    fast = shop(lines_per_second=1000)
    fast["metadata"]["name"] = "impostor"
    start(kubernetes, cluster.image, fast)
    words = [f"{key}={value}" for key, value in claims.items()]
    kubernetes.run("label", "pod", "impostor", *words)
    kubernetes.run("annotate", "pod", "impostor", "visor.dev/injected=0.1.0")


def test_a_review_that_no_api_server_sent_leaves_no_event(
    cluster: Cluster, operators: Operators, namespace: Kubernetes
) -> None:
    cluster.need_own("it calls the webhook itself")
    review = {
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "1",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": namespace.namespace,
            "operation": "CREATE",
            "userInfo": {},
            "object": {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": "forged",
                    "labels": {"visor.dev/inject": "true"},
                    "annotations": {"visor.dev/source": "nowhere"},
                },
                "spec": {"containers": [{"name": "web"}]},
            },
        },
    }
    asked = operators.metrics(operators.leader())
    for address in [pod["status"]["podIP"] for pod in operators.pods()]:
        content = json.dumps(review).encode()
        for _ in range(20):
            assert asyncio.run(attacks.review(address, WEBHOOK, content)) == 200
    # A pod of the API server's leaves one, and it is the only one.
    namespace.apply(pod_without_source(cluster))
    namespace.wait_for(
        "its event",
        lambda: [e for e in namespace.list("events") if e["reason"] == "NotInjected"],
    )
    reported = [e for e in namespace.list("events") if e["reason"] == "NotInjected"]
    assert {e["involvedObject"]["name"] for e in reported} == {"real"}
    gets = "visor_operator_requests_total"
    after = operators.metrics(operators.leader())
    assert after.sum(gets, method="GET") - asked.sum(gets, method="GET") < 20


def pod_without_source(cluster: Cluster) -> Object:
    template = workload(cluster, "Deployment")["spec"]["template"]
    template["metadata"]["name"] = "real"
    template["metadata"]["annotations"]["visor.dev/source"] = "nowhere"
    return {"apiVersion": "v1", "kind": "Pod", **template}
