"""The values of the chart: each one has an effect, any two switches can be combined, and an invalid
one is rejected by its name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import combinations, product
from typing import Any

import pytest

from chart.rendering import CHART, KNOWS_ALL, Object, Rendered, template

SCHEMA: Object = json.loads((CHART / "values.schema.json").read_text())

# A value of each, other than the chart's own.
EXAMPLES: dict[str, Any] = {
    "operator.image.repository": "registry.example/operator",
    "operator.image.tag": "7",
    "operator.image.digest": "sha256:" + "0" * 64,
    "operator.image.pullPolicy": "Always",
    "operator.replicas": 3,
    "operator.resources": {"limits": {"memory": "1Gi"}},
    "operator.nodeSelector": {"visor.example/pool": "tools"},
    "operator.tolerations": [{"key": "visor.example/tools", "operator": "Exists"}],
    "operator.affinity": {"nodeAffinity": {}},
    "operator.topologySpreadConstraints": [
        {
            "maxSkew": 1,
            "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {"app.kubernetes.io/component": "operator"}},
        }
    ],
    "operator.priorityClassName": "system-cluster-critical",
    "operator.podSecurityContext": {"runAsUser": None, "runAsGroup": None},
    "operator.securityContext": {"capabilities": {"add": ["NET_BIND_SERVICE"]}},
    "operator.podLabels": {"visor.example/team": "a"},
    "operator.podAnnotations": {"visor.example/team": "a"},
    "operator.hostNetwork": True,
    "operator.ports.metrics": 18080,
    "operator.ports.webhook": 19443,
    "operator.revisionHistoryLimit": 2,
    "operator.extraArgs": ["--no-leader-election"],
    "operator.extraEnv": [{"name": "A", "value": "b"}],
    "operator.logLevel": "info,kube=debug",
    "operator.loggingFormat": "text",
    "operator.concurrency": 3,
    "operator.allow": ["HostPorts"],
    "operator.forbid": ["HostPath"],
    "operator.statusInterval": "1m",
    "operator.leaseDuration": "30s",
    "generator.image.repository": "registry.example/generator",
    "generator.image.tag": "7",
    "generator.image.digest": "sha256:" + "0" * 64,
    "generator.image.pullPolicy": "Never",
    "generator.runAsUser": None,
    "injector.enabled": False,
    "injector.sidecarForm": "Plain",
    "injector.timeoutSeconds": 2,
    "injector.certificates.certManager.enabled": True,
    "injector.certificates.certManager.issuerRef": {"name": "ours", "kind": "ClusterIssuer"},
    "validation.enabled": False,
    "validation.timeoutSeconds": 2,
    "imagePullSecrets": [{"name": "registry"}],
    "commonLabels": {"visor.example/team": "a"},
    "commonAnnotations": {"visor.example/team": "a"},
    "watchNamespaces": ["team-a", "team-b"],
    "crds.install": False,
    "rbac.create": False,
    "admissionPolicy.enabled": False,
    "serviceAccount.create": False,
    "serviceAccount.name": "theirs",
    "serviceAccount.annotations": {"visor.example/team": "a"},
    "aggregateRoles": False,
    "metrics.serviceMonitor.enabled": True,
    "metrics.serviceMonitor.labels": {"release": "prometheus"},
    "metrics.serviceMonitor.interval": "5s",
    "metrics.podMonitors.enabled": True,
    "metrics.prometheusRule.enabled": True,
    "metrics.prometheusRule.labels": {"release": "prometheus"},
    "metrics.dashboard.enabled": True,
    "metrics.dashboard.labels": {"dashboards": "1"},
    "networkPolicy.enabled": True,
    "networkPolicy.apiServerPorts": [6443],
    "podDisruptionBudget.enabled": False,
    "podDisruptionBudget.maxUnavailable": "50%",
    "nameOverride": "other",
    "fullnameOverride": "other",
}
# What counts only where another value is a certain one.
NEEDS: dict[str, Object] = {
    "injector.certificates.certManager.issuerRef": {
        "injector.certificates.certManager.enabled": True
    },
    "metrics.serviceMonitor.labels": {"metrics.serviceMonitor.enabled": True},
    "metrics.serviceMonitor.interval": {"metrics.serviceMonitor.enabled": True},
    "metrics.prometheusRule.labels": {"metrics.prometheusRule.enabled": True},
    "metrics.dashboard.labels": {"metrics.dashboard.enabled": True},
    "networkPolicy.apiServerPorts": {"networkPolicy.enabled": True},
}
# What is there only where a switch is on; of kinds that others make as well, its name.
SWITCHES: dict[str, tuple[str, str | None]] = {
    "injector.enabled": ("MutatingWebhookConfiguration", None),
    "injector.certificates.certManager.enabled": ("Certificate", None),
    "validation.enabled": ("ValidatingWebhookConfiguration", None),
    "crds.install": ("CustomResourceDefinition", None),
    "rbac.create": ("RoleBinding", None),
    "admissionPolicy.enabled": ("ValidatingAdmissionPolicy", None),
    "serviceAccount.create": ("ServiceAccount", None),
    "aggregateRoles": ("ClusterRole", "visor-edit"),
    "metrics.serviceMonitor.enabled": ("ServiceMonitor", None),
    "metrics.prometheusRule.enabled": ("PrometheusRule", None),
    "metrics.dashboard.enabled": ("ConfigMap", None),
    "networkPolicy.enabled": ("NetworkPolicy", None),
    "podDisruptionBudget.enabled": ("PodDisruptionBudget", None),
}
# What changes the operator's pods, and is no flag of theirs.
OF_PODS = {"operator.hostNetwork"}
# The operator's flags are in its Deployment, which always is there.
FLAGS = {"metrics.podMonitors.enabled": "--pod-monitors"}
# Of the whole cluster, so a release for some namespaces has none of them.
FOR_ALL_NAMESPACES = {
    *("injector.enabled", "injector.certificates.certManager.enabled", "validation.enabled"),
    *("aggregateRoles", "admissionPolicy.enabled"),
}


def leaves(schema: Object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Object]]:
    """The values of the schema, with their schemas."""
    if "properties" not in schema:
        yield ".".join(path), schema
    for name, inner in schema.get("properties", {}).items():
        yield from leaves(inner, (*path, name))


LEAVES = {name: schema for name, schema in leaves(SCHEMA) if name != "global"}


def nested(flat: Object) -> Object:
    """Values by their dotted names, as Helm takes them."""
    values: Object = {}
    for name, value in flat.items():
        *parents, last = name.split(".")
        inner = values
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[last] = value
    return values


def test_there_is_an_example_of_every_value() -> None:
    assert EXAMPLES.keys() == LEAVES.keys()
    switches = {name for name, schema in LEAVES.items() if schema.get("type") == "boolean"}
    assert switches == SWITCHES.keys() | FLAGS.keys() | OF_PODS


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_value_changes_something(name: str) -> None:
    needed = NEEDS.get(name, {})
    before = Rendered(nested(needed), *KNOWS_ALL)
    after = Rendered(nested({**needed, name: EXAMPLES[name]}), *KNOWS_ALL)
    assert after.objects != before.objects


def rows() -> Iterator[Object]:
    """Settings of all switches in which any two of them have all four combinations: the parities of
    the columns' common bits with the row's are an orthogonal array."""
    switches = [*SWITCHES, *FLAGS, "watchNamespaces"]
    assert len(switches) < 16
    for row in range(16):
        on = {name: (row & number).bit_count() % 2 == 1 for number, name in enumerate(switches, 1)}
        yield {**on, "watchNamespaces": ["team-a"] if on["watchNamespaces"] else []}


def test_the_settings_of_switches_have_all_pairs() -> None:
    settings = [[bool(value) for value in row.values()] for row in rows()]
    for first, second in combinations(range(len(settings[0])), 2):
        found = {(row[first], row[second]) for row in settings}
        assert found == set(product([False, True], repeat=2))


@pytest.mark.parametrize("flat", rows(), ids=range(16))
def test_switches_go_together(flat: Object) -> None:
    rendered = Rendered(nested(flat), *KNOWS_ALL)
    named = [
        (o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]) for o in rendered.objects
    ]
    assert len(named) == len(set(named))
    for switch, (kind, name) in SWITCHES.items():
        wanted = flat[switch] and not (switch in FOR_ALL_NAMESPACES and flat["watchNamespaces"])
        if switch == "injector.certificates.certManager.enabled":
            wanted = wanted and (flat["injector.enabled"] or flat["validation.enabled"])
        found = [made for made in rendered.all(kind) if name in (None, made["metadata"]["name"])]
        assert bool(found) == wanted, switch
    for switch, flag in FLAGS.items():
        assert (flag in rendered.arguments()) == flat[switch]


# What is none of a type.
WRONG_TYPES = {"string": 7, "boolean": "yes", "integer": "two", "object": "x", "array": "x"}


def rejected(flat: Object) -> list[str]:
    """Helm's errors about the values, one per line."""
    done = template(nested(flat))
    assert done.returncode != 0
    return [line.removeprefix("- ") for line in done.stderr.splitlines() if line.startswith("- ")]


def type_of(schema: Object) -> str | None:
    """The type that a value has, if it may be null as well."""
    named = schema.get("type")
    return named[0] if isinstance(named, list) else named


def test_a_value_of_a_wrong_type_is_rejected_by_its_name() -> None:
    output_text = rejected(
        {name: WRONG_TYPES.get(type_of(schema), []) for name, schema in LEAVES.items()}
    )
    for name, schema in LEAVES.items():
        expected = type_of(schema)
        shown = f"[{expected},null]" if isinstance(schema.get("type"), list) else expected
        reason = f"Invalid type. Expected: {shown}" if expected else "Must validate one"
        assert any(line.startswith(f"{name}: {reason}") for line in output_text), (
            name,
            output_text,
        )


def test_a_value_that_is_none_of_the_allowed_ones_is_rejected_by_its_name() -> None:
    wrong: Object = {}
    for name, schema in LEAVES.items():
        inner = schema.get("items", schema.get("additionalProperties"))
        if "minimum" in schema:
            wrong[name] = schema["minimum"] - 1
        elif "enum" in schema or "pattern" in schema or "maxLength" in schema:
            wrong[name] = "Not @ one!" * 30
        elif "minLength" in schema:
            wrong[name] = ""
        elif schema.get("type") == "array":
            wrong[name] = ["Not @ one!"]
        elif isinstance(inner, dict):
            wrong[name] = {"key": 7}
    output_text = rejected(wrong)
    for name in wrong:
        assert any(line.startswith((f"{name}: ", f"{name}.")) for line in output_text), (
            name,
            output_text,
        )
    # The others take whatever Kubernetes takes, or are a matter of their type alone.
    free = {"operator.resources", "operator.affinity", "operator.priorityClassName"}
    free |= {"operator.podSecurityContext", "operator.securityContext"}
    switches = {name for name, schema in LEAVES.items() if schema.get("type") == "boolean"}
    assert LEAVES.keys() - wrong.keys() == free | switches | {"podDisruptionBudget.maxUnavailable"}
