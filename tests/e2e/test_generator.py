"""The generator in a pod, without any operator: its document is a ConfigMap, its lines are read by
`kubectl logs` and by a second container, and they are those that it counts."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from support.clusters import Cluster
from support.dockerfile import ROOT
from support.documents import Object, access, error, file, rate, source, stream
from support.files import every_line, whole_lines
from support.kubernetes import Kubernetes
from support.metrics import Metrics
from support.pods import GENERATOR, READER, Pod, is_diagnostic, lines_by_generator, start
from support.program import by_generator, summary_of
from support.volumes import are_all_kept

SAMPLES = sorted((ROOT / "manifests" / "samples").glob("*.yaml"))


def shop(lines_per_second: int = 100, *more: Object) -> Object:
    """An access log on standard output, and an error log in a file."""
    return source(
        "shop",
        access("web", stream("requests", "Access", rate(lines_per_second)), *more),
        error("errors", stream("errors", "Error", rate(50)), output=file("error.log")),
    )


def wait_for_lines(pod: Pod, generators: set[str], count: int = 1) -> None:
    """Waits until each of them has written so many lines."""

    def written() -> bool:
        lines = lines_by_generator(pod.metrics())
        return all(lines[name] >= count for name in generators)

    pod.kubernetes.wait_for(f"{count} lines each of {', '.join(generators)}", written)


def check(pod: Pod, document: Object, counted: Metrics, directory: Path) -> None:
    """There are as many lines to be read as were counted."""
    logs = pod.copy_logs(directory)
    for generator in document["spec"]["generators"]:
        lines = lines_by_generator(counted)[generator["name"]]
        written = generator.get("output", {}).get("file")
        if written is None:
            pod.kubernetes.wait_for(
                f"{lines} lines of {generator['name']}", lambda n=lines: len(pod.lines()) == n
            )
        elif are_all_kept(counted, generator):
            assert len(every_line(logs / written["path"])) == lines, generator["name"]
        else:
            assert 0 < len(every_line(logs / written["path"])) < lines, generator["name"]


@pytest.mark.smoke
def test_what_a_pod_counts_is_what_is_read(
    cluster: Cluster, bare_namespace: Kubernetes, tmp_path: Path
) -> None:
    document = shop()
    pod = start(bare_namespace, cluster.image, document, reader=cluster.reader_image)
    pod = pod.wait_until_ready()
    wait_for_lines(pod, {"web", "errors"}, 100)
    counted = pod.suspend(document)
    check(pod, document, counted, tmp_path)
    assert re.search(r'"[A-Z]+ \S+ HTTP/\d\.\d" \d{3} ', pod.lines()[0])
    assert pod.now().restarts == 0


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_runs_as_it_is(
    cluster: Cluster, bare_namespace: Kubernetes, tmp_path: Path, sample: Path
) -> None:
    document = yaml.safe_load(sample.read_text())
    pod = start(bare_namespace, cluster.image, document, reader=cluster.reader_image)
    limit = document["spec"].get("stopAfter", {}).get("lines")
    if limit:
        bare_namespace.wait_for("its end", lambda: pod.end_of(GENERATOR))
        assert pod.end_of(GENERATOR)["exitCode"] == 0
        logs = pod.copy_logs(tmp_path)
        read = {log.stem: len(every_line(log)) for log in logs.glob("*.log")}
        assert sum(read.values()) == limit
        assert by_generator(summary_of("\n".join(pod.logs()))) == read
        return
    pod = pod.wait_until_ready()
    wait_for_lines(pod, {generator["name"] for generator in document["spec"]["generators"]})
    check(pod, document, pod.suspend(document), tmp_path)


def test_a_changed_document_reaches_a_running_pod_and_its_counters_continue(
    cluster: Cluster, bare_namespace: Kubernetes, tmp_path: Path
) -> None:
    pod = start(bare_namespace, cluster.image, shop(), reader=cluster.reader_image)
    pod = pod.wait_until_ready()
    wait_for_lines(pod, {"web", "errors"}, 100)
    before = pod.metrics()
    changed = shop(300, stream("crawler", "Access", rate(20)))
    pod.change(changed)
    bare_namespace.wait_for(
        "the new rates", lambda: pod.metrics().sum("visor_configured_lines_per_second") == 370
    )
    bare_namespace.wait_for(
        "lines of the new stream", lambda: pod.metrics().lines(stream="crawler")
    )
    after = pod.suspend(changed)
    for series, value in before.samples.items():
        if series[0].endswith("_total"):
            assert after.samples[series] >= value, series
    check(pod, changed, after, tmp_path)
    assert pod.now().restarts == 0


def test_a_document_that_is_rejected_leaves_the_last_good_one(
    cluster: Cluster, bare_namespace: Kubernetes, tmp_path: Path
) -> None:
    document = shop()
    pod = start(bare_namespace, cluster.image, document, reader=cluster.reader_image)
    pod = pod.wait_until_ready()
    pod.change(source("shop", access("web"), access("web")))
    rejected = "visor_config_reloads_total"
    bare_namespace.wait_for("a refusal", lambda: pod.metrics().sum(rejected, result="failure"))
    reported = [line for line in pod.logs() if is_diagnostic(line) and "generators[1].name" in line]
    assert reported, pod.logs()[-5:]
    # It continues as before, and accepts the next valid document.
    wait_for_lines(pod, {"web"}, pod.metrics().lines(generator="web") + 50)
    check(pod, document, pod.suspend(document), tmp_path)


@contextmanager
def following(pod: Pod, container: str, into: Path) -> Iterator[subprocess.Popen]:
    """`kubectl logs -f`, from the first line to the end of the container."""
    words = [*pod.kubernetes.command(), "logs", "-f", pod.name, f"--container={container}"]
    with into.open("wb") as output, subprocess.Popen(words, stdout=output) as process:
        try:
            yield process
        finally:
            process.kill()


def test_deleting_a_pod_loses_no_line(
    cluster: Cluster, bare_namespace: Kubernetes, tmp_path: Path
) -> None:
    pod = start(
        bare_namespace, cluster.image, shop(2000), reader=cluster.reader_image, follow="error.log"
    ).wait_until_ready()
    stdout, errors = tmp_path / "stdout", tmp_path / "errors"
    with following(pod, GENERATOR, stdout) as one, following(pod, READER, errors) as two:
        wait_for_lines(pod, {"web", "errors"}, 500)
        bare_namespace.wait_for(
            "its followers", lambda: stdout.stat().st_size and errors.stat().st_size
        )
        bare_namespace.delete("pod", pod.name)
        assert one.wait(60) == 0 and two.wait(60) == 0
    output_text = followed(stdout)
    lines = [line for line in output_text if not is_diagnostic(line)]
    summary = by_generator(summary_of("\n".join(filter(is_diagnostic, output_text))))
    assert summary["web"] == len(lines) > 500
    # tail speaks of the file on standard error, which is in the log, too.
    errors_read = [line for line in followed(errors) if not line.startswith("tail: ")]
    assert summary["errors"] == len(errors_read) > 500


def followed(path: Path) -> list[str]:
    """The lines that `kubectl logs -f` printed. A kubelet of 1.20 may add, without a newline, that
    the container is gone."""
    text, _, _ = path.read_bytes().partition(b"rpc error: code = NotFound")
    return [line.decode() for line in whole_lines(text)]
