"""The whole way: lines, rotation, a real collector, the sink. Its verdict is that of comparing what
was written with what the collector says it has sent."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.delivery import TOKEN, numbers
from support.documents import access, file, rate, source, stream
from support.files import rotated
from support.program import Running
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
template(name="json" type="list") {{
  constant(value="{{\\"message\\":\\"")
  property(name="msg" format="json")
  constant(value="\\"}}")
}}
input(type="imfile" file="{directory}/logs/access.log" tag="access" ruleset="send"
      reopenOnTruncate="on")
ruleset(name="send") {{
  action(type="omfile" file="{directory}/sent.log" template="line")
  action({action} action.resumeRetryCount="-1" action.resumeInterval="1")
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
destination d_sink {{ {destination} }};
log {{ source(s_access); destination(d_sent); destination(d_sink); flags(flow-control); }};
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


COLLECTORS = {
    "rsyslog-omfwd": (rsyslog, 'type="omfwd" target="{host}" port="{syslog}" protocol="tcp"', ()),
    "rsyslog-omelasticsearch": (
        rsyslog,
        'type="omelasticsearch" server="{host}" serverport="{http}" template="json" '
        'searchIndex="logs" bulkmode="on" queue.type="LinkedList" queue.dequeueBatchSize="500"',
        ("close,when=before,every=3", "close,every=4"),
    ),
    "syslog-ng-network": (syslog_ng, 'network("{host}" port({syslog}) transport("tcp"));', ()),
    "syslog-ng-http": (
        syslog_ng,
        'http(url("http://{host}:{http}/logs") method("POST") body("$MESSAGE") batch-lines(500) '
        'batch-timeout(300) delimiter("\\n") retries(20));',
        ("reject,every=3,count=2", "error,every=4,count=2", "close,every=7,count=1"),
    ),
}


@pytest.mark.parametrize("name", COLLECTORS)
def test_the_whole_way_with_rotation_and_faults(tmp_path: Path, run: Run, name: str) -> None:
    start, action, faults = COLLECTORS[name]
    (tmp_path / "logs").mkdir()
    report = tmp_path / "emitted.json"
    options = ("--syslog", "127.0.0.1:0", "--settle", "3s", "--until-complete")
    all_faults = [option for fault in faults for option in ("--fault", fault)]
    with Sink(tmp_path, "--emitted", report, *options, *all_faults) as sink:
        host, http = sink.address().split(":")
        action = action.format(host=host, http=http, syslog=sink.address("syslog").split(":")[1])
        with start(tmp_path, action):
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
    with Sink(tmp_path, "--emitted", report, *options) as sink:
        host, port = sink.address("syslog").split(":")
        with start(tmp_path, action.format(host=host, http=0, syslog=port)):
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
