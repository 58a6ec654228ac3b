"""FakeLogSources in a cluster: their status, children, pods and lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from support.documents import STDOUT, Object, access, rate, source, stream
from support.kubernetes import Kubernetes, owner_of
from support.metrics import Metrics
from support.pods import Pod

KIND = "fakelogsources.visor.dev"
# Every kind that a source may have children of, but PodMonitors, which not every cluster knows.
CHILDREN = (
    *("configmap", "service", "persistentvolumeclaim"),
    *("deployment", "statefulset", "daemonset", "job"),
)
WORKLOADS = {"Deployment", "StatefulSet", "DaemonSet", "Job"}


class Condition(NamedTuple):
    status: str
    reason: str
    message: str


@dataclass(frozen=True)
class Source:
    """A source by its name."""

    kubernetes: Kubernetes
    name: str

    @property
    def object(self) -> Object:
        return self.kubernetes.get(KIND, self.name)

    @property
    def uid(self) -> str:
        return self.object["metadata"]["uid"]

    @property
    def status(self) -> Object:
        return self.object.get("status", {})

    def change(self, **spec: Any) -> None:
        """Changes fields of the spec; None removes one."""
        self.kubernetes.patch(KIND, self.name, {"spec": spec})

    def delete(self) -> None:
        self.kubernetes.delete(KIND, self.name)

    def condition(self, type_: str) -> Condition | None:
        """A condition, if it is about the source as it is now."""
        now = self.object
        for condition in now.get("status", {}).get("conditions", []):
            current = condition.get("observedGeneration") == now["metadata"]["generation"]
            if condition["type"] == type_ and current:
                return Condition(condition["status"], condition["reason"], condition["message"])
        return None

    def wait_for(self, type_: str, status: str = "True", reason: str | None = None) -> Condition:
        """Waits for a condition, with that reason if one is given."""

        def holds() -> Condition | None:
            found = self.condition(type_)
            good = found and found.status == status and reason in (None, found.reason)
            return found if good else None

        wanted = f"{type_}={status}" + (f" ({reason})" if reason else "")
        return self.kubernetes.wait_for(f"{wanted} of {self.name}", holds)

    def is_ready(self) -> None:
        """Waits until its pods are up to date and write lines."""
        self.wait_for("Ready", reason="Ready")

    def pods(self) -> list[Pod]:
        """Its pods that aren't about to end, in the order of their names."""
        selector = f"app.kubernetes.io/component=generator,app.kubernetes.io/instance={self.name}"
        found = self.kubernetes.list("pods", selector)
        pods = [Pod(self.kubernetes, o) for o in found if "deletionTimestamp" not in o["metadata"]]
        return sorted(pods, key=lambda pod: pod.name)

    def pod(self) -> Pod:
        """Its only pod."""
        (pod,) = self.pods()
        return pod

    def children(self) -> dict[str, Object]:
        """The objects of its name that it controls, by kind."""
        uid = self.object["metadata"]["uid"]
        found = self.kubernetes.list(",".join(CHILDREN))
        return {
            child["kind"]: child
            for child in found
            if child["metadata"]["name"] == self.name and owner_of(child) == uid
        }

    def workload(self) -> Object | None:
        """What runs its pods."""
        found = [child for kind, child in self.children().items() if kind in WORKLOADS]
        assert len(found) <= 1, found
        return found[0] if found else None

    def lines_per_second(self) -> float:
        """What the running pods aim at, together."""
        return sum(pod.metrics().sum("visor_configured_lines_per_second") for pod in self.pods())

    def settled_status(self) -> Object | None:
        """Its status, once it includes all lines of its pods, which write no more."""
        before = self.status
        if before["unreachablePods"]:
            return None
        # Of a pod that runs: its container, how often that was started, lines and bytes.
        running = [pod.split(":") for pod in before["countedPods"] if pod.count(":") == 3]
        output_text = sum(pod.metrics().lines() for pod in self.pods())
        return before if sum(int(lines) for _, _, lines, _ in running) == output_text else None

    def suspend(self) -> dict[str, Metrics]:
        """Suspends it, waits until no pod writes any more, and returns their metrics, which then
        stay as they are."""
        self.change(suspend=True)
        self.wait_for("Ready", reason="Suspended")
        before: dict[str, Metrics] = {}

        def still() -> dict[str, Metrics] | None:
            nonlocal before
            last, before = before, {pod.name: pod.metrics() for pod in self.pods()}
            # What was under way when it was suspended is written in no time.
            quiet = all(
                metrics.sum("visor_configured_lines_per_second") == 0
                and name in last
                and metrics.lines() == last[name].lines()
                for name, metrics in before.items()
            )
            return before if quiet else None

        return self.kubernetes.wait_for(f"{self.name} to be suspended", still)


def shop(*, lines_per_second: int = 50, output: Object = STDOUT, **spec: Any) -> Object:
    """A source called `shop`: an access log whose only stream, `readers`, has this interval."""
    readers = stream("readers", "Access", rate(lines_per_second))
    return source("shop", access("web", readers, output=output), seed=7, **spec)


def apply(kubernetes: Kubernetes, document: Object) -> Source:
    """Applies a source."""
    kubernetes.apply(document)
    return Source(kubernetes, document["metadata"]["name"])
