"""Independent parsers accept every default line, thousands of them per format."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import apachelogs
import pytest
from pygrok import Grok

from support.documents import access, error, file, fixed, save, source, stream
from support.error_lines import HTTPD_22, HTTPD_24, LEVELS
from support.files import every_line
from support.httpd import LOG_FORMATS
from support.program import visor
from support.tools import tool

ACCESS_FORMATS = ["Common", "Combined", "CombinedIo", "VhostCombined"]
# The span is long enough for thousands of lines of each default log.
SPAN = "1h"

# A request line of three parts.
REQUEST_LINE = r"[A-Z]+ \S+ HTTP/\d\.\d"

GOACCESS_FORMATS = {
    "Common": "COMMON",
    "Combined": "COMBINED",
    "CombinedIo": '%h %^[%d:%t %^] "%r" %s %b "%R" "%u" %^ %^',
    "VhostCombined": "VCOMBINED",
}


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The logs of a simulated hour: every format with the default streams and contents, an error
    log with every level, and an access log with httpd's own heartbeat."""
    directory = tmp_path_factory.mktemp("parsers")
    levels = [stream(level, level.capitalize(), fixed("2s")) for level in LEVELS]
    dummy = stream("dummy", "Heartbeat", fixed("1s"), heartbeat="InternalDummyConnection")
    generators = [
        *(access(name.lower(), format=name, output=file(f"{name}.log")) for name in ACCESS_FORMATS),
        error("httpd24", format="Httpd24", output=file("Httpd24.log")),
        error("httpd22", format="Httpd22", output=file("Httpd22.log")),
        error("levels24", *levels, format="Httpd24", output=file("levels24.log")),
        # httpd 2.2 has no level below debug.
        error("levels22", *levels[:8], format="Httpd22", output=file("levels22.log")),
        error("prefork", *levels, mpm="Prefork", output=file("prefork.log")),
        access("dummy", dummy, output=file("dummy.log")),
    ]
    document = save(
        directory / "all.yaml", source("all", *generators, seed=42, timeZone="Europe/Berlin")
    )
    done = visor(
        *("run", "-f", document, "--output-dir", directory, "--listen", "none"),
        *("--simulate", "--start", "2026-02-27T23:30:00Z", "--for", SPAN),
    )
    assert done.returncode == 0, done.stderr
    return directory


@pytest.mark.parametrize("name", ACCESS_FORMATS)
def test_apachelogs_reads_every_line(logs: Path, name: str) -> None:
    parser = apachelogs.LogParser(LOG_FORMATS[name])
    lines = every_line(logs / f"{name}.log")
    assert len(lines) > 5000
    entries = [parser.parse(line.decode("ascii")) for line in lines]
    agents = set()
    # Few requests are malformed, and so are their lines.
    regular = [entry for entry in entries if re.fullmatch(REQUEST_LINE, entry.request_line or "-")]
    assert 0.001 < 1 - len(regular) / len(entries) < 0.01
    assert any(entry.request_line is None and entry.final_status == 408 for entry in entries)
    assert any("\x16\x03" in (entry.request_line or "-") for entry in entries)
    for entry in regular:
        method = entry.request_line.split(" ")[0]
        assert 100 <= entry.final_status <= 599
        if name != "VhostCombined" and (entry.final_status in (204, 304) or method == "HEAD"):
            assert entry.bytes_sent is None, entry.entry
        if name != "Common":
            agents.add(entry.headers_in["User-Agent"])
    if name != "Common":
        assert any(agent and agent.startswith("kube-probe/") for agent in agents), "heartbeats"
        assert len(agents) > 10
    assert len({entry.remote_host for entry in entries}) > 20
    assert len({entry.request_line for entry in regular}) > 30


@pytest.mark.parametrize("name", ACCESS_FORMATS)
def test_goaccess_counts_every_line_and_rejects_none(logs: Path, tmp_path: Path, name: str) -> None:
    report, invalid = tmp_path / "report.json", tmp_path / "invalid"
    custom = ["--date-format=%d/%b/%Y", "--time-format=%T"] if name == "CombinedIo" else []
    subprocess.run(
        [
            *(tool("goaccess"), logs / f"{name}.log", f"--log-format={GOACCESS_FORMATS[name]}"),
            *(*custom, f"--invalid-requests={invalid}", f"--output={report}"),
            *("--no-global-config", "--no-progress", "--tz=UTC"),
        ],
        check=True,
        capture_output=True,
    )
    general = json.loads(report.read_text())["general"]
    count = len(every_line(logs / f"{name}.log"))
    assert not invalid.exists() or invalid.read_bytes() == b""
    assert (general["total_requests"], general["valid_requests"]) == (count, count)
    assert general["failed_requests"] == 0


@pytest.fixture(scope="module")
def logs_with_tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The logs of a simulated hour, each line with a token."""
    directory = tmp_path_factory.mktemp("tokens")
    generators = [
        *(access(name.lower(), format=name, output=file(f"{name}.log")) for name in ACCESS_FORMATS),
        error("httpd24", format="Httpd24", output=file("Httpd24.log")),
    ]
    document = save(directory / "all.yaml", source("all", *generators, seed=42, tokens=True))
    done = visor(
        *("run", "-f", document, "--output-dir", directory, "--listen", "none"),
        *("--simulate", "--start", "2026-02-27T23:30:00Z", "--for", SPAN),
    )
    assert done.returncode == 0, done.stderr
    return directory


TOKEN = re.compile(r"[A-Za-z0-9_-]{7}_V-[A-Za-z0-9_-]{17}")


@pytest.mark.parametrize("name", ACCESS_FORMATS)
def test_lines_with_tokens_are_read_as_any_others(
    logs_with_tokens: Path, tmp_path: Path, name: str
) -> None:
    parser = apachelogs.LogParser(LOG_FORMATS[name])
    lines = every_line(logs_with_tokens / f"{name}.log")
    entries = [parser.parse(line.decode("ascii")) for line in lines]
    assert len(entries) > 5000
    # The target of each, heartbeats too, is that of a request with one more parameter.
    targets = [entry.request_line.split(" ")[1] for entry in entries]
    assert all(re.search(rf"[?&]id={TOKEN.pattern}$", target) for target in targets)
    assert len({TOKEN.search(target)[0] for target in targets}) == len(targets)
    test_goaccess_counts_every_line_and_rejects_none(logs_with_tokens, tmp_path, name)


def test_messages_with_tokens_are_httpd_s(logs_with_tokens: Path) -> None:
    lines = every_line(logs_with_tokens / "Httpd24.log")
    assert len(lines) > 1000
    token = rf' \[unique_id "{TOKEN.pattern}"\](?:, referer: .+)?$'.encode()
    for line in lines:
        assert HTTPD_24.fullmatch(line) and re.search(token, line), line


def grok(pattern: str, log: Path) -> list[dict[str, str]]:
    """What a grok pattern takes from each whole line of a log."""
    reader = Grok(f"^{pattern}$")
    lines = [line.decode("ascii") for line in every_line(log)]
    found = [(line, reader.match(line)) for line in lines]
    rejected = [line for line, fields in found if fields is None]
    assert not rejected, f"{len(rejected)} lines: {rejected[:5]}"
    return [fields for _, fields in found]


@pytest.mark.parametrize("name", ["Common", "Combined"])
def test_grok_reads_every_access_line(logs: Path, name: str) -> None:
    entries = grok(f"%{{{name.upper()}APACHELOG}}", logs / f"{name}.log")
    assert len(entries) > 5000
    # What isn't a request line of HTTP is a field of its own.
    raw = [entry for entry in entries if not entry["verb"]]
    assert 0.001 < len(raw) / len(entries) < 0.01
    assert all(entry["request"] is None and entry["rawrequest"] is not None for entry in raw)
    assert all(entry["request"] for entry in entries if entry["verb"])


def test_grok_reads_the_internal_dummy_connections(logs: Path) -> None:
    entries = grok("%{COMBINEDAPACHELOG}", logs / "dummy.log")
    assert len(entries) > 3000
    assert {(entry["verb"], entry["request"]) for entry in entries} == {("OPTIONS", "*")}


def test_grok_reads_every_error_line_of_httpd_24(logs: Path) -> None:
    entries = grok("%{HTTPD24_ERRORLOG}", logs / "Httpd24.log")
    assert len(entries) > 1000
    assert {entry["loglevel"] for entry in entries} == {"notice", "info", "warn", "error"}
    assert all(entry["pid"] and entry["tid"] for entry in entries)


def test_grok_reads_every_error_line_of_httpd_22(logs: Path) -> None:
    entries = grok("%{HTTPD20_ERRORLOG}", logs / "Httpd22.log")
    assert len(entries) > 1000


@pytest.mark.parametrize(
    ("name", "pattern"), [("levels24", HTTPD_24), ("levels22", HTTPD_22), ("prefork", HTTPD_24)]
)
def test_every_level_is_as_httpd_writes_it(logs: Path, name: str, pattern) -> None:
    lines = every_line(logs / f"{name}.log")
    entries = [pattern.fullmatch(line) for line in lines]
    assert all(entries), [line for line, entry in zip(lines, entries, strict=True) if not entry][:5]
    wanted = LEVELS[:8] if name == "levels22" else LEVELS
    assert {entry["level"].decode() for entry in entries} == set(wanted)
    assert max(map(len, lines)) < 8192
    if name == "levels22":
        assert not any(b"AH0" in line for line in lines), "httpd 2.2 has no codes"
        return
    for entry in entries:
        level = entry["level"].decode()
        verbose = level == "debug" or level.startswith("trace")
        assert bool(entry["sourceFile"]) == verbose, entry[0]
        assert entry["module"], entry[0]
