"""What pods ask of the program beside its lines: a report at the end, a directory before the
beginning, and whether it is ready."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.documents import UNLIMITED, access, file, rate, save, source, stream
from support.files import every_line
from support.metrics import get
from support.program import BINARY, Running, visor
from support.tools import free_port, need_root
from support.waiting import TIMEOUT, wait_for

Run = Callable[..., Running]
LOGS = ("rare.log", "often.log")


def shop(**spec: object) -> dict:
    return source(
        "shop",
        access("web", stream("requests", "Access", rate(500)), output=file("web.log")),
        access("more", stream("requests", "Access", rate(500)), output=file("more.log")),
        **spec,
    )


def report(path: Path) -> tuple[int, int]:
    """The lines and the bytes of a report; fails if it isn't one line of JSON."""
    text = path.read_text()
    assert text.count("\n") == 1 and text.endswith("\n"), text
    reported = json.loads(text)
    names = ["version", "ended", "lines", "bytes", "lanes", "omitted"]
    assert list(reported) == names and reported["ended"]
    return reported["lines"], reported["bytes"]


def written(logs: Path) -> tuple[int, int]:
    """The lines and the bytes in all logs."""
    lines = [line for log in logs.iterdir() for line in every_line(log)]
    return len(lines), sum(len(line) + 1 for line in lines)


def test_a_run_that_is_asked_to_end_reports_what_it_wrote(run: Run, tmp_path: Path) -> None:
    program = run(shop(), "--report", tmp_path / "report")
    program.wait_for_lines(1000)
    assert '"ended":false' in (tmp_path / "report").read_text()
    program.signal(signal.SIGTERM)
    assert program.wait() == 0
    reported = report(tmp_path / "report")
    assert reported == written(program.logs) and reported[0] >= 1000


def test_a_run_that_is_killed_has_reported_nearly_all_that_it_wrote(
    run: Run, tmp_path: Path
) -> None:
    place = tmp_path / "report"
    program = run(shop(), "--report", place)
    program.wait_for_lines(1000)
    # It is written every second, whole each time.
    wait_for("reports", lambda: json.loads(place.read_text() or '{"lines": 0}')["lines"] > 2000)
    program.signal(signal.SIGKILL)
    program.wait()
    reported = json.loads(place.read_text())
    assert reported["ended"] is False
    lines = sum(log.read_bytes().count(b"\n") for log in program.logs.iterdir())
    # A second's lines, and what the machine makes of a second.
    assert 2000 < reported["lines"] <= lines <= reported["lines"] + 5000


@pytest.mark.parametrize(
    "arguments", [[], ["--for", "1s"], ["--simulate"], ["--simulate", "--for", "1s"]], ids=" ".join
)
def test_a_run_that_ends_by_itself_reports_what_it_wrote(
    tmp_path: Path, arguments: list[str]
) -> None:
    limit = {} if "--for" in arguments else {"stopAfter": {"lines": 300}}
    document = save(tmp_path / "shop.yaml", shop(**limit))
    done = visor(
        *("run", "-f", document, "--listen", "none", "--report", "report", *arguments),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    reported = report(tmp_path / "report")
    assert reported == written(tmp_path / "logs") and reported[0] > 0
    assert "--for" in arguments or reported[0] == 300


def test_sources_that_are_all_finite_end_the_run_when_the_last_one_has(tmp_path: Path) -> None:
    def finite(name: str, lines: int) -> dict:
        web = access("web", stream("requests", "Access", UNLIMITED), output=file(f"{name}.log"))
        return source(name, web, stopAfter={"lines": lines})

    document = save(tmp_path / "all.yaml", finite("one", 10), finite("two", 20_000))
    done = visor("run", "-f", document, "--listen", "none", "--report", "report", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert report(tmp_path / "report")[0] == 20_010


def test_a_report_takes_the_place_of_what_the_file_held(tmp_path: Path) -> None:
    place = tmp_path / "report"
    place.write_text("something longer than what will be written here, which must be gone\n" * 3)
    place.chmod(0o666)
    identity = place.stat().st_ino
    document = save(tmp_path / "shop.yaml", shop(stopAfter={"lines": 3}))
    done = visor("run", "-f", document, "--listen", "none", "--report", place, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert report(place)[0] == 3
    assert place.stat().st_ino == identity, "a file that is mounted can't be replaced"


def test_a_report_that_cannot_be_written_is_only_a_warning(tmp_path: Path) -> None:
    document = save(tmp_path / "shop.yaml", shop(stopAfter={"lines": 3}))
    place = tmp_path / "nowhere" / "report"
    done = visor(
        *("run", "-f", document, "--listen", "none", "--logging-format", "json", "--report", place),
        cwd=tmp_path,
    )
    assert done.returncode == 0
    events = [json.loads(line) for line in done.stderr.splitlines()]
    warnings = [event["message"] for event in events if event["level"] == "WARN"]
    assert len(warnings) == 1 and str(place) in warnings[0]


def test_a_suspended_source_is_ready(run: Run) -> None:
    program = run(shop(suspend=True))
    assert get(program.address, "/readyz")
    assert program.metrics().lines() == 0


@contextmanager
def process_1(*arguments: str | Path) -> Iterator[subprocess.Popen]:
    """The program as process 1 of a process namespace, as in a container; it ends with its parent,
    and its standard input stays open."""
    words = ["unshare", "--pid", "--fork", "--kill-child", BINARY, *arguments]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def child_with_handlers(process: subprocess.Popen) -> int | None:
    """The process's child, once it catches SIGTERM. Before, nothing but the kernel could."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for child in children:
        status = Path(f"/proc/{child}/status").read_text()
        caught = int(re.search(r"^SigCgt:\s*([0-9a-f]+)$", status, re.M)[1], 16)
        if caught >> (signal.SIGTERM - 1) & 1:
            return int(child)
    return None


def test_a_signal_before_the_documents_are_read_ends_process_1_with_a_report(
    tmp_path: Path,
) -> None:
    need_root()
    place = tmp_path / "report"
    # Its standard input is empty but open, so it is still reading when the signal arrives.
    with process_1("run", "-f", "-", "--listen", "none", "--report", place) as process:
        child = wait_for("its handlers", lambda: child_with_handlers(process))
        wait_for("the report", place.exists)
        os.kill(child, signal.SIGTERM)
        process.wait(TIMEOUT)
    assert report(place) == (0, 0)
    assert process.returncode == 128 + signal.SIGTERM


def test_no_signal_is_lost_however_early_it_comes(tmp_path: Path) -> None:
    need_root()
    document = save(tmp_path / "shop.yaml", shop())
    run = ("run", "-f", document, "--output-dir", tmp_path, "--listen", "none")
    for _ in range(20):
        with process_1(*run) as process:
            child = wait_for("its handlers", lambda: child_with_handlers(process), pause=0)
            os.kill(child, signal.SIGTERM)
            process.wait(TIMEOUT)
        assert process.returncode in (0, 128 + signal.SIGTERM)


def test_a_run_that_cannot_begin_reports_that_nothing_was_written(tmp_path: Path) -> None:
    document, place = save(tmp_path / "shop.yaml", {"kind": "Other"}), tmp_path / "report"
    done = visor("run", "-f", document, "--listen", "none", "--report", place)
    assert done.returncode == 1
    assert report(place) == (0, 0)


def readiness(program: Running) -> tuple[int, str]:
    """The code and the text of /readyz."""
    try:
        return 200, get(program.address, "/readyz")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_program_is_ready_when_all_of_its_outputs_take_lines(run: Run, tmp_path: Path) -> None:
    # No user can write to it, not even root, and its line isn't due for hours.
    rare = access("rare", stream("rare", "Access", {"fixed": "5h"}), output=file("rare.log"))
    often = access("often", stream("often", "Access", rate(500)), output=file("often.log"))
    (tmp_path / "logs" / "rare.log").mkdir(parents=True)
    program = run(source("shop", rare, often))
    program.wait_for_lines(10, generator="often")
    code, output_text = readiness(program)
    assert code == 503
    assert output_text.count("\n") == 1 and "rare.log" in output_text and "directory" in output_text
    metrics, counts = program.metrics(), json.loads(get(program.address, "/counts"))
    assert [metrics.sum("visor_output_failing", output=name) for name in LOGS] == [1, 0]
    assert counts["failing"] + "\n" == output_text
    for name in ("lines", "bytes"):
        written = [page.sum(f"visor_{name}_total") for page in (metrics, program.metrics())]
        assert written[0] <= counts[name] <= written[1]
    (tmp_path / "logs" / "rare.log").rmdir()
    wait_for("readiness", lambda: readiness(program)[0] == 200)
    assert set(json.loads(get(program.address, "/counts"))) == {"lines", "bytes"}
    # As httpd, which makes its logs when it starts.
    assert (tmp_path / "logs" / "rare.log").read_bytes() == b""


def test_metrics_are_there_for_both_families_of_addresses(tmp_path: Path) -> None:
    document, port = save(tmp_path / "shop.yaml", shop()), free_port()
    words = [BINARY, "run", "-f", document, "--output-dir", tmp_path, "--listen", f":{port}"]
    hosts = ["127.0.0.1", "[::1]"] if Path("/proc/net/if_inet6").exists() else ["127.0.0.1"]

    def answers(host: str) -> bool:
        try:
            return get(f"{host}:{port}", "/livez") == "ok\n"
        except OSError:
            return False

    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as program:
        try:
            for host in hosts:
                wait_for(f"an answer at {host}", lambda host=host: answers(host))
        finally:
            program.terminate()
            program.wait(TIMEOUT)


def waiting(diagnostics: Path, document: Path) -> subprocess.Popen:
    with diagnostics.open("wb") as stderr:
        words = [BINARY, "run", "--wait", "-f", document, "--listen", "none"]
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=stderr)


def test_a_sidecar_waits_for_its_document_until_it_is_there_and_good(tmp_path: Path) -> None:
    diagnostics, document = tmp_path / "diagnostics", tmp_path / "source.yaml"
    with waiting(diagnostics, document) as program:
        try:
            wait_for("a first word", lambda: "cannot be read" in diagnostics.read_text())
            save(document, {**shop(), "spec": {"generators": []}})
            wait_for("a second word", lambda: "must not be empty" in diagnostics.read_text())
            web = access("web", stream("requests", "Access", rate(500)))
            save(document, source("shop", web))
            assert b"HTTP/" in program.stdout.readline()
        finally:
            program.terminate()
            program.stdout.read()
            assert program.wait(TIMEOUT) == 0


def test_a_sidecar_that_waits_can_be_asked_to_end(tmp_path: Path) -> None:
    diagnostics = tmp_path / "diagnostics"
    with waiting(diagnostics, tmp_path / "nowhere.yaml") as program:
        wait_for("a word", lambda: "cannot be read" in diagnostics.read_text())
        program.terminate()
        assert program.wait(TIMEOUT) == 0


def prepare(path: Path | str, owner: str = "65532:65533", **more: object) -> tuple[int, str]:
    done = visor("prepare-directory", "--owner", owner, path, **more)
    assert done.stdout == b""
    return done.returncode, done.stderr


def owner_of(path: Path) -> tuple[int, int]:
    status = path.stat(follow_symlinks=False)
    return status.st_uid, status.st_gid


def test_a_directory_is_made_and_only_the_last_one_is_given_away(tmp_path: Path) -> None:
    need_root()
    path = tmp_path / "visor" / "logs" / "shop-0"
    for mask in (0o077, 0o000):
        assert prepare(path, umask=mask) == (0, "")
        assert owner_of(path) == (65532, 65533)
        assert owner_of(path.parent) == owner_of(path.parent.parent) == (0, 0)
        modes = [made.stat().st_mode & 0o7777 for made in (path, path.parent, path.parent.parent)]
        assert modes == [0o755] * 3


def test_a_directory_that_is_there_gets_its_owner_and_stays_as_it_is(tmp_path: Path) -> None:
    need_root()
    path = tmp_path / "logs"
    path.mkdir()
    path.chmod(0o2770)
    (path / "access.log").write_text("a line\n")
    assert prepare("logs", cwd=tmp_path) == (0, "")
    assert owner_of(path) == (65532, 65533)
    assert path.stat().st_mode & 0o7777 == 0o2770
    assert owner_of(path / "access.log") == (0, 0)


def test_nothing_but_a_directory_is_given_away(tmp_path: Path) -> None:
    need_root()
    secret = tmp_path / "secret"
    secret.mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(secret)
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    for name in ("link", "link/", "broken", "file", "link/.."):
        code, output_text = prepare(f"{tmp_path}/{name}")
        assert code == 1 and name.rstrip("/") in output_text, name
    for path in (tmp_path, secret, tmp_path / "file", tmp_path / "link", tmp_path / "broken"):
        assert owner_of(path) == (os.geteuid(), os.getegid())
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("owner", ["visor:visor", "1", "0:-1", "4294967295:0"])
def test_an_owner_is_two_numbers(tmp_path: Path, owner: str) -> None:
    code, output_text = prepare(tmp_path / "logs", owner=owner)
    assert code == 2 and "65532:65532" in output_text
    assert not (tmp_path / "logs").exists()
