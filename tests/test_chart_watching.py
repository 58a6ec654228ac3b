"""What watches over Visor: the alerts and the dashboard of the chart before promtool, and whether
the metrics and labels that they ask for are those that there are."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from chart.rendering import CHART, ROOT, Object
from support.tools import tool

RULES = CHART / "files" / "rules.yaml"
UNIT_TESTS = ROOT / "tests" / "chart" / "rules_test.yaml"
DASHBOARD = json.loads((CHART / "files" / "dashboard.json").read_text())

PAGES = [ROOT / "docs" / "reference" / f"{name}.md" for name in ("visor", "visor-sink")]
REFERENCES = "".join(page.read_text() for page in PAGES)

# What Prometheus adds when it scrapes, and what it makes of a histogram.
TARGET_LABELS = {"namespace", "pod", "job", "instance"}
LABELS_OF_THE_OPERATOR = {"state", "result", "kind", "action", "method", "code"} | {
    "condition",
    "status",
}
# Of the process itself, by Prometheus' own library.
METRICS_OF_THE_PROCESS = {"process_resident_memory_bytes"}

# What Grafana puts in place of its variables.
VARIABLES = {
    "$namespace": "shop|default",
    "$source": ".*",
    "$pod": "shop-0|shop-1",
    "$__rate_interval": "1m",
    "$__range": "3600s",
}


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess:
    return subprocess.run([tool("promtool"), *arguments], capture_output=True, text=True)


def alerts() -> list[Object]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[Object]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def queries() -> Iterator[tuple[str, str]]:
    """Every query of the dashboard as Prometheus gets it, and the title of its panel."""
    for panel in panels():
        for target in panel["targets"]:
            expression = target["expr"]
            for name, value in VARIABLES.items():
                expression = re.sub(re.escape(name) + r"\b", value, expression)
            yield panel["title"], expression


def metrics() -> set[str]:
    """The names of all metrics: those of generators and sinks by their references, the operator's
    by its code."""
    generator = re.findall(r"^\| `(visor_[a-z_]+)` \|", REFERENCES, re.MULTILINE)
    code = (ROOT / "crates" / "visor-operator" / "src" / "metrics.rs").read_text()
    operator = re.findall(r'"(visor_operator_[a-z_]+)"', code)
    assert len(generator) >= 10 and len(operator) >= 10
    return {*generator, *operator, *METRICS_OF_THE_PROCESS}


def labels() -> set[str]:
    """All labels that a query may name."""
    rows = re.findall(r"^\| `visor_[a-z_]+` \| \w+ \| (.*?) \|", REFERENCES, re.MULTILINE)
    generator = {label for row in rows for label in row.split(", ")}
    assert {"source", "generator", "stream", "kind", "output"} <= generator
    return generator | TARGET_LABELS | LABELS_OF_THE_OPERATOR | {"le"}


def asked_metrics(expression: str) -> set[str]:
    names = re.findall(r"\b(?:visor|process)_[a-z_]+", expression)
    return {re.sub("_(bucket|count|sum)$", "", name) for name in names}


def asked_labels(expression: str) -> set[str]:
    lists = re.findall(r"\b(?:by|on|group_left) \(([^)]*)\)", expression)
    named = {label.strip() for text in lists for label in text.split(",") if label.strip()}
    return named | set(re.findall(r"\b([a-z_]+)=~?\"", expression))


def test_promtool_takes_the_alerts() -> None:
    done = promtool("check", "rules", "--lint-fatal", RULES)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(alerts())} rules found" in done.stdout


def test_the_alerts_fire_when_they_should_and_only_then() -> None:
    done = promtool("test", "rules", UNIT_TESTS)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_was_seen_to_fire_with_the_labels_that_it_speaks_of() -> None:
    fired: dict[str, set[str]] = {}
    for test in yaml.safe_load(UNIT_TESTS.read_text())["tests"]:
        for expectation in test["promql_expr_test"]:
            for sample in expectation["exp_samples"]:
                pairs = dict(re.findall(r'(\w+)="([^"]*)"', sample["labels"]))
                fired[pairs["alertname"]] = pairs.keys()
    assert fired.keys() == {alert["alert"] for alert in alerts()}
    for alert in alerts():
        text = " ".join(alert["annotations"].values())
        assert set(re.findall(r"\$labels\.(\w+)", text)) <= fired[alert["alert"]], alert["alert"]


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_an_alert_says_what_is_wrong_and_what_to_do(alert: Object) -> None:
    assert alert["labels"]["severity"] in {"warning", "critical"}
    assert alert["annotations"].keys() == {"summary", "description"}
    assert len(alert["annotations"]["description"]) > 150


def test_the_dashboard_is_one_that_grafana_takes_and_people_can_read() -> None:
    assert DASHBOARD["id"] is None and DASHBOARD["uid"] == "visor"
    assert DASHBOARD["schemaVersion"] == 39
    identifiers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(identifiers)) == len(identifiers)
    source = {"type": "prometheus", "uid": "${datasource}"}
    for panel in panels():
        assert panel["title"] and panel["description"], panel["id"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["targets"], panel["title"]
        for target in panel["targets"]:
            assert target["expr"].strip() and target["datasource"] == source
    variables = [variable["name"] for variable in DASHBOARD["templating"]["list"]]
    assert variables == ["datasource", "namespace", "source", "pod"]


def test_panels_lie_beside_each_other() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                other = taken.setdefault((x, y), panel["title"])
                assert other == panel["title"]


def test_promtool_takes_every_query(tmp_path: Path) -> None:
    rules = [
        {"record": f"query_{number}", "expr": expression}
        for number, (_, expression) in enumerate(queries())
    ]
    assert len(rules) >= len(panels()) > 20
    assert not [rule for rule in rules if "$" in rule["expr"]]
    file = tmp_path / "queries.yaml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = promtool("check", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr


def every_query() -> list[pytest.param]:
    from_alerts = [(alert["alert"], alert["expr"]) for alert in alerts()]
    return [pytest.param(text, id=name) for name, text in [*from_alerts, *queries()]]


@pytest.mark.parametrize("expression", every_query())
def test_what_is_asked_for_exists(expression: str) -> None:
    asked = asked_metrics(expression)
    assert asked and asked <= metrics(), asked - metrics()
    assert asked_labels(expression) <= labels(), asked_labels(expression) - labels()


def test_legends_name_labels_that_the_queries_keep() -> None:
    for panel in panels():
        for target in panel["targets"]:
            named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            assert named <= asked_labels(target["expr"]), panel["title"]


def test_every_metric_is_in_the_dashboard() -> None:
    shown = {name for _, expression in queries() for name in asked_metrics(expression)}
    missing = metrics() - shown
    builds = {"visor_build_info", "visor_sink_build_info"}
    assert missing <= {*builds, "visor_operator_scrape_rounds_total"}, missing
