"""The whole way: lines, rotation, a real collector, the sink. Its verdict is that of comparing what
was written with what the collector says it has sent."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from support.delivery import TOKEN, numbers
from support.documents import access, file, rate, source, stream
from support.files import rotated
from support.program import Running, visor
from support.sink import Sink, counts
from support.tools import do_without, tool
from support.waiting import TIMEOUT

Run = Callable[..., Running]

LINES = 10_000
SYSLOG_NG = Path(__file__).parents[1] / "target" / "syslog-ng"


def document(**rotation: object) -> dict:
    rotation = {"maxSize": "1Mi", "keep": 100, **rotation}
    requests = stream("requests", "Access", rate(4000))
    return source(
        "shop",
        access("web", requests, output=file("access.log", **rotation)),
        tokens=True,
        stopAfter={"lines": LINES},
    )


@contextmanager
def collector(directory: Path, command: list[str | Path], **more: object) -> Iterator[None]:
    """A collector that runs meanwhile."""
    with (directory / "collector.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, **more)
    try:
        yield
        assert process.poll() is None, (directory / "collector.log").read_text()
    finally:
        process.terminate()
        process.wait(TIMEOUT)


@contextmanager
def rsyslog(directory: Path, action: str) -> Iterator[None]:
    """Rsyslog, which tails the log, sends it, and notes what it has sent."""
    configuration = directory / "rsyslog.conf"
    configuration.write_text(
        f"""\
global(workDirectory="{directory}" maxMessageSize="64k")
module(load="imfile")
module(load="omelasticsearch")
template(name="line" type="string" string="%msg%\\n")
{JSON}
input(type="imfile" file="{directory}/logs/access.log" tag="access" ruleset="send"
      reopenOnTruncate="on")
ruleset(name="send") {{
  action(type="omfile" file="{directory}/sent.log" template="line")
  {action}
}}
"""
    )
    command = [tool("rsyslogd"), "-n", "-f", configuration, "-i", directory / "rsyslog.pid"]
    with collector(directory, command):
        yield


@contextmanager
def syslog_ng(directory: Path, destination: str) -> Iterator[None]:
    """Syslog-ng, as its packages were unpacked, which does the same."""
    program = SYSLOG_NG / "usr/sbin/syslog-ng"
    if not program.exists():
        do_without("syslog-ng is missing; `make setup` on Debian 12 unpacks it")
    configuration = directory / "syslog-ng.conf"
    configuration.write_text(
        f"""\
@version: 3.38
options {{ stats-freq(0); time-reopen(1); }};
source s_access {{
  file("{directory}/logs/access.log" follow-freq(0.1) flags(no-parse) log-msg-size(65536)
       log-iw-size(5000));
}};
destination d_sent {{ file("{directory}/sent.log" template("$MESSAGE\\n")); }};
{destination}
log {{ source(s_access); destination(d_sent); destination(d_visor); flags(flow-control); }};
"""
    )
    (modules,) = SYSLOG_NG.glob("usr/lib/syslog-ng/3.*")
    libraries = [modules.parent, *SYSLOG_NG.glob("usr/lib/*-linux-gnu"), *SYSLOG_NG.glob("lib/*")]
    command = [program, "--foreground", "--no-caps", f"--module-path={modules}"]
    options = [f"--cfgfile={configuration}", f"--persist-file={directory}/persist"]
    options += [f"--control={directory}/control", f"--pidfile={directory}/pid"]
    environment = {"LD_LIBRARY_PATH": ":".join(map(str, libraries))}
    with collector(directory, [*command, *options], env=environment):
        yield


PAGE = (Path(__file__).parents[1] / "docs" / "truth.md").read_text()
NAMES = ("Fluent Bit", "Vector", "OpenTelemetry Collector", "Grafana Alloy", "promtail", "Filebeat")


def blocks(collector: str, language: str) -> list[str]:
    """The fenced blocks of a collector on the page."""
    (section,) = re.findall(rf"^#### {collector}\n(.*?)(?=^##)", PAGE, re.MULTILINE | re.DOTALL)
    return re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def to(sink: Sink, block: str) -> str:
    """A block of the page, for the ports of this sink."""
    http, syslog = (sink.address(name).split(":")[1] for name in ("http", "syslog"))
    return block.replace("9465", http).replace("5514", syslog)


ELASTICSEARCH, JSON, OMFWD = blocks("rsyslog", "rsyslog")
HTTP, SPLUNK, OTLP, LOKI, NETWORK = blocks("syslog-ng", "syslog-ng")
COLLECTORS = {
    "rsyslog-omfwd": (rsyslog, OMFWD, ()),
    "rsyslog-omelasticsearch": (
        rsyslog,
        ELASTICSEARCH,
        ("close,when=before,every=3", "close,every=4"),
    ),
    "syslog-ng-network": (syslog_ng, NETWORK, ()),
    "syslog-ng-http": (
        syslog_ng,
        HTTP,
        ("reject,every=3,count=2", "error,every=4,count=2", "close,every=7,count=1"),
    ),
    "syslog-ng-splunk": (syslog_ng, SPLUNK, ("reject,every=3,count=2", "error,every=4,count=2")),
    "syslog-ng-loki": (syslog_ng, LOKI, ("reject,status=429,every=3,count=2", "error,every=4")),
    "syslog-ng-otlp": (syslog_ng, OTLP, ("reject,every=3,count=2", "close,every=4,count=2")),
}


def test_the_files_of_the_page_are_well_formed() -> None:
    for collector in NAMES:
        if texts := blocks(collector, "yaml"):
            (text,) = texts
            assert "127.0.0.1" in str(yaml.safe_load(text)), collector
        else:
            (text,) = blocks(collector, "alloy")
            assert text.count("{") == text.count("}") and "127.0.0.1:9465" in text
    # Their ports are those of the sink, if it is given no others.
    usage = visor("sink", "--help").stdout.decode()
    assert all(f"127.0.0.1:{port}" in usage for port in (4317, 5514, 9465, 24224)), usage


@pytest.mark.parametrize("name", COLLECTORS)
def test_the_whole_way_with_rotation_and_faults(tmp_path: Path, run: Run, name: str) -> None:
    start, action, faults = COLLECTORS[name]
    (tmp_path / "logs").mkdir()
    report = tmp_path / "emitted.json"
    options = ("--syslog", "127.0.0.1:0", "--settle", "3s", "--until-complete")
    all_faults = [option for fault in faults for option in ("--fault", fault)]
    told = ("--emitted", report, *options, *all_faults)
    with Sink(tmp_path, *told) as sink, start(tmp_path, to(sink, action)):
        assert run(document(), "--report", report).wait() == 0
        code, verdict = sink.finish()
    total = verdict["total"]
    assert (total["redelivered"] > 0) == bool(faults), total
    # When what failed comes again is the collector's.
    left = {name: total[name] for name in ("redelivered", "late", "outOfOrder")}
    assert (code, total) == (0, counts(emitted=LINES, delivered=LINES, **left))
    (output,) = verdict["outputs"]
    assert output["sources"] == ["shop/web"]


@pytest.mark.parametrize("name", ["rsyslog-omfwd", "syslog-ng-network"])
def test_what_a_collector_loses_by_truncated_copies_is_missing(
    tmp_path: Path, run: Run, name: str
) -> None:
    start, action, _ = COLLECTORS[name]
    (tmp_path / "logs").mkdir()
    report = tmp_path / "emitted.json"
    options = ("--syslog", "127.0.0.1:0", "--settle", "3s", "--until-complete")
    told = ("--emitted", report, *options)
    with Sink(tmp_path, *told) as sink, start(tmp_path, to(sink, action)):
        truncating = document(method="CopyTruncate", maxSize="256Ki")
        running = run(truncating, "--report", report)
        assert running.wait() == 0
        code, verdict = sink.finish()
    log = running.logs / "access.log"
    files = [*rotated(log), log]
    written = numbers(line for path in files for line in path.read_bytes().splitlines())
    sent = (tmp_path / "sent.log").read_bytes().splitlines()
    arrived = numbers(line for line in sent if TOKEN.search(line))
    lost = {
        (lane, number)
        for lane, all_of_it in written.items()
        for number in set(all_of_it) - set(arrived.get(lane, []))
    }
    total = verdict["total"]
    assert total["missing"] == len(lost) and total["delivered"] == LINES - len(lost), total
    assert code == (1 if lost or total["duplicated"] else 0)
