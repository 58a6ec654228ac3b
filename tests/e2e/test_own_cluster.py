"""The cluster that the tests make for themselves: it comes up whatever was left, two live side by
side, nothing else on the machine is touched, and one that is removed leaves nothing behind."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from support.clusters import IMAGES, NET, PLACES, PROGRAM, Cluster, build_kubernetes, run_script
from support.dockerfile import ROOT
from support.kubernetes import Kubernetes
from support.pods import start
from support.tools import PATH, tool
from support.waiting import wait_for

NAME, OTHER_NET = "visor-two", "10.125"
CGROUPS = Path("/sys/fs/cgroup")
SETTINGS = {"CLUSTER_DIR": str(PLACES), "CLUSTER_NAME": NAME, "CLUSTER_NET": OTHER_NET}


@pytest.fixture
def settings(cluster: Cluster) -> Iterator[dict[str, str]]:
    """Those of another cluster, which is removed in the end."""
    cluster.need_own("it makes another one")
    assert not traces()
    yield SETTINGS
    run_script("down", settings=SETTINGS)


def groups(name: str) -> list[Path]:
    """A cluster's control groups, in every hierarchy."""
    found = [*CGROUPS.glob(f"*/visor-cluster-{name}"), *CGROUPS.glob(f"visor-cluster-{name}")]
    return [group for group in found if group.is_dir()]


def processes() -> dict[int, str]:
    """The processes of the other cluster, by control groups and mounts, and what they run."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            group = (process / "cgroup").read_text()
            mounts = (process / "mountinfo").read_text()
            command = (process / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue  # It has ended.
        if f"/visor-cluster-{NAME}/" in group or f"/{NAME}/" in mounts:
            found[int(process.name)] = command
    return found


def traces() -> set[str]:
    """What the other cluster has on this machine."""
    found = {str(group) for group in groups(NAME)}
    found |= {str(path) for path in Path("/sys/class/net").glob(f"{NAME}*")}
    found |= {f"{pid} {command}" for pid, command in processes().items()}
    found |= {line for line in Path("/proc/mounts").read_text().splitlines() if NAME in line}
    found |= {str(path) for path in (PLACES / NAME, Path("/run/netns", NAME)) if path.exists()}
    for command in ([tool("ip"), "route"], [tool("iptables-save")]):
        output_text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found |= {line for line in output_text.splitlines() if f"{OTHER_NET}." in line}
    return found


def settings_of_the_machine() -> dict[str, str]:
    """What a Kubernetes changes where it has a machine to itself."""
    names = [
        *("vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops"),
        *("kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes", "net/ipv4/ip_forward"),
        *("net/ipv4/conf/all/route_localnet", "net/netfilter/nf_conntrack_max"),
        "net/bridge/bridge-nf-call-iptables",
    ]
    files = {name: Path("/proc/sys", name) for name in names}
    found = {name: file.read_text() for name, file in files.items() if file.exists()}
    rules = subprocess.run([tool("iptables-save")], capture_output=True, text=True, check=True)
    counted = re.sub(r"\[\d+:\d+\]|^#.*$", "", rules.stdout, flags=re.MULTILINE)
    return {**found, "iptables": counted}


def other(cluster: Cluster, cache: Path) -> Kubernetes:
    """The other cluster by its own kubeconfig."""
    admin = PLACES / NAME / "etc" / "admin.kubeconfig"
    return Kubernetes(cluster.kubernetes.kubectl, admin, cache)


def rejected(*words: str, **settings: str) -> str:
    """The message with which `cluster` rejects a command."""
    with pytest.raises(subprocess.CalledProcessError) as caught:
        run_script(*words, settings={**SETTINGS, **settings}, quiet=True)
    assert caught.value.stderr.startswith("cluster: "), caught.value.stderr
    return caught.value.stderr


def test_two_side_by_side_and_nothing_left_behind(
    cluster: Cluster, settings: dict[str, str], tmp_path: Path
) -> None:
    before = settings_of_the_machine()
    run_script("up", settings=settings)
    run_script("load-image", IMAGES / "visor.tar", settings=settings)
    two = other(cluster, tmp_path)
    document = {"metadata": {"name": "web"}, "kind": "FakeLogSource"}
    document |= {"apiVersion": "visor.dev/v1alpha1", "spec": {"generators": [{"name": "web"}]}}
    document["spec"]["generators"][0]["access"] = {}
    pod = start(two, cluster.image, document).wait_until_ready()
    two.wait_for("its lines", pod.lines)
    nodes = cluster.kubernetes.list("nodes") + two.list("nodes")
    assert len({node["metadata"]["name"] for node in nodes}) == 2
    assert any("visor run" in command for command in processes().values())
    assert settings_of_the_machine() == before
    run_script("down", settings=settings)
    assert not traces()
    assert settings_of_the_machine() == before
    # The other one keeps running.
    assert cluster.kubernetes.raw("/readyz") == "ok"


def test_it_comes_up_where_one_was_killed_and_where_one_is_up(
    cluster: Cluster, settings: dict[str, str], tmp_path: Path
) -> None:
    run_script("up", settings=settings)
    while found := processes():
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    assert traces()
    # From another checkout, which lies deeper than a socket's path may be long.
    clone = tmp_path / ("deep" * 30) / "tests" / "cluster"
    shutil.copytree(PROGRAM.parent, clone)
    for _ in range(2):
        run_script("up", settings=settings, program=clone / "cluster")
        assert other(cluster, tmp_path).raw("/readyz") == "ok"
    run_script("down", settings=settings)
    assert not traces()


@pytest.mark.parametrize("name", ["", ".", "..", "/", "../..", "a/b", "*", "Two", "twelve-chars"])
@pytest.mark.parametrize("command", ["up", "down", "env"])
def test_a_wrong_name_does_nothing(cluster: Cluster, command: str, name: str) -> None:
    cluster.need_own("it asks for another one")
    assert "CLUSTER_NAME" in rejected(command, CLUSTER_NAME=name)


@pytest.mark.parametrize("net", ["", "10", "10.300", "10.1.2", "ten.one"])
def test_wrong_addresses_do_nothing(cluster: Cluster, net: str) -> None:
    cluster.need_own("it asks for another one")
    assert "CLUSTER_NET" in rejected("up", CLUSTER_NET=net)


def test_addresses_in_use_are_rejected(cluster: Cluster, settings: dict[str, str]) -> None:
    assert "in use" in rejected("up", CLUSTER_NET=NET)
    assert "not up" in rejected("env")
    assert "kubelet" in rejected("stop", "kubelet")
    assert not traces()


def test_what_it_has_not_made_stays(
    cluster: Cluster, settings: dict[str, str], tmp_path: Path
) -> None:
    kept = tmp_path / NAME / "file"
    kept.parent.mkdir()
    kept.write_text("somebody's")
    strange = {**settings, "CLUSTER_DIR": str(tmp_path)}
    run_script("down", settings=strange)
    assert "isn't a cluster's" in rejected("up", **strange)
    assert kept.read_text() == "somebody's"
    # A group that happens to be called like the cluster's, with a process in it.
    group = CGROUPS / "pids" if (CGROUPS / "pids").is_dir() else CGROUPS
    group = group / f"visor-cluster-{NAME}"
    group.mkdir()
    with subprocess.Popen(["sleep", "infinity"]) as bystander:
        try:
            (group / "cgroup.procs").write_text(str(bystander.pid))
            run_script("down", settings=settings)
            assert str(group) in rejected("up")
            assert bystander.poll() is None
        finally:
            bystander.kill()
            bystander.wait()
            wait_for("the group to be empty", lambda: not (group / "cgroup.procs").read_text())
            group.rmdir()


def test_what_is_missing_is_reported(
    cluster: Cluster, settings: dict[str, str], tmp_path: Path
) -> None:
    def output_text(prepare: str, *command: str | Path, **environment: str) -> str:
        """The output of a command after a mount that only it sees."""
        words = ["unshare", "--mount", "sh", "-ec", f'{prepare}\nexec "$@"', "sh", *command]
        whole = {**os.environ, **settings, **environment}
        done = subprocess.run(words, env=whole, capture_output=True, text=True)
        assert done.returncode == 1, done
        return done.stderr

    def hidden(program: str | None) -> str:
        return f"mount --bind /dev/null {Path(program).resolve()}"

    def small(place: Path) -> str:
        return f"mkdir -p {place} && mount -t tmpfs -o size=16m none {place}"

    up, build = (PROGRAM, "up"), PROGRAM.with_name("build-kubernetes")
    text = output_text(hidden(shutil.which("containerd", path=PATH)), *up)
    assert "missing: containerd" in text and "make setup" in text
    text = output_text(small(PLACES), *up)
    assert "16 MB free" in text and "CLUSTER_DIR" in text
    text = output_text(hidden("/usr/bin/go"), build)
    assert "golang-go" in text and "make setup" in text
    cache = tmp_path / "cache"
    text = output_text(small(cache), build, VISOR_CACHE=str(cache))
    assert "16 MB free" in text and "VISOR_CACHE" in text
    assert not traces()


def test_make_cluster_says_how_to_use_it_and_make_cluster_down_removes_it(
    cluster: Cluster, settings: dict[str, str], tmp_path: Path
) -> None:
    environment = {**os.environ, **settings}

    def make(target: str) -> str:
        words = ["make", "--no-print-directory", "-C", ROOT, target]
        done = subprocess.run(words, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    shown = "\n".join(re.findall(r"^    (.*)$", make("cluster"), re.MULTILINE))
    # The last command runs until it is interrupted.
    shown = re.sub(r"(kubectl logs -f .*)", r"\1 | head -n 3", shown)
    # Neither does kubectl leave anything in anybody's home.
    typed = {**environment, "VISOR_CACHE": str(build_kubernetes().parent), "HOME": str(tmp_path)}
    done = subprocess.run(
        ["bash", "-euc", shown], cwd=ROOT, env=typed, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"^\S+ - .* HTTP/", done.stdout, re.MULTILINE)) == 3, done.stdout
    make("cluster-down")
    assert not traces()


def test_the_short_set_runs_on_an_existing_cluster_and_leaves_nothing_there(
    cluster: Cluster, settings: dict[str, str], tmp_path: Path
) -> None:
    run_script("up", settings=settings)
    two = other(cluster, tmp_path / "cache")
    before = {namespace["metadata"]["name"] for namespace in two.list("namespaces")}
    environment = {
        **os.environ,
        **settings,
        # A cluster that isn't needed: a test that requests it fails.
        "KUBECONFIG": "/dev/null",
        "VISOR_E2E_KUBECONFIG": str(two.kubeconfig),
        "VISOR_E2E_LOAD": f"{PROGRAM} load-image",
        "PATH": f"{two.kubectl.parent}:{os.environ['PATH']}",
    }
    words = [sys.executable, "-m", "pytest", "-m", "smoke", "-p", "no:cacheprovider", "-rs"]
    words += [f"--basetemp={tmp_path / 'nested'}", Path(__file__).parent]
    done = subprocess.run(words, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert re.search(r"[1-9]\d* passed", done.stdout)
    skipped = [line for line in done.stdout.splitlines() if line.startswith("SKIPPED")]
    reasons = ("only on a cluster of the tests' own", "VISOR_E2E_COLLECTORS")
    assert all(any(reason in line for reason in reasons) for line in skipped), skipped
    two.wait_for(
        "the end of its namespaces",
        lambda: {namespace["metadata"]["name"] for namespace in two.list("namespaces")} == before,
    )
