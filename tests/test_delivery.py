"""What `visor verify` says of a delivery: nothing, or exactly what happened."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import random

import signal
import subprocess
import xml.etree.ElementTree as xml
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.delivery import TOKEN
from support.disk import remount, small_disk
from support.documents import UNLIMITED, access, error, file, rate, save, source, stream
from support.files import content, every_line, rotated
from support.program import Running, visor
from support.tools import tool
from support.waiting import wait_for

Run = Callable[..., Running]

FAULTS = ("missing", "duplicated", "truncated", "split", "merged", "altered")
ACCESS = [
    "Common",
    "Combined",
    "CombinedIo",
    "VhostCombined",
    "Json",
    "NginxCombined",
    "%h %{UNIQUE_ID}e %>s",
    "%h %t %>s %{Referer}i",
    "%q %r %U%q",
    "%r %{UNIQUE_ID}e %q",
    "%{Referer}i %>s %!404{Referer}i",
    'escape=json {"request":"$request","referer":"$http_referer"}',
]
ERROR = [
    "Httpd24",
    "Httpd22",
    "[%{cu}t] [%-m:%l] %E: [client\\ %a] %M",
    "%M at %t",
    "%L %M at %t, %M",
]


def emit(directory: Path, log: str, *options: str, lines: int = 2000) -> list[bytes]:
    """Emits lines with tokens into `directory`/emitted.log, with a report beside it."""
    out, report = directory / "emitted.log", directory / "emitted.json"
    out.unlink(missing_ok=True)
    options = (*options, "--tokens", "-n", str(lines), "--report", str(report), "-o", str(out))
    done = visor("emit", log, *options)
    assert done.returncode == 0, done.stderr
    return every_line(out)


def verify(*arguments: str | Path, code: int | None = None, **more: Any) -> dict[str, Any]:
    """The verdict as JSON."""
    done = visor("verify", "--output", "json", *arguments, **more)
    assert code is None or done.returncode == code, done.stdout.decode() + done.stderr
    return json.loads(done.stdout)


def verdict(directory: Path, records: list[bytes], code: int | None = None) -> dict[str, int]:
    """The counts for these records, beside the report in the directory."""
    delivered = directory / "delivered.log"
    delivered.write_bytes(b"".join(record + b"\n" for record in records))
    return verify("--emitted", directory / "emitted.json", delivered, code=code)["total"]


def counts(**some: int) -> dict[str, int]:
    names = (
        "emitted",
        "delivered",
        *FAULTS,
        "redelivered",
        "late",
        "outOfOrder",
        "foreign",
        "unobserved",
    )
    return {**dict.fromkeys(names, 0), **some}


@pytest.mark.parametrize(
    ("log", "format_"), [("access", name) for name in ACCESS] + [("error", name) for name in ERROR]
)
def test_every_format_tells_its_lines_apart(tmp_path: Path, log: str, format_: str) -> None:
    lines = emit(tmp_path, log, "--format", format_)
    tokens = [set(TOKEN.findall(line)) for line in lines]
    assert all(len(found) == 1 for found in tokens) and not any(b"~" * 27 in line for line in lines)
    assert len(set.union(*tokens)) == len(lines)
    assert verdict(tmp_path, lines, code=0) == counts(emitted=2000, delivered=2000)


def accidents(chance: random.Random, lines: list[bytes]) -> tuple[list[bytes], Counter[str]]:
    """Lines with accidents, and how many there were of each. Between two is a line to which nothing
    happens."""
    records: list[bytes] = []
    happened: Counter[str] = Counter()
    left = list(lines)
    while left:
        line = left.pop(0)
        # The rest of a line behind its token, without the white space that a collector may trim.
        places = [
            at
            for at in range(TOKEN.search(line).end() + 1, len(line) - 1)
            if not line[at - 1 : at + 1].isspace() and line[at : at + 1] != b" "
            if line[at - 1 : at] != b" " and not TOKEN.search(line, at - 27)
        ]
        kinds = ["", "missing", "duplicated", "crlf", "head", "re-escaped"]
        kinds += ["outOfOrder", "merged"] * bool(left)
        kinds += ["truncated", "split", "altered", "re-encoded"] * bool(places)
        match kind := chance.choice(kinds):
            case "missing":
                pass
            case "duplicated":
                records += [line, line]
            case "outOfOrder":
                records += [left.pop(0), line]
            case "merged":
                records.append(line + left.pop(0))
            case "truncated":
                records.append(line[: chance.choice(places)])
            case "split":
                at = chance.choice(places)
                records += [line[:at], line[at:]]
            case "altered":
                at = chance.choice(places)
                records.append(line[:at] + bytes([line[at] ^ 1]) + line[at + 1 :])
            case "re-encoded":
                at = chance.choice(places)
                records.append(line[:at] + b"%%%02X" % line[at] + line[at + 1 :])
                kind = "altered"
            case "re-escaped":
                text = json.dumps(line.decode(), ensure_ascii=False).replace("/", "\\/")
                records.append(b'{"message": %b}' % text.replace("e", "\\u0065").encode())
            case "crlf":
                records.append(line + b" \r")
            case "head":
                records.append(b"<134>Jan  2 03:04:05 web-0 httpd[7]: " + line)
            case _:
                records.append(line)
        happened[kind] += 1
        if left:
            records.append(left.pop(0))
    return records, happened


@pytest.mark.parametrize(
    ("log", "format_"), [("access", name) for name in ACCESS] + [("error", name) for name in ERROR]
)
def test_accidents_are_counted_exactly(tmp_path: Path, log: str, format_: str) -> None:
    # The same tokens each time: of 65,536 altered lines one has the right token by chance.
    simulated = ("--start", "2026-01-01", "--rate", "1000", "--seed", "1")
    lines = emit(tmp_path, log, "--format", format_, *simulated)
    for seed in range(3):
        records, happened = accidents(random.Random(seed), lines)
        got = verdict(tmp_path, records, code=1)
        wanted = {name: happened[name] for name in (*FAULTS, "outOfOrder")}
        assert {name: got[name] for name in wanted} == wanted, f"seed {seed}"
        assert got["emitted"] == 2000
        assert got["delivered"] == 2000 - happened["missing"]
        assert got["foreign"] == got["unobserved"] == 0


def test_records_are_read_as_collectors_write_them(tmp_path: Path) -> None:
    lines = emit(tmp_path, "access", lines=500)
    texts = [line.decode() for line in lines]
    time = "2026-01-02T03:04:05.678901234Z"
    halves = [(text[:90], text[90:]) for text in texts]
    forms = {
        "objects": [json.dumps({"message": text, "host": "web-0"}) for text in texts],
        "within JSON": [json.dumps({"line": json.dumps({"log": text + "\n"})}) for text in texts],
        "an array": [json.dumps([{"log": text} for text in texts])],
        "docker": [json.dumps({"log": f"{text}\n", "stream": "stdout"}) for text in texts],
        "docker's parts": [
            json.dumps({"log": part, "stream": "stdout", "time": time})
            for one, two in halves
            for part in (one, two + "\n")
        ],
        "a list in lines": json.dumps([{"log": text} for text in texts], indent=2).split("\n"),
        "a list of lines": ["[", *(json.dumps({"log": text}) + "," for text in texts), "]"],
        "columns": [row(time, text, "web-0") for text in texts],
        "columns with titles": [
            "time,message,host",
            *(row(time, text, "web-0") for text in texts),
        ],
        "containers": [f"{time} stdout F {text}" for text in texts],
        "parts": [
            part
            for one, two in halves
            for part in (f"{time} stdout P {one}", f"{time} stdout F {two}")
        ],
        "syslog": [f"<134>1 {time} web-0 httpd 7 - - {text}" for text in texts],
    }
    for name, records in forms.items():
        got = verdict(tmp_path, [record.encode() for record in records], code=0)
        assert got == counts(emitted=500, delivered=500), name
    # Compressed, whatever its name is.
    delivered = tmp_path / "delivered.log"
    delivered.write_bytes(gzip.compress(b"\n".join(lines[:300])) + gzip.compress(b"\n"))
    with delivered.open("ab") as more:
        more.write(gzip.compress(b"\n".join(lines[300:])))
    whole = verify("--emitted", tmp_path / "emitted.json", delivered, code=0)["total"]
    assert whole == counts(emitted=500, delivered=500)
    # Lines of which only fields arrive can't be checked, but are there.
    fields = [json.dumps({"id": TOKEN.search(line)[0].decode(), "size": 5}) for line in lines]
    got = verdict(tmp_path, [record.encode() for record in fields], code=0)
    assert got == counts(emitted=500, delivered=500)
    # Where others arrive whole, a line that doesn't is truncated.
    cut = [*forms["objects"][:-1], json.dumps({"message": texts[-1][:-5]})]
    got = verdict(tmp_path, [record.encode() for record in cut], code=1)
    assert got == counts(emitted=500, delivered=500, truncated=1)


def test_what_fields_have_can_be_said(tmp_path: Path) -> None:
    lines = emit(tmp_path, "access", lines=100)
    delivered = tmp_path / "delivered.json"
    texts = [line.decode()[:-1] for line in lines]
    delivered.write_text("".join(json.dumps({"message": text}) + "\n" for text in texts))
    emitted = ("--emitted", tmp_path / "emitted.json", delivered)
    # Where no line is intact, nobody knows whether a line is what was sent.
    assert verify(*emitted, code=0)["unchecked"] == 100
    whole = counts(emitted=100, delivered=100)
    assert verify(*emitted, "--raw", "message", code=1)["total"] == {**whole, "truncated": 100}
    with delivered.open("a") as more:
        more.write(json.dumps({"message": lines[0].decode()}) + "\n")
    assert verify(*emitted, code=1)["total"] == {**whole, "truncated": 100}
    got = verify(*emitted, "--unchecked", "message", code=1)
    assert got["total"] == {**whole, "duplicated": 1}


def row(*values: str) -> str:
    """A line of CSV."""
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(values)
    return out.getvalue()


def shop(**spec: Any) -> dict:
    rotation = {"maxSize": "32Ki", "keep": 1000, "compress": "Gzip", "delayCompress": True}
    return source(
        "shop",
        access(
            "web",
            stream("heartbeat", "Heartbeat", rate(20)),
            stream("requests", "Access", rate(3000)),
            output=file("access.log", **rotation),
        ),
        error("errors", stream("error", "Error", rate(1000)), output=file("error.log")),
        **{"tokens": True, **spec},
    )


def test_a_rotated_set_is_read_as_it_was_written(run: Run, tmp_path: Path) -> None:
    program = run(shop(), "--report", tmp_path / "emitted.json")
    wait_for("rotations", lambda: program.metrics().sum("visor_rotations_total") >= 5)
    program.stop()
    emitted = ("--emitted", tmp_path / "emitted.json")
    lines = {name: len(every_line(program.logs / name)) for name in ("access.log", "error.log")}
    whole = verify(*emitted, program.logs, code=0)
    total = sum(lines.values())
    assert whole["total"] == counts(emitted=total, delivered=total)
    assert {one["output"]: one["delivered"] for one in whole["outputs"]} == lines
    by_source = {one["source"]: one["delivered"] for one in whole["sources"]}
    assert by_source == {"shop/web": lines["access.log"], "shop/errors": lines["error.log"]}
    # What a collector never saw, to the line.
    lost = rotated(program.logs / "access.log")[1]
    lines_lost = content(lost).count(b"\n")
    lost.unlink()
    got = verify(*emitted, program.logs, code=1)
    assert got["total"] == counts(emitted=total, delivered=total - lines_lost, missing=lines_lost)
    assert all(one["output"] == "access.log" for one in got["examples"])


def test_what_was_emitted_is_a_page_and_holds_after_any_end(run: Run, tmp_path: Path) -> None:
    program = run(shop(), "--report", tmp_path / "emitted.json", "--identity", "shop-0")
    program.wait_for_lines(2000)
    # However often the set is rotated while it is read.
    for _ in range(5):
        page = verify("--emitted", f"http://{program.address}/emitted", program.logs)
        assert page["total"]["missing"] == 0 and page["total"]["emitted"] > 0
        assert {one["pod"] for one in page["outputs"]} == {"shop-0"}
    program.signal(signal.SIGKILL)
    program.wait()
    got = verify("--emitted", tmp_path / "emitted.json", program.logs)
    assert got["total"]["missing"] == got["total"]["duplicated"] == 0
    # A line that was torn where it was written is no fault.
    assert got["total"]["altered"] == got["total"]["truncated"] == 0


def test_a_process_that_starts_again_has_other_lanes(run: Run, tmp_path: Path) -> None:
    reports = []
    for number in range(2):
        report = tmp_path / f"emitted-{number}.json"
        program = run(shop(seed=7, stopAfter={"lines": 3000}), "--report", report)
        assert program.wait() == 0
        reports += ["--emitted", report]
    got = verify(*reports, program.logs, code=0)
    assert got["total"] == counts(emitted=6000, delivered=6000)


def test_a_line_that_a_kill_has_torn_is_no_fault(run: Run, tmp_path: Path) -> None:
    """Another process with the same seed goes on in the same file."""
    reports = [tmp_path / "emitted-0.json", tmp_path / "emitted-1.json"]
    program = run(shop(seed=7), "--report", reports[0])
    wait_for("a report", lambda: reports[0].exists() and b"error.log" in reports[0].read_bytes())
    program.wait_for_lines(500)
    program.signal(signal.SIGKILL)
    program.wait()
    log = program.logs / "error.log"
    emitted = json.loads(reports[0].read_text())["lanes"]
    (written,) = [lane["lines"] for lane in emitted if lane["output"] == "error.log"]
    # As if the kill had come in the middle of a line, behind those that the report has.
    lines = log.read_bytes().splitlines(keepends=True)
    assert len(lines) > written
    log.write_bytes(b"".join(lines)[:-7])
    program = run(shop(seed=7), "--report", reports[1])
    program.wait_for_lines(2000)
    program.stop()
    got = verify(*("--emitted", reports[0], "--emitted", reports[1]), program.logs)
    assert not any(got["total"][name] for name in FAULTS) and not got["examples"], got


@pytest.mark.parametrize("recovers", [True, False], ids=["continued", "cut back"])
def test_a_full_disk_loses_and_doubles_nothing(run: Run, tmp_path: Path, recovers: bool) -> None:
    """A line that there is no room for is continued once there is, or cut back at the end; what
    follows the file has read it by then."""
    delivered = tmp_path / "delivered.log"
    with small_disk(tmp_path / "logs" / "small", "size=128k") as disk:
        (disk / "access.log").touch()
        with delivered.open("wb") as there:
            follows = [tool("tail"), "-n", "+1", "-F", disk / "access.log"]
            tail = subprocess.Popen(follows, stdout=there, stderr=subprocess.DEVNULL)
        try:
            web = access("web", stream("a", "Access", rate(3000)), output=file("small/access.log"))
            program = run(source("shop", web, tokens=True))
            failed = "visor_write_errors_total"
            wait_for("a full disk", lambda: program.metrics().sum(failed) > 1)
            if recovers:
                remount(disk, "size=64m")
                program.wait_for_lines(3000)
            program.stop()
            last = content(disk / "access.log").splitlines()[-1]
            wait_for("the last line", lambda: last in delivered.read_bytes())
        finally:
            tail.kill()
            tail.wait()
    got = verify("--emitted", program.report, delivered)["total"]
    tokens = TOKEN.findall(delivered.read_bytes())
    # Who follows a file that was cut reads it once more.
    copies = len(tokens) - len(set(tokens))
    assert (copies == 0) is recovers
    assert got["missing"] == got["altered"] == got["truncated"] == 0
    assert got["duplicated"] == copies


def test_a_stream_that_is_moved_from_a_stalled_pipe_loses_nothing(run: Run, tmp_path: Path) -> None:
    """The lines in the pipe's buffer are of another lane than those in the file."""
    document = shop()
    web = document["spec"]["generators"][0]
    web["output"] = file("pipe")
    (tmp_path / "logs").mkdir()
    os.mkfifo(tmp_path / "logs" / "pipe")
    path = save(tmp_path / "shop.yaml", document)
    # A reader that never reads.
    reader = os.open(tmp_path / "logs" / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    program = run(path, "--report", tmp_path / "emitted.json")
    wait_for("a full pipe", lambda: program.metrics().lines(generator="web") >= 100)
    web["output"] = file("access.log")
    save(path, document)
    program.signal(signal.SIGHUP)
    wait_for("lines in the file", lambda: (program.logs / "access.log").exists())
    program.wait_for_lines(2000)
    # Twice: what is stalled has no end of its own.
    program.signal(signal.SIGINT)
    program.signal(signal.SIGINT)
    program.process.wait()
    os.close(reader)
    (program.logs / "pipe").unlink()
    got = verify("--emitted", tmp_path / "emitted.json", program.logs)
    outputs = {one["output"]: one for one in got["outputs"]}
    assert outputs["access.log"]["missing"] == 0
    assert outputs["pipe"]["missing"] == 0
    assert outputs["pipe"]["unobserved"] > 0


def test_a_simulated_run_has_the_same_tokens_each_time(tmp_path: Path) -> None:
    path = save(tmp_path / "shop.yaml", shop(seed=7))
    logs = []
    for number, threads in enumerate((1, 8)):
        directory = tmp_path / f"logs-{number}"
        simulated = ("--simulate", "--start", "2026-01-01", "--for", "3s", "--threads", threads)
        report = ("--report", tmp_path / "emitted.json")
        done = visor("run", "-f", path, *map(str, simulated), *report, "--output-dir", directory)
        assert done.returncode == 0, done.stderr
        logs.append(b"\n".join(every_line(directory / "access.log")))
    assert logs[0] == logs[1]
    got = verify("--emitted", tmp_path / "emitted.json", directory, directory, code=1)
    total = got["total"]["emitted"]
    assert got["total"] == counts(emitted=total, delivered=total, duplicated=total)
    allowed = ("--allow", "duplicated")
    verify("--emitted", tmp_path / "emitted.json", *allowed, directory, directory, code=0)


def test_a_report_has_any_number_of_lanes(tmp_path: Path) -> None:
    """Longer than 64 KiB, to which texts are padded by Rust's formatting."""
    generators = [
        access(f"web-{number}", stream("a", "Access", rate(10)), output=file(f"{number}.log"))
        for number in range(700)
    ]
    path = save(tmp_path / "shop.yaml", source("shop", *generators, tokens=True))
    report = tmp_path / "emitted.json"
    ended = ("--listen", "none", "--for", "3s", "--report", report)
    done = visor("run", "-f", path, "--output-dir", tmp_path / "logs", *ended)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(report.read_text())["lanes"]) == 700
    assert verify("--emitted", report, tmp_path / "logs", code=0)["total"]["delivered"] > 10_000


def test_what_cannot_be_told_is_not_told(tmp_path: Path) -> None:
    lines = emit(tmp_path, "access", lines=100)
    log, report = tmp_path / "emitted.log", tmp_path / "emitted.json"
    # Nobody said what was emitted.
    assert verify(log, code=3)["total"] == counts(emitted=100, delivered=100)
    log.write_bytes(b"\n".join(lines[:50] + lines[51:]))
    assert verify(log, code=1)["total"] == counts(emitted=100, delivered=99, missing=1)
    # Nothing with a token was emitted.
    plain = visor("emit", "access", "-n", "10", "--report", report, "-o", tmp_path / "plain.log")
    assert plain.returncode == 0
    assert verify("--emitted", report, tmp_path / "plain.log", code=3)["total"]["foreign"] == 10
    for wrong in [
        (tmp_path / "no-such-file",),
        ("--emitted", tmp_path / "no-such-file", log),
        ("--emitted", tmp_path / "plain.log", log),
        ("--emitted", "http://127.0.0.1:1/emitted", log),
        ("--no-such-option", log),
        (),
    ]:
        done = visor("verify", *wrong)
        assert done.returncode == 2 and not done.stdout and done.stderr, wrong


def test_lines_are_read_from_standard_input(tmp_path: Path) -> None:
    lines = emit(tmp_path, "access", lines=100)
    text = b"\n".join(lines).decode()
    assert verify("--emitted", tmp_path / "emitted.json", "-", stdin=text, code=0)


def test_a_continuous_integration_reads_the_verdict(tmp_path: Path) -> None:
    lines = emit(tmp_path, "access", lines=100)
    report, log = tmp_path / "emitted.json", tmp_path / "emitted.log"
    done = visor("verify", "--output", "junit", "--emitted", report, log)
    suite = xml.fromstring(done.stdout).find("testsuite")
    assert suite.attrib["failures"] == "0" and done.returncode == 0
    log.write_bytes(b"\n".join(lines[:7] + lines[8:]))
    done = visor("verify", "--output", "junit", "--emitted", report, log)
    suite = xml.fromstring(done.stdout).find("testsuite")
    assert suite.attrib["failures"] == "1" and done.returncode == 1
    failed = [case for case in suite if case.find("failure") is not None]
    assert [case.attrib["name"] for case in failed] == ["missing"]
    assert "line 7 of " in failed[0].find("failure").text
    table = visor("verify", "--emitted", report, log)
    assert "missing: line 7 of " in table.stdout.decode()


@pytest.mark.parametrize(
    ("log", "message"),
    [
        ({"format": "Custom", "logFormat": "%h %t"}, "access.logFormat: its lines have no room"),
        ({"malformedRequests": True}, "malformedRequests: a malformed request has no room"),
    ],
)
def test_a_format_without_room_for_a_token_is_rejected(
    tmp_path: Path, log: dict, message: str
) -> None:
    document = source("shop", access("web", stream("a", "Access", UNLIMITED), **log), tokens=True)
    done = visor("validate", "-f", save(tmp_path / "shop.yaml", document))
    assert done.returncode == 1 and message in done.stderr
