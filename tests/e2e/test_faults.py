"""An API server that answers badly: an operator tries again, and all comes right in the end. The
operator runs on this machine, behind a proxy that makes the faults."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from e2e.faults import SILENCE, TOO_OLD, FaultyProxy, Seen, faulty_proxy, is_watch
from support import dockerfile
from support.clusters import Cluster
from support.documents import Object
from support.kubernetes import Kubernetes
from support.metrics import Metrics, get, parse
from support.sources import Source, apply, shop
from support.tools import free_port


@contextmanager
def api_server(kubernetes: Kubernetes) -> Iterator[str]:
    """The API server without TLS and tokens."""
    process = subprocess.Popen(
        [kubernetes.kubectl, f"--kubeconfig={kubernetes.kubeconfig}", "proxy", "--port=0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        output_text = process.stdout.readline()
        found = re.search(r"127\.0\.0\.1:\d+", output_text)
        assert found, output_text
        yield found[0]
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def proxy(no_other_operator: None, namespace: Kubernetes) -> Iterator[FaultyProxy]:
    with api_server(namespace) as address, faulty_proxy(address) as proxy:
        yield proxy


class Operator:
    """An operator on this machine."""

    def __init__(self, address: str) -> None:
        self.address = address

    def metrics(self) -> Metrics:
        return parse(get(self.address))

    def count(self, name: str, **labels: str) -> float:
        return self.metrics().sum(f"visor_operator_{name}", **labels)


@pytest.fixture
def operator(
    cluster: Cluster, namespace: Kubernetes, proxy: FaultyProxy, tmp_path: Path
) -> Iterator[Operator]:
    """The only operator of the test's namespace; its log is shown if the test fails."""
    dockerfile.build()
    address = f"127.0.0.1:{free_port()}"
    context = {"cluster": "proxy", "user": "nobody"}
    kubeconfig = tmp_path / "kubeconfig"
    configuration = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "proxy", "cluster": {"server": f"http://{proxy.address}"}}],
        "users": [{"name": "nobody", "user": {}}],
        "contexts": [{"name": "proxy", "context": context}],
        "current-context": "proxy",
    }
    kubeconfig.write_text(json.dumps(configuration))
    process = subprocess.Popen(
        [
            *(dockerfile.BUILD / "visor-operator", "run", f"--image={cluster.image}"),
            *(f"--namespace={namespace.namespace}", "--no-leader-election", f"--listen={address}"),
            *("--status-interval=1s", "--logging-format=text"),
        ],
        env={"KUBECONFIG": str(kubeconfig)},
    )
    try:
        yield Operator(address)
    finally:
        process.kill()
        process.wait()


def named(number: int) -> Object:
    return {**shop(lines_per_second=5), "metadata": {"name": f"shop-{number}"}}


WHOLE = {"ConfigMap", "Service", "Deployment"}


def are_as_they_should_be(sources: list[Source]) -> None:
    for source in sources:
        source.kubernetes.wait_for("all children", lambda s=source: set(s.children()) == WHOLE)
        source.is_ready()


def test_writes_that_fail_are_tried_again(
    namespace: Kubernetes, proxy: FaultyProxy, operator: Operator
) -> None:
    proxy.fail_writes(*[500] * 6, *[409] * 6, *[503, 429] * 2)
    sources = [apply(namespace, named(number)) for number in range(3)]
    are_as_they_should_be(sources)
    assert proxy.is_done()
    # The others the client tries again by itself.
    for status in (500, 409):
        assert operator.count("api_requests_total", code=str(status)) == proxy.given[status]
    assert operator.count("reconciles_total", result="error") > 0
    # And so are those that remove something.
    proxy.fail_writes(500, 500)
    sources[0].change(workload="StatefulSet")
    namespace.wait_for(
        "the other workload",
        lambda: set(sources[0].children()) == {"ConfigMap", "Service", "StatefulSet"},
    )
    assert proxy.is_done()


def test_a_write_that_is_not_answered_delays_neither_its_source_for_ever_nor_others(
    namespace: Kubernetes, proxy: FaultyProxy, operator: Operator
) -> None:
    proxy.fail_writes(SILENCE)
    stuck = apply(namespace, named(1))
    namespace.wait_for("a write that isn't answered", proxy.is_done)
    other = apply(namespace, named(2))
    other.is_ready()
    are_as_they_should_be([stuck])
    assert operator.count("api_requests_total", code="0") > 0


def test_watches_that_break_off_are_begun_again(
    namespace: Kubernetes, proxy: FaultyProxy, operator: Operator
) -> None:
    source = apply(namespace, named(1))
    source.is_ready()
    errors = operator.count("watch_errors_total")
    proxy.fail_watches("", *[500] * 10)
    # Meanwhile there is a change of everything that is watched.
    source.change(replicas=2)
    namespace.delete("configmap", source.name)
    another = apply(namespace, named(2))
    namespace.wait_for("ten failures", proxy.is_done)
    namespace.wait_for("another pod", lambda: len(source.pods()) == 2)
    are_as_they_should_be([source, another])
    assert operator.count("watch_errors_total") > errors


def test_a_source_is_not_ready_by_what_was_seen_before_it_was_changed(
    namespace: Kubernetes, proxy: FaultyProxy, operator: Operator
) -> None:
    source = apply(namespace, named(1))
    source.is_ready()
    before = source.pod().uid
    # What becomes of the Deployment is not seen for a while.
    proxy.fail_watches("/deployments", *[500] * 4)
    source.change(podTemplate={"annotations": {"shop.example/round": "2"}})
    source.is_ready()
    assert before not in {pod.uid for pod in source.pods()}


# How many seconds a fault lasts that is not about single requests.
TROUBLE = 12
# A server may be away for minutes.
AWAY = 150


def allowed(seconds: float) -> float:
    """How many requests an operator may make in so many seconds of trouble: each of its nine
    watches once a second, and what a source takes."""
    return 9 * (seconds + 1) + 30


def asked_in_trouble(
    proxy: FaultyProxy, seconds: float, meanwhile: Callable[[], object] | None = None
) -> list[Seen]:
    """What is asked in so many seconds, and as long as something else takes, once all watches have
    been cut."""
    before = len(proxy.seen())
    proxy.cut_watches()
    if meanwhile:
        meanwhile()
    threading.Event().wait(seconds)
    return proxy.seen()[before:]


def is_well(namespace: Kubernetes, operator: Operator, source: Source) -> None:
    """A change is carried out, and a new source is served."""
    source.change(replicas=2)
    namespace.wait_for("another pod", lambda: len(source.pods()) == 2)
    are_as_they_should_be([source, apply(namespace, named(99))])
    assert repeated_events(namespace) == []


def repeated_events(namespace: Kubernetes) -> list[Object]:
    """Events of the operator that were recorded before."""
    ours = [e for e in namespace.list("events") if e["source"].get("component") != "kubelet"]
    ours = [e for e in ours if e["involvedObject"]["kind"] == "FakeLogSource"]
    output_text = [(e["involvedObject"].get("uid"), e["reason"], e["message"]) for e in ours]
    again = [e for e in ours if e.get("series") or (e.get("count") or 1) > 1]
    return again + [
        e for e, what in zip(ours, output_text, strict=True) if output_text.count(what) > 1
    ]


def test_a_server_that_is_too_busy_gets_the_pause_that_it_requests(
    namespace: Kubernetes, proxy: FaultyProxy, operator: Operator
) -> None:
    proxy.retry_after = 3
    proxy.fail_writes(*[429] * 3)
    source = apply(namespace, named(1))
    namespace.wait_for("all refusals", proxy.is_done)
    are_as_they_should_be([source])
    rejections = [seen.time for seen in proxy.seen() if seen.fault == 429]
    assert len(rejections) == 3
    for rejection in rejections:
        # What is on its way by then comes all the same.
        meanwhile = [s for s in proxy.seen() if rejection + 0.3 < s.time < rejection + 2.9]
        assert meanwhile == []
    assert operator.count("api_requests_total", code="429") == 3


def test_watches_that_end_at_once_are_not_begun_over_and_over(
    namespace: Kubernetes, proxy: FaultyProxy, operator: Operator
) -> None:
    source = apply(namespace, named(1))
    source.is_ready()
    proxy.watches_end_with = b""
    asked = asked_in_trouble(proxy, TROUBLE)
    proxy.watches_end_with = None
    assert len([seen for seen in asked if is_watch(seen.path)]) > 9
    assert len(asked) <= allowed(TROUBLE)
    is_well(namespace, operator, source)


def test_a_server_that_has_forgotten_the_past_is_asked_for_the_present(
    namespace: Kubernetes, proxy: FaultyProxy, operator: Operator
) -> None:
    source = apply(namespace, named(1))
    source.is_ready()
    proxy.watches_end_with = json.dumps(TOO_OLD).encode() + b"\n"

    def change() -> None:
        # Only lists report it.
        source.change(replicas=2)
        namespace.wait_for("another pod", lambda: len(source.pods()) == 2)

    asked = asked_in_trouble(proxy, TROUBLE, change)
    proxy.watches_end_with = None
    # Each time a list and a watch.
    assert len(asked) <= 2 * allowed(TROUBLE)
    source.is_ready()
    is_well(namespace, operator, source)


@pytest.mark.timeout(AWAY + 240)
def test_a_server_that_is_away_for_minutes_is_waited_for(
    namespace: Kubernetes, proxy: FaultyProxy, operator: Operator
) -> None:
    source = apply(namespace, named(1))
    source.is_ready()
    proxy.is_away = True
    # A change without an event.
    asked = asked_in_trouble(proxy, AWAY, lambda: namespace.delete("service", source.name))
    proxy.is_away = False
    # Less and less often: on the whole, each watch once in five seconds at most.
    assert 9 < len(asked) <= allowed(AWAY / 5)
    are_as_they_should_be([source])
    is_well(namespace, operator, source)


def test_a_slow_server_is_asked_no_more_than_a_fast_one(
    namespace: Kubernetes, proxy: FaultyProxy, operator: Operator
) -> None:
    fast = apply(namespace, named(1))
    fast.is_ready()
    proxy.delay = 2
    before = len(proxy.seen())
    slow = apply(namespace, named(2))
    are_as_they_should_be([slow])
    during = [seen for seen in proxy.seen()[before:] if seen.method in ("POST", "PATCH")]
    # Three objects, an event, and statuses: one for each of its conditions and for each round.
    assert [seen.method for seen in during].count("POST") == 4
    assert len(during) <= 4 + 20
    proxy.delay = 0
    is_well(namespace, operator, slow)


def test_what_goes_wrong_for_long_is_reported_with_the_server_s_message(
    namespace: Kubernetes, proxy: FaultyProxy, operator: Operator
) -> None:
    source = apply(namespace, named(1))
    source.is_ready()
    proxy.fail_writes(*[500] * 5)
    source.change(replicas=2)
    rejected = source.wait_for("Accepted", "False", "ReconcileError")
    assert "told to fail" in rejected.message and "keep running unchanged" in rejected.message
    are_as_they_should_be([source])
    is_well(namespace, operator, source)
