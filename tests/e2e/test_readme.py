"""What the README shows of a cluster, its ```bash blocks, and what docs/install.md does, is typed
into a shell, one block after the other, on a cluster without Visor. Nothing in them is changed:
images have the names that the chart gives them, and `helm` and `kubectl` are on the path."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from support import helm
from support.clusters import Cluster
from support.dockerfile import ROOT
from support.tools import PATH

# A whole block may start pods.
MINUTES = 240


def blocks(page: str) -> list[str]:
    return re.findall(r"^```bash\n(.*?)^```$", (ROOT / page).read_text(), re.M | re.S)


@pytest.fixture
def path(cluster: Cluster, without_visor: None, tmp_path: Path) -> str:
    """A path with the tools."""
    (tmp_path / "helm").symlink_to(helm.program())
    (tmp_path / "kubectl").symlink_to(cluster.kubernetes.kubectl)
    return f"{tmp_path}:{PATH}"


def shell_environment(cluster: Cluster, path: str, home: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PATH": path,
        "HOME": str(home),
        "KUBECONFIG": str(cluster.kubernetes.kubeconfig),
    }


def run_blocks(page: str, cluster: Cluster, path: str, home: Path) -> str:
    """Runs a page's blocks, and returns what they have printed."""
    home.mkdir()
    environment = shell_environment(cluster, path, home)
    output_text = ""
    assert len(blocks(page)) >= 3
    for block in blocks(page):
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
        output_text += done.stdout
    return output_text


@pytest.mark.timeout(600)
def test_every_command_works_on_a_cluster(cluster: Cluster, path: str, tmp_path: Path) -> None:
    output_text = run_blocks("README.md", cluster, path, tmp_path / "home")
    # The columns are as the README shows them, and the log is an access log.
    shown = re.search(r"^NAME +READY.*WORKLOAD$", (ROOT / "README.md").read_text(), re.M)
    assert shown[0].split() in [line.split() for line in output_text.splitlines()]
    assert re.search(r'"GET \S+ HTTP/[0-9.]+" [0-9]{3} [0-9-]+ "', output_text), output_text


@pytest.mark.timeout(600)
def test_it_is_installed_upgraded_and_removed_as_the_page_says(
    cluster: Cluster, path: str, tmp_path: Path
) -> None:
    run_blocks("docs/install.md", cluster, path, tmp_path / "home")
    kubernetes = cluster.kubernetes
    assert kubernetes.find("crd", "fakelogsources.visor.dev") is None
    kubernetes.wait_until_gone("namespace", "visor-system")
    # Cluster-scoped objects, which would remain unnoticed.
    kinds = ("clusterrole", "clusterrolebinding", "mutatingwebhookconfiguration")
    left = kubernetes.list(",".join(kinds), "app.kubernetes.io/part-of=visor")
    assert [each["metadata"]["name"] for each in left] == []
