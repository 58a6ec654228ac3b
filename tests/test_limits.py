"""Limits of the system and of documents: each is reported with its number, once, before anything is
written."""

from __future__ import annotations

import json
import resource
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from support.documents import access, file, rate, save, source, stream
from support.program import BINARY, visor
from support.waiting import TIMEOUT


def files(count: int) -> dict:
    """A source that writes this many files, a line a second each."""
    generators = [
        access(f"g{number}", stream("s", "Access", rate(1)), output=file(f"{number}.log"))
        for number in range(count)
    ]
    return source("many", *generators, stopAfter={"duration": "1s"})


def limited(soft: int, hard: int) -> Callable[[], None]:
    """Limits the descriptors of a process that is about to start."""
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def run(tmp_path: Path, document: dict, soft: int, hard: int) -> subprocess.CompletedProcess:
    path = tmp_path / "many.json"
    path.write_text(json.dumps(document))
    arguments = ["run", "-f", path, "--listen", "none", "--output-dir", tmp_path / "logs"]
    return subprocess.run(
        [BINARY, *arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT * 2,
        preexec_fn=limited(soft, hard),
    )


def test_the_soft_limit_of_descriptors_is_raised(tmp_path: Path) -> None:
    done = run(tmp_path, files(400), 128, 1024)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "logs").iterdir())) == 400


def test_too_many_files_are_rejected_before_one_is_created(tmp_path: Path) -> None:
    done = run(tmp_path, files(400), 128, 256)
    assert done.returncode == 1
    (error,) = [line for line in done.stderr.splitlines() if " INFO " not in line]
    assert "400 files need 442 file descriptors" in error and "256" in error
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize(
    ("redirection", "message"),
    [
        (">&-", "standard output is closed; open it"),
        ("1</dev/null", "standard output is not open for writing; open it"),
    ],
)
@pytest.mark.parametrize(
    "command", ["emit access -n 5", "validate -f FILE", "run -f FILE --for 1s"]
)
def test_lines_are_not_written_to_a_standard_output_that_is_not_open(
    tmp_path: Path, redirection: str, message: str, command: str
) -> None:
    document = save(tmp_path / "source.yaml", source("shop", access("web")))
    command = command.replace("FILE", str(document))
    done = subprocess.run(
        ["bash", "-c", f"{BINARY} {command} {redirection}"],
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert message in done.stderr
    # What needs no standard output works.
    log = tmp_path / "access.log"
    emit = f"{BINARY} emit access -n 5 -o {log} {redirection}"
    assert subprocess.run(["bash", "-c", emit], stderr=subprocess.PIPE, timeout=60).returncode == 0
    assert len(log.read_text().splitlines()) == 5


def test_a_standard_error_that_is_not_open_is_no_output(tmp_path: Path) -> None:
    document = save(tmp_path / "s.yaml", source("shop", access("web", output={"stderr": {}})))
    command = f"{BINARY} run -f {document} --for 1s --listen none 2>&-"
    assert subprocess.run(["bash", "-c", command], timeout=60).returncode == 1


def test_a_failure_that_all_outputs_share_is_reported_once(tmp_path: Path) -> None:
    # A file where the directory should be.
    (tmp_path / "logs").write_text("")
    done = run(tmp_path, files(300), 1024, 1024)
    assert done.returncode == 1
    reports = [line for line in done.stderr.splitlines() if "will retry" in line]
    assert len(reports) == 1 and "and 299 more outputs" in reports[0], reports
    lost = [line for line in done.stderr.splitlines() if "lines lost" in line]
    assert len(lost) <= 11, "the first ten, and the sum of the others"
    errors = [line for line in done.stderr.splitlines() if " ERROR " in line]
    assert len(errors) <= 13, errors


def test_a_document_of_too_many_values_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_text(
        "apiVersion: visor.dev/v1alpha1\nkind: FakeLogSource\nmetadata: {name: shop}\n"
        f"spec: [{'1,' * 1_100_000}]\n"
    )
    done = visor("validate", "-f", path)
    assert done.returncode == 1
    assert "more than 1000000 values; split it into several" in done.stderr
