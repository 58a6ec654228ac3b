"""What the README shows of a cluster, its ```bash blocks, is typed into a shell, one after the
other, on a cluster without Visor. Nothing in them is changed: images have the names that the chart
gives them, and `helm` and `kubectl` are on the path."""

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


def blocks() -> list[str]:
    return re.findall(r"^```bash\n(.*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S)


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
