"""The operators of a release: which one is the leader, what they count, what they log."""

from __future__ import annotations

from dataclasses import dataclass

from support.documents import Object
from support.kubernetes import KubectlError, Kubernetes
from support.metrics import Metrics, parse

PORT = 8080


@dataclass(frozen=True)
class Operators:
    """The operators of a release; `kubernetes` is for the namespace that they live in."""

    kubernetes: Kubernetes
    release: str = "visor"

    @property
    def lease(self) -> str:
        return f"{self.release}-operator"

    def pods(self) -> list[Object]:
        """Their pods that aren't about to end."""
        selector = f"app.kubernetes.io/component=operator,app.kubernetes.io/instance={self.release}"
        found = self.kubernetes.list("pods", selector)
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def pod(self, name: str) -> Object:
        return self.kubernetes.get("pod", name)

    def container(self, name: str) -> Object:
        """The status of an operator's container."""
        (status,) = self.pod(name)["status"]["containerStatuses"]
        return status

    def names(self) -> list[str]:
        return [pod["metadata"]["name"] for pod in self.pods()]

    def holder(self) -> str:
        """The holder of the Lease; empty if there is none."""
        lease = self.kubernetes.find("lease", self.lease)
        return (lease or {}).get("spec", {}).get("holderIdentity") or ""

    def metrics(self, pod: str) -> Metrics:
        return parse(self.kubernetes.page(pod, PORT, "/metrics"))

    def leader(self, *others_than: str) -> str:
        """Waits until one of them holds the Lease and reports itself as the leader."""

        def leading() -> str | None:
            holder = self.holder()
            if holder in others_than or holder not in self.names():
                return None
            return holder if self.is_leader(holder) else None

        return self.kubernetes.wait_for("an operator that acts", leading)

    def is_leader(self, pod: str) -> bool:
        try:
            return self.metrics(pod).sum("visor_operator_leader") == 1
        except KubectlError:
            # It is about to start, or has just ended.
            return False

    def are_ready(self) -> None:
        """Waits until there are as many as there should be, and ready."""
        self.kubernetes.run("rollout", "status", f"deployment/{self.release}")
        self.leader()

    def scale(self, replicas: int) -> None:
        """Changes how many there are, and waits until there are so many."""
        self.kubernetes.run("scale", "deployment", self.release, f"--replicas={replicas}")
        if replicas:
            self.are_ready()
        else:
            self.kubernetes.wait_for("the end of the operators", lambda: not self.pods())

    def logs(self, lines: int) -> str:
        """The last lines of each, also of those that ended last."""
        output_text = []
        for pod in self.names():
            for options in ((), ("--previous",)):
                try:
                    log = self.kubernetes.logs(pod, "operator", f"--tail={lines}", *options)
                except KubectlError:
                    continue
                output_text.append(f"--- {pod} {' '.join(options)}\n{log}")
        return "\n".join(output_text)
