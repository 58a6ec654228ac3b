"""The metrics, checked by Prometheus's own tools: promtool, and a real Prometheus that scrapes."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.documents import access, error, file, fixed, rate, save, source, stream
from support.files import every_line
from support.metrics import get
from support.program import Running, visor
from support.tools import free_port, tool
from support.waiting import wait_for

Run = Callable[..., Running]

COUNTERS = [
    "visor_lines_total",
    "visor_bytes_total",
    "visor_lines_skipped_total",
    "visor_write_blocked_seconds_total",
    "visor_output_failing",
    "visor_write_errors_total",
    "visor_rotations_total",
    "visor_config_reloads_total",
]


def shop(**spec: object) -> dict:
    return source(
        "shop",
        access(
            "web",
            stream("beat", "Heartbeat", fixed("100ms")),
            stream("requests", "Access", {"uniform": {"min": "10ms", "max": "30ms"}}),
            output=file("access.log"),
        ),
        error("daemon", stream("failures", "Error", rate(100)), output=file("error.log")),
        **spec,
    )


def test_promtool_finds_nothing_to_say(run: Run) -> None:
    program = run(shop())
    program.wait_for_lines(100)
    page = get(program.address)
    done = subprocess.run(
        [tool("promtool"), "check", "metrics"], input=page, text=True, capture_output=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_metric_is_there_from_the_start_with_its_labels(run: Run) -> None:
    program = run(shop())
    metrics = program.wait_for_lines(1)
    names = {name for name, _ in metrics.samples}
    lag = {f"visor_schedule_lag_seconds_{part}" for part in ("bucket", "count", "sum")}
    assert set(COUNTERS) | lag | {"visor_configured_lines_per_second", "visor_build_info"} <= names
    streams = {
        ("web", "beat", "heartbeat"): 10,
        ("web", "requests", "access"): 50,
        ("daemon", "failures", "error"): 100,
    }
    for (generator, name, kind), lines_per_second in streams.items():
        labels = {"source": "shop", "generator": generator, "stream": name, "kind": kind}
        assert len(metrics.select("visor_lines_total", **labels)) == 1
        assert len(metrics.select("visor_bytes_total", **labels)) == 1
        target = metrics.sum("visor_configured_lines_per_second", generator=generator, stream=name)
        assert target == pytest.approx(lines_per_second)
    for result in ("success", "failure"):
        assert metrics.select("visor_config_reloads_total", result=result)
    assert metrics.sum("visor_build_info") == 1


def test_bytes_and_lag_go_with_the_lines(run: Run) -> None:
    program = run(shop())
    metrics = program.wait_for_lines(200)
    for generator in ("web", "daemon"):
        lines = metrics.lines(generator=generator)
        assert metrics.sum("visor_bytes_total", generator=generator) > 40 * lines > 0
    assert metrics.sum("visor_schedule_lag_seconds_count") > 0
    summary = program.stop()
    for name, generator in (("access.log", "web"), ("error.log", "daemon")):
        size = sum(len(line) + 1 for line in every_line(program.logs / name))
        assert size == sum(w.bytes for key, w in summary.items() if key[1] == generator)


def test_probes_and_unknown_pages(run: Run) -> None:
    program = run(shop())
    assert get(program.address, "/livez") and get(program.address, "/readyz")
    with pytest.raises(urllib.error.HTTPError) as caught:
        get(program.address, "/nothing")
    assert caught.value.code == 404


def test_a_port_in_use_is_reported_and_nothing_is_written(run: Run, tmp_path: Path) -> None:
    program = run(shop())
    second = tmp_path / "second"
    second.mkdir()
    document = save(second / "shop.yaml", shop())
    done = visor("run", "-f", document, "--listen", program.address, cwd=second)
    assert done.returncode == 1 and program.address in done.stderr
    assert not (second / "logs").exists()


def test_a_real_prometheus_counts_the_same_lines(run: Run, tmp_path: Path) -> None:
    program = run(shop())
    with prometheus(tmp_path, program.address) as address:
        wait_for("a first scrape", lambda: query(address, "sum(visor_lines_total)") > 0)
        program.wait_for_lines(100)
        save(tmp_path / "source.yaml", shop(suspend=True))
        logs = [program.logs / "access.log", program.logs / "error.log"]

        def lines() -> int:
            return sum(len(every_line(log)) for log in logs)

        wait_for("the source to be suspended", lambda: suspended(program))
        wait_for(
            "the same count in Prometheus",
            lambda: (
                query(address, "sum(visor_lines_total)") == lines() == program.metrics().lines()
            ),
        )
        failures = 'visor_lines_total{source="shop", stream="failures", kind="error"}'
        assert query(address, failures) == len(every_line(logs[1]))
        assert query(address, "sum(visor_bytes_total)") == sum(log.stat().st_size for log in logs)


def suspended(program: Running) -> bool:
    return program.metrics().sum("visor_config_reloads_total", result="success") >= 1


@contextmanager
def prometheus(directory: Path, target: str) -> Iterator[str]:
    """A Prometheus of its own that scrapes `target` every second."""
    configuration = directory / "prometheus.yml"
    jobs = [{"job_name": "visor", "static_configs": [{"targets": [target]}]}]
    settings = {"global": {"scrape_interval": "1s"}, "scrape_configs": jobs}
    configuration.write_text(json.dumps(settings))
    address = f"127.0.0.1:{free_port()}"
    with (directory / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(tool("prometheus"), f"--config.file={configuration}"),
                *(f"--storage.tsdb.path={directory}/tsdb", f"--web.listen-address={address}"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield address
    finally:
        process.terminate()
        process.wait(60)


def query(address: str, expression: str) -> float:
    """The value of an expression now; 0 while there is none."""
    url = f"http://{address}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            result = json.load(answer)["data"]["result"]
    except (urllib.error.URLError, ConnectionError):
        return 0.0
    return float(result[0]["value"][1]) if result else 0.0
