"""What the README shows of a cluster, its ```bash blocks, is typed into a shell, one after the
other, on a cluster without Visor. Nothing in them is changed: images have the names that the chart
gives them, and `helm` and `kubectl` are on the path."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import helm
from support.clusters import Cluster
from support.dockerfile import ROOT
from support.helm import Release
from support.sources import KIND
from support.tools import PATH

SOCKET = "/run/containerd/containerd.sock"
# A whole block may start pods.
MINUTES = 240


def blocks() -> list[str]:
    return re.findall(r"^```bash\n(.*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S)


@pytest.fixture
def path(cluster: Cluster, release: Release, tmp_path: Path) -> Iterator[str]:
    """A path with the tools, on a cluster where Visor isn't installed, but its images are known by
    their names."""
    cluster.need_own("it makes Visor's images known by other names")
    version = re.search(r"^appVersion: (\S+)$", (helm.CHART / "Chart.yaml").read_text(), re.M)
    for image in (cluster.image, cluster.operator_image):
        program = image.removeprefix("localhost/").split(":")[0]
        name = f"docker.io/library/{program}:{version[1]}"
        tag = ("ctr", "--address", SOCKET, "--namespace", "k8s.io", "images", "tag", "--force")
        cluster.command("run", *tag, image, name)
    release.uninstall()
    cluster.kubernetes.run("delete", "namespace", release.namespace)
    cluster.kubernetes.run("delete", "crd", KIND)
    (tmp_path / "helm").symlink_to(helm.program())
    (tmp_path / "kubectl").symlink_to(cluster.kubernetes.kubectl)
    yield f"{tmp_path}:{PATH}"
    # As the other tests have it.
    cluster.kubernetes.run("delete", "crd", KIND, "--ignore-not-found")
    subprocess.run(
        [helm.program(), "uninstall", "visor", "--namespace", "visor-system", "--wait"],
        env=shell_environment(cluster, f"{tmp_path}:{PATH}", tmp_path),
    )
    cluster.kubernetes.run("delete", "namespace", release.namespace, "--ignore-not-found")
    release.install()


def shell_environment(cluster: Cluster, path: str, home: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PATH": path,
        "HOME": str(home),
        "KUBECONFIG": str(cluster.kubernetes.kubeconfig),
    }


@pytest.mark.timeout(600)
def test_every_command_works_on_a_cluster(cluster: Cluster, path: str, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    environment = shell_environment(cluster, path, tmp_path / "home")
    said = ""
    assert len(blocks()) >= 3
    for block in blocks():
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=MINUTES,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        said += done.stdout
    # The columns are as the README shows them, and the log is an access log.
    shown = re.search(r"^NAME +READY.*WORKLOAD$", (ROOT / "README.md").read_text(), re.M)
    assert shown[0].split() in [line.split() for line in said.splitlines()]
    assert re.search(r'"GET \S+ HTTP/[0-9.]+" [0-9]{3} [0-9-]+ "', said), said
