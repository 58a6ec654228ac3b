"""A Kubernetes cluster by way of kubectl: objects as JSON, logs, and the pages that pods serve."""

from __future__ import annotations

import dataclasses
import functools
import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from support.documents import Object
from support.waiting import wait_for

T = TypeVar("T")

# Pods are scheduled, started and ended meanwhile.
TIMEOUT = 120.0
# kubectl is a process each time, and the machine has better things to do.
PAUSE = 0.2


class KubectlError(Exception):
    """kubectl failed; the text is its output."""


@dataclass(frozen=True)
class Kubernetes:
    """A cluster, and the namespace in it that is meant where none is given."""

    kubectl: Path
    kubeconfig: Path
    # Where kubectl remembers what the API server has: nothing is left in anybody's home.
    cache: Path
    namespace: str = "default"

    def within(self, namespace: str) -> Kubernetes:
        return dataclasses.replace(self, namespace=namespace)

    def run(self, *words: str | Path, stdin: str = "", timeout: float = TIMEOUT) -> str:
        """Runs kubectl and returns what it printed."""
        return self._run(*words, stdin=stdin, timeout=timeout).stdout.decode()

    def _run(
        self, *words: str | Path, stdin: str = "", timeout: float = TIMEOUT
    ) -> subprocess.CompletedProcess[bytes]:
        done = subprocess.run(
            [*self.command(), *words], input=stdin.encode(), capture_output=True, timeout=timeout
        )
        if done.returncode:
            output_text = done.stderr.decode(errors="replace").strip()
            raise KubectlError(f"kubectl {' '.join(map(str, words))}: {output_text}")
        return done

    def command(self) -> list[str | Path]:
        """The words before those of a question."""
        cluster = (f"--kubeconfig={self.kubeconfig}", f"--cache-dir={self.cache}")
        return [self.kubectl, *cluster, f"--namespace={self.namespace}"]

    def apply(self, *what: Object | Path) -> list[Object]:
        """Applies objects, or files and directories of them, and returns them as they are now."""
        applied: list[Object] = []
        for each in what:
            if isinstance(each, Path):
                printed = self.run("apply", "-f", each, "-o", "json")
            else:
                printed = self.run("apply", "-f", "-", "-o", "json", stdin=json.dumps(each))
            found = json.loads(printed)
            applied += found["items"] if found["kind"] == "List" else [found]
        return applied

    def create(self, what: Object) -> Object:
        return json.loads(self.run("create", "-f", "-", "-o", "json", stdin=json.dumps(what)))

    def find(self, kind: str, name: str) -> Object | None:
        """The object; None if there is none."""
        printed = self.run("get", kind, name, "--ignore-not-found", *self.whole(), "-o", "json")
        return json.loads(printed) if printed else None

    def get(self, kind: str, name: str) -> Object:
        found = self.find(kind, name)
        assert found is not None, f"there is no {kind} {name} in {self.namespace}"
        return found

    def list(self, kinds: str, selector: str = "") -> list[Object]:
        """All objects of some kinds, such as `pods` or `jobs,services`, optionally with a
        selector."""
        chosen = [f"--selector={selector}"] if selector else []
        return json.loads(self.run("get", kinds, *chosen, *self.whole(), "-o", "json"))["items"]

    def whole(self) -> list[str]:
        """The option by which kubectl shows objects whole: from 1.21 on it hides managedFields."""
        return ["--show-managed-fields"] if minor(self.kubectl) >= 21 else []

    def read(self, pod: str, container: str, *words: str) -> bytes:
        """What a command in a container prints."""
        where = ("exec", pod, f"--container={container}")
        return self._run(*where, "--", *words).stdout

    def patch(self, kind: str, name: str, patch: Object) -> None:
        """Changes fields of an object; None removes one."""
        self.run("patch", kind, name, "--type=merge", f"--patch={json.dumps(patch)}")

    def delete(self, kind: str, name: str, *options: str) -> None:
        """Deletes an object, if there is one, and doesn't wait until it is gone."""
        self.run("delete", kind, name, "--wait=false", "--ignore-not-found", *options)

    def raw(self, path: str) -> str:
        """What the API server answers to a GET."""
        return self.run("get", "--raw", path)

    def page(self, pod: str, port: int, path: str) -> str:
        """A page of a pod, by way of the API server, which sees pods wherever they are."""
        return self.raw(f"/api/v1/namespaces/{self.namespace}/pods/{pod}:{port}/proxy{path}")

    def logs(self, pod: str, container: str, *options: str) -> str:
        return self.run("logs", pod, f"--container={container}", *options)

    def wait_for(self, what: str, condition: Callable[[], T], timeout: float = TIMEOUT) -> T:
        return wait_for(f"{what} (namespace {self.namespace})", condition, timeout, PAUSE)

    def wait_until_gone(self, kind: str, name: str) -> None:
        self.wait_for(f"the end of {kind} {name}", lambda: self.find(kind, name) is None)


@functools.cache
def minor(kubectl: Path) -> int:
    """The number of kubectl's version after `1.`."""
    words = [kubectl, "version", "--client", "--output=json"]
    printed = subprocess.run(words, check=True, capture_output=True).stdout
    return int(json.loads(printed)["clientVersion"]["minor"].rstrip("+"))


def owner_of(child: Object) -> str | None:
    """The uid of an object's controller."""
    owners = child["metadata"].get("ownerReferences", [])
    return next((owner["uid"] for owner in owners if owner.get("controller")), None)


def describe(kubernetes: Kubernetes, kinds: str = "") -> str:
    """What helps to understand a failed test: everything in its namespace, and objects of more
    kinds, each followed by a comma."""
    questions = [
        ("get", f"{kinds}all,configmaps,persistentvolumeclaims", "-o", "wide"),
        *([("get", kinds.rstrip(","), "-o", "yaml")] if kinds else []),
        ("describe", "pods"),
        ("get", "events", "--sort-by=.lastTimestamp"),
    ]
    for pod in names_of_pods(kubernetes):
        questions.append(("logs", pod, "--all-containers", "--prefix", "--tail=10"))
    return "\n".join(answer(kubernetes, question) for question in questions)


def names_of_pods(kubernetes: Kubernetes) -> list[str]:
    try:
        return kubernetes.run("get", "pods", "-o", "name").split()
    except KubectlError:
        return []


def answer(kubernetes: Kubernetes, question: tuple[str, ...]) -> str:
    """A query and the output of kubectl, even if it is an error."""
    try:
        output_text = kubernetes.run(*question)
    except KubectlError as error:
        output_text = str(error)
    return f"$ kubectl {' '.join(question)}\n{output_text}"
