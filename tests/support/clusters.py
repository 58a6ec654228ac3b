"""The cluster that the tests of e2e/ run on: one that the environment names, or one of their own on
this machine.

    VISOR_E2E_KUBECONFIG   names a cluster, such as one of kind or k3d; a plain KUBECONFIG is left
                           alone, for it may be somebody's production
    VISOR_E2E_LOAD         the command that brings an image archive there, such as
                           `kind load image-archive`; unset, if the images are there already
    VISOR_E2E_IMAGE, VISOR_E2E_OPERATOR_IMAGE, VISOR_E2E_READER_IMAGE
                           what they are called there, if not localhost/visor:test,
                           localhost/visor-operator:test and localhost/visor-reader:test
    VISOR_E2E_COLLECTORS   set, if that cluster can run the collectors of manifests/samples though
                           their images weren't loaded
    VISOR_E2E_NAME, VISOR_E2E_NET   of the own one; see cluster/cluster
"""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.dockerfile import ROOT
from support.kubernetes import Kubernetes
from support.tools import tool

SCRIPTS = ROOT / "tests" / "cluster"
PROGRAM = SCRIPTS / "cluster"
IMAGES = ROOT / "target" / "images"
PLACES = Path(os.environ.get("CLUSTER_DIR", "/var/lib/visor-cluster"))
NAME = os.environ.get("VISOR_E2E_NAME", "visor-e2e")
NET = os.environ.get("VISOR_E2E_NET", "10.124")
PLACE = PLACES / NAME


@dataclass(frozen=True)
class Cluster:
    """A cluster, and what it calls the images."""

    kubernetes: Kubernetes
    image: str
    operator_image: str
    reader_image: str
    has_collectors: bool
    # Whether the tests made it, and so may do to it what they like.
    own: bool

    def need_own(self, why: str) -> None:
        """Skips the test on an existing cluster."""
        if not self.own:
            pytest.skip(f"only on a cluster of the tests' own: {why}")

    def need_collectors(self) -> None:
        """Skips the test on a cluster that can't run the samples' collectors."""
        if not self.has_collectors:
            pytest.skip("VISOR_E2E_COLLECTORS doesn't say that the cluster has the samples' images")

    def need_native_sidecars(self) -> None:
        """Skips the test if there are no native sidecars."""
        self.need(29, "native sidecars")

    def need(self, minor: int, what: str) -> None:
        """Skips the test on a server that is older than 1.`minor`, which `what` needs."""
        version = json.loads(self.kubernetes.run("version", "-o", "json"))["serverVersion"]
        if (int(version["major"]), int(version["minor"].rstrip("+"))) < (1, minor):
            pytest.skip(f"{what} need Kubernetes 1.{minor}")

    def on_node(self, path: str) -> Path:
        """Where a path of the node is on this machine: see cluster/node/namespaces.py."""
        self.need_own("it reads files of the node")
        return PLACE / "node" / path.lstrip("/")

    def empty_dir(self, pod_uid: str, volume: str) -> Path:
        """Where an emptyDir of a pod is on this machine."""
        volumes = f"/var/lib/kubelet/pods/{pod_uid}/volumes"
        return self.on_node(f"{volumes}/kubernetes.io~empty-dir/{volume}")

    def command(self, *words: str | Path) -> None:
        """Runs tests/cluster/cluster on the own cluster."""
        self.need_own("it does something to the node")
        run_script(*words)

    def log(self, daemon: str, lines: int = 40) -> str:
        """The end of a daemon's log; empty on an existing cluster."""
        if not self.own:
            return ""
        text = (PLACE / "log" / f"{daemon}.log").read_text(errors="replace")
        return "\n".join(text.splitlines()[-lines:])


def own_settings() -> dict[str, str]:
    return {"CLUSTER_DIR": str(PLACES), "CLUSTER_NAME": NAME, "CLUSTER_NET": NET}


def run_script(
    *words: str | Path,
    settings: dict[str, str] | None = None,
    program: Path = PROGRAM,
    quiet: bool = False,
) -> str:
    """Runs tests/cluster/cluster with these settings, which are by default the own cluster's, and
    returns what it printed."""
    done = subprocess.run(
        [program, *words],
        env={**os.environ, **(settings or own_settings())},
        check=True,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if quiet else None,
    )
    return done.stdout


def named() -> Path | None:
    """The kubeconfig of the cluster that the environment names."""
    given = os.environ.get("VISOR_E2E_KUBECONFIG")
    return Path(given).absolute() if given else None


def obstacle() -> str | None:
    """Why there is no cluster to run the tests on, and what to do."""
    if named():
        return None
    reason = why_none_can_be_made()
    return (
        reason and f"{reason}; `VISOR_E2E_KUBECONFIG=... make e2e` runs them on a cluster you have"
    )


def why_none_can_be_made() -> str | None:
    release = Path("/etc/os-release")
    if not release.exists() or "VERSION_CODENAME=bookworm" not in release.read_text():
        return "this is not Debian 12"
    if os.geteuid() != 0:
        return "this user is not root"
    if not os.access("/sys/fs/cgroup", os.W_OK):
        return "no control groups can be made here"
    tried = subprocess.run(["unshare", "--mount", "--net", "true"], capture_output=True)
    if tried.returncode:
        return "no namespaces can be made here"
    return None


@contextmanager
def any_cluster(cache: Path) -> Iterator[Cluster]:
    """The cluster that is named, else one of the tests' own."""
    kubeconfig = named()
    if kubeconfig is None:
        with own_cluster(cache) as made:
            yield made
        return
    load = os.environ.get("VISOR_E2E_LOAD")
    if load:
        for archive in archives():
            subprocess.run([*shlex.split(load), archive], check=True)
    yield Cluster(
        Kubernetes(Path(tool("kubectl")), kubeconfig, cache),
        os.environ.get("VISOR_E2E_IMAGE", "localhost/visor:test"),
        os.environ.get("VISOR_E2E_OPERATOR_IMAGE", "localhost/visor-operator:test"),
        os.environ.get("VISOR_E2E_READER_IMAGE", "localhost/visor-reader:test"),
        has_collectors=bool(load or os.environ.get("VISOR_E2E_COLLECTORS")),
        own=False,
    )


@contextmanager
def own_cluster(cache: Path) -> Iterator[Cluster]:
    """A cluster of the tests' own, with the images of this checkout in it."""
    made = archives()
    kubectl = build_kubernetes() / "bin" / "kubectl"
    with alone():
        run_script("up")
        try:
            run_script("load-image", *made)
            yield Cluster(
                Kubernetes(kubectl, PLACE / "etc" / "admin.kubeconfig", cache),
                "localhost/visor:test",
                "localhost/visor-operator:test",
                "localhost/visor-reader:test",
                has_collectors=True,
                own=True,
            )
        finally:
            run_script("down")


def archives() -> list[Path]:
    """The images of this checkout, rebuilt."""
    subprocess.run([SCRIPTS / "images", IMAGES], check=True)
    return sorted(IMAGES.glob("*.tar"))


def build_kubernetes() -> Path:
    """Where the built Kubernetes is; it is built if there is none yet."""
    program = SCRIPTS / "build-kubernetes"
    built = subprocess.run([program], check=True, stdout=subprocess.PIPE, text=True)
    return Path(built.stdout.strip())


@contextmanager
def alone() -> Iterator[None]:
    """Waits until no other run on this machine has a cluster of that name, of whatever checkout."""
    with Path("/run/lock", f"{NAME}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def processes_of(pod_uid: str) -> list[int]:
    """The processes of a pod of the own cluster, the pause of its sandbox left out."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            group = (process / "cgroup").read_text()
            command = (process / "cmdline").read_bytes().split(b"\0")[0]
        except OSError:
            continue  # It has ended.
        if f"pod{pod_uid}/" in group and command not in (b"", b"/pause"):
            found.append(int(process.name))
    return found
