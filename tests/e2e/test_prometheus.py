"""A real Prometheus scrapes operators and pods with the chart's monitors; its results agree with
the sources, and the queries of the dashboard and the rules have results."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

import pytest

from support.clusters import Cluster
from support.dockerfile import ROOT
from support.documents import Object, access, error, file, rate, stream
from support.documents import source as document
from support.kubernetes import Kubernetes
from support.prometheus import Prometheus, prometheus, targets
from support.sources import Source, apply

FILES = ROOT / "charts" / "visor" / "files"
DASHBOARD = json.loads((FILES / "dashboard.json").read_text())

# What Grafana puts in the place of its variables where all is selected.
VARIABLES = {"$namespace": ".*", "$source": ".*", "$pod": ".*"}
TIMES = {"$__rate_interval": "15s", "$__range": "1m"}


@pytest.fixture(scope="module")
def server(
    cluster: Cluster, source: Source, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    directory = tmp_path_factory.mktemp("prometheus")
    found = directory / "targets.json"
    found.write_text(json.dumps(targets(cluster.kubernetes)))
    job = {"job_name": "visor", "file_sd_configs": [{"files": [str(found)]}]}
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "scrape_configs": [job],
        "rule_files": [str(FILES / "rules.yaml")],
    }
    with prometheus(directory, configuration) as started:
        yield started


@pytest.fixture(scope="module")
def source(cluster: Cluster, shared_namespace: Kubernetes) -> Source:
    cluster.need_own("Prometheus runs on this machine, and must reach the pods")
    rotating = file("access.log", maxSize="32Ki", keep=2, method="Rename")
    made = apply(
        shared_namespace,
        document(
            "watched",
            access("web", stream("readers", "Access", rate(200)), output=rotating),
            error("daemon", stream("failures", "Error", rate(20)), output=file("error.log")),
            replicas=2,
        ),
    )
    made.is_ready()
    return made


def test_it_counts_the_same_lines(server: Prometheus, source: Source) -> None:
    lines = f'sum(visor_lines_total{{namespace="{source.kubernetes.namespace}"}})'
    # A while in which every dashboard's rate has something to be taken of.
    source.kubernetes.wait_for("lines", lambda: server.value(lines) > 3000)
    counted = sum(metrics.lines() for metrics in source.suspend().values())
    source.kubernetes.wait_for("its count", lambda: server.value(lines) == counted)
    source.kubernetes.wait_for("the status", lambda: source.status["lines"] == counted)
    source.change(suspend=False)
    source.is_ready()
    source.kubernetes.wait_for("more lines", lambda: server.value(lines) > counted + 2000)


def test_it_sees_which_operator_is_the_leader(server: Prometheus, source: Source) -> None:
    leaders = "sum by (job) (visor_operator_leader)"
    source.kubernetes.wait_for("one that acts", lambda: server.value(leaders) == 1)
    (found,) = server.query(leaders)
    assert found["metric"]["job"] == "visor"
    assert server.value("count(visor_operator_build_info)") == 2


def queries() -> list[object]:
    """Each query of the dashboard, named by its panel."""
    panels = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
    nested = [inner for panel in DASHBOARD["panels"] for inner in panel.get("panels", [])]
    return [
        pytest.param(target["expr"], id=f"{panel['title']} {target['refId']}")
        for panel in panels + nested
        for target in panel.get("targets", [])
    ]


@pytest.mark.parametrize("expression", queries())
def test_a_query_of_the_dashboard_has_an_answer(
    server: Prometheus, source: Source, expression: str
) -> None:
    for name, value in {**VARIABLES, **TIMES}.items():
        expression = expression.replace(name, value)
    assert "$" not in expression
    source.kubernetes.wait_for("an answer", lambda: numbers(server.query(expression)))


def numbers(series: list[Object]) -> list[float]:
    """The values that are numbers."""
    values = [float(each["value"][1]) for each in series]
    return [value for value in values if not math.isnan(value)]


def test_the_variables_of_the_dashboard_have_values(server: Prometheus, source: Source) -> None:
    names = {v["name"] for v in DASHBOARD["templating"]["list"] if v["type"] == "query"}
    assert {f"${name}" for name in names} == set(VARIABLES)
    (found,) = server.query(
        "count by (namespace, source) "
        f'(visor_configured_lines_per_second{{source="{source.name}"}})'
    )
    assert found["metric"]["namespace"] == source.kubernetes.namespace


def test_the_rules_are_evaluated_and_nothing_is_wrong(server: Prometheus, source: Source) -> None:
    source.is_ready()

    def rules() -> list[Object]:
        return [rule for group in server.get("rules")["groups"] for rule in group["rules"]]

    source.kubernetes.wait_for(
        "all rules evaluated", lambda: {rule["health"] for rule in rules()} == {"ok"}
    )
    assert [rule["name"] for rule in rules() if rule["state"] == "firing"] == []
