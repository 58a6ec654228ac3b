"""The chart, rendered by a real Helm: its objects, the values that it rejects, and the permissions
of the operator. No cluster is needed. The injector is tested in test_chart_injector.py."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from chart.rendering import (
    CHART,
    KNOWS_MONITORS,
    ROOT,
    Object,
    Rendered,
    helm,
    load,
    rules_of,
    script,
    template,
)

RULES = CHART / "files" / "rules.yaml"
DASHBOARD = CHART / "files" / "dashboard.json"
DEFINITION = ROOT / "manifests" / "crd" / "visor.dev_fakelogsources.yaml"

MONITORS: Object = {
    "metrics": {
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}, "interval": "5s"},
        "podMonitors": {"enabled": True},
        "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
        "dashboard": {"enabled": True},
    }
}
EVERYTHING: Object = {
    **MONITORS,
    "networkPolicy": {"enabled": True},
    "injector": {"certificates": {"certManager": {"enabled": True}}},
}
# Neither webhook.
NO_WEBHOOK: Object = {"injector": {"enabled": False}, "validation": {"enabled": False}}
ONE_NAMESPACE: Object = {"watchNamespaces": ["team-a"]}


@pytest.fixture(scope="module")
def default() -> Rendered:
    return Rendered()


# --- Rejected and accepted values -----------------------------------------------------------------


@pytest.mark.parametrize("values", [{}, EVERYTHING, ONE_NAMESPACE], ids=["none", "all", "one"])
@pytest.mark.parametrize("version", ["1.20.2", "1.29.0", "1.37.0"])
def test_helm_finds_nothing_to_say(values: Object, version: str) -> None:
    options = ["--strict", "--kube-version", version, "--values", "-"]
    done = helm("lint", CHART, *options, input=json.dumps(values))
    assert done.returncode == 0 and "[WARNING]" not in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("values", "output_text"),
    [
        ({"replicas": 3}, "Additional property replicas is not allowed"),
        ({"operator": {"replcias": 3}}, "operator: Additional property replcias is not allowed"),
        ({"operator": {"replicas": "two"}}, "operator.replicas: Invalid type. Expected: integer"),
        ({"operator": {"statusInterval": 30}}, "operator.statusInterval: Invalid type"),
        ({"operator": {"leaseDuration": "1.5s"}}, "operator.leaseDuration: Does not match"),
        ({"operator": {"image": {"digest": "abc"}}}, "operator.image.digest: Does not match"),
        ({"generator": {"image": {"pullPolicy": "Sometimes"}}}, "generator.image.pullPolicy"),
        ({"watchNamespaces": ["Team_A"]}, "watchNamespaces.0: Does not match"),
        ({"crds": {"install": "yes"}}, "crds.install: Invalid type. Expected: boolean"),
        ({"networkPolicy": {"apiServerPorts": []}}, "networkPolicy.apiServerPorts"),
        ({"injector": {"sidecarForm": "native"}}, "injector.sidecarForm"),
        ({"injector": {"timeoutSeconds": 31}}, "injector.timeoutSeconds: Must be less"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_value_is_rejected_by_its_name(values: Object, output_text: str) -> None:
    done = template(values)
    assert done.returncode != 0
    assert output_text in done.stderr


def test_an_older_kubernetes_than_was_tried_is_rejected() -> None:
    done = template({}, "--kube-version", "1.19.16")
    assert done.returncode != 0 and "1.19.16" in done.stderr


def properties(schema: Object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The values that a schema names, and that have no named ones below them."""
    if "properties" not in schema:
        yield path
        return
    assert schema["additionalProperties"] is False, path
    for name, inner in schema["properties"].items():
        assert inner["description"], name
        yield from properties(inner, (*path, name))


def test_the_schema_knows_exactly_the_values_that_there_are() -> None:
    values = script("values_docs").values((CHART / "values.yaml").read_text())
    documented = {tuple(value.name.split(".")) for value in values}
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert {*properties(schema)} == documented | {("global",)}


# --- What is made ---------------------------------------------------------------------------------


def test_what_there_is_by_default(default: Rendered) -> None:
    assert default.kinds() == {
        *("CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"),
        *("ServiceAccount", "Service", "Deployment", "PodDisruptionBudget", "Pod"),
        *("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"),
    }


CLUSTER_WIDE = {
    *("ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"),
    *("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"),
}


def test_every_object_says_what_it_belongs_to() -> None:
    for made in Rendered(EVERYTHING, *KNOWS_MONITORS).objects:
        labels = made["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == "visor", made["metadata"]
        assert labels["app.kubernetes.io/instance"] == "visor"
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
        if made["kind"] not in CLUSTER_WIDE:
            assert made["metadata"]["namespace"] == "visor-system"


def test_the_pods_meet_the_restricted_pod_security_standard(default: Rendered) -> None:
    for pod in default.pods():
        context = pod["securityContext"]
        assert context["runAsNonRoot"] is True and context["runAsUser"] == 65532
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC", "volumes"} & pod.keys()
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_only_the_operator_has_a_token(default: Rendered) -> None:
    assert default.one("ServiceAccount")["automountServiceAccountToken"] is False
    operator, test = default.pods()
    assert operator["automountServiceAccountToken"] is True
    assert test["automountServiceAccountToken"] is False


def test_the_service_and_the_probes_lead_to_the_operator(default: Rendered) -> None:
    operator, test = default.pods()
    (container,) = operator["containers"]
    port, _webhook = container["ports"]
    assert container["livenessProbe"]["httpGet"] == {"path": "/livez", "port": port["name"]}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": port["name"]}
    service = default.one("Service", "visor")["spec"]
    assert service["ports"][0]["targetPort"] == port["name"]
    deployment = default.one("Deployment")["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    assert service["selector"] == deployment["selector"]["matchLabels"]
    assert service["selector"].items() <= labels.items()
    # Never the pods of a source that is called as the release is.
    assert labels["app.kubernetes.io/component"] == "operator"
    url = "http://visor.visor-system.svc:8080/readyz"
    assert test["containers"][0]["args"] == ["check", url]


def test_the_flags_are_the_operators(default: Rendered) -> None:
    every = {"watchNamespaces": ["team-a"], **MONITORS}
    rendered = [default, Rendered(every), Rendered(EVERYTHING)]
    flags = {flag for one in rendered for flag in one.arguments()}
    cli = (ROOT / "crates" / "visor-operator" / "src" / "cli.rs").read_text()
    fields = re.findall(r"^    pub\(crate\) (\w+): ", cli, re.MULTILINE)
    fields += re.findall(r'long = "([\w-]+)"', cli)
    known = {f"--{field.replace('_', '-')}" for field in fields}
    assert flags <= known, flags - known


def test_values_become_flags() -> None:
    values = {
        "operator": {"concurrency": 3, "statusInterval": "5s", "leaseDuration": "1m"},
        "generator": {"image": {"repository": "registry.example/visor", "tag": "7"}},
        **ONE_NAMESPACE,
    }
    flags = Rendered(values).arguments()
    assert flags["--concurrency"] == "3"
    assert flags["--status-interval"] == "5s"
    assert flags["--lease-duration"] == "1m"
    assert flags["--image"] == "registry.example/visor:7"
    assert flags["--namespace"] == "team-a"
    assert "--pod-monitors" not in flags


def test_an_image_is_that_of_the_chart_of_a_tag_or_of_a_digest() -> None:
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    digest = "sha256:" + "0" * 64
    for image, wanted in [
        ({}, f"visor-operator:{version}"),
        ({"tag": "7"}, "visor-operator:7"),
        ({"tag": "7", "digest": digest}, f"visor-operator@{digest}"),
    ]:
        for pod in Rendered({"operator": {"image": image}}).pods():
            assert pod["containers"][0]["image"] == wanted


def test_the_version_is_the_programs() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    cargo = (ROOT / "Cargo.toml").read_text()
    version = re.search(r'^version = "(.+)"$', cargo, re.MULTILINE)
    assert chart["appVersion"] == version[1]


def test_replicas_rather_run_on_different_nodes(default: Rendered) -> None:
    def affinity(rendered: Rendered) -> Object:
        return rendered.pods()[0]["affinity"]

    (preferred,) = affinity(default)["podAntiAffinity"][
        "preferredDuringSchedulingIgnoredDuringExecution"
    ]
    selector = default.one("Deployment")["spec"]["selector"]
    assert preferred["podAffinityTerm"]["labelSelector"] == selector
    own = {"nodeAffinity": {}}
    assert affinity(Rendered({"operator": {"affinity": own}})) == own


@pytest.mark.parametrize("field", ["labels", "annotations"])
def test_every_object_has_what_is_configured_for_all(field: str) -> None:
    own = {
        "visor.example/team": "a",
        "app.kubernetes.io/name": "mine",
        "helm.sh/resource-policy": "",
    }
    common = {"labels": "commonLabels", "annotations": "commonAnnotations"}[field]
    with_all = Rendered({**EVERYTHING, common: own}, *KNOWS_MONITORS)
    without = Rendered(EVERYTHING, *KNOWS_MONITORS)
    for made, before in zip(with_all.objects, without.objects, strict=True):
        # The chart's own values stay.
        output_text = before["metadata"].get(field, {})
        assert made["metadata"].pop(field) == {**own, **output_text}, made["metadata"]
        before["metadata"].pop(field, None)
    # So do the operator's pods; apart from that, nothing is another.
    (template,) = (o["spec"]["template"]["metadata"] for o in with_all.all("Deployment"))
    (plain,) = (o["spec"]["template"]["metadata"] for o in without.all("Deployment"))
    assert template.pop(field) == {**own, **plain.pop(field, {})}
    assert with_all.objects == without.objects


def test_labels_of_ones_own_never_replace_the_charts() -> None:
    labels = {"team": "a", "app.kubernetes.io/component": "mine"}
    template = Rendered({"operator": {"podLabels": labels}}).one("Deployment")["spec"]["template"]
    assert template["metadata"]["labels"]["team"] == "a"
    assert template["metadata"]["labels"]["app.kubernetes.io/component"] == "operator"


@pytest.mark.parametrize(
    ("version", "api"), [("1.20.2", "policy/v1beta1"), ("1.29.0", "policy/v1")]
)
def test_the_disruption_budget_is_one_that_the_server_knows(version: str, api: str) -> None:
    budget = Rendered({}, "--kube-version", version).one("PodDisruptionBudget")
    assert budget["apiVersion"] == api
    assert budget["spec"]["maxUnavailable"] == 1


def test_the_network_policy_has_what_the_operator_needs_and_no_more() -> None:
    values = {"networkPolicy": {"enabled": True, "apiServerPorts": [6443]}, **NO_WEBHOOK}
    rendered = Rendered(values)
    policy = rendered.one("NetworkPolicy")["spec"]
    assert policy["podSelector"] == rendered.one("Deployment")["spec"]["selector"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["ingress"] == [{"ports": [{"protocol": "TCP", "port": 8080}]}]
    dns, server, pods = policy["egress"]
    assert {(port["protocol"], port["port"]) for port in dns["ports"]} == {("UDP", 53), ("TCP", 53)}
    assert server["ports"] == [{"protocol": "TCP", "port": 6443}]
    assert pods["ports"] == [{"protocol": "TCP", "port": 9464}]
    (generators,) = pods["to"]
    assert generators["podSelector"]["matchLabels"] == {
        "app.kubernetes.io/name": "visor",
        "app.kubernetes.io/component": "generator",
    }


def test_ports_are_where_the_values_say_and_everything_follows() -> None:
    ports = {"metrics": 18080, "webhook": 19443}
    values = {"operator": {"hostNetwork": True, "ports": ports}, "networkPolicy": {"enabled": True}}
    rendered = Rendered(values)
    (pod, *_) = rendered.pods()
    assert pod["hostNetwork"] is True and pod["dnsPolicy"] == "ClusterFirstWithHostNet"
    arguments = rendered.arguments()
    assert (arguments["--listen"], arguments["--webhook-listen"]) == (":18080", ":19443")
    named = {port["name"]: port["containerPort"] for port in pod["containers"][0]["ports"]}
    assert named == ports
    admitted = rendered.one("NetworkPolicy")["spec"]["ingress"]
    assert [rule["ports"][0]["port"] for rule in admitted] == [18080, 19443]
    # Services go by the ports' names, and keep their own numbers.
    for service in rendered.all("Service"):
        (port,) = service["spec"]["ports"]
        assert port["targetPort"] in ports


@pytest.mark.parametrize("seconds", ["1s", "2s", "0s", "1m90s", "2h", "1.5s"])
def test_a_lease_that_the_operator_would_not_take_is_rejected(seconds: str) -> None:
    done = template({"operator": {"leaseDuration": seconds}})
    assert done.returncode != 0 and "operator.leaseDuration" in done.stderr


@pytest.mark.parametrize("seconds", ["3s", "15s", "90s", "1m", "1m30s", "60m", "1h", "3600s"])
def test_a_lease_that_the_operator_takes_is_taken(seconds: str) -> None:
    assert Rendered({"operator": {"leaseDuration": seconds}})


@pytest.mark.parametrize(
    ("version", "has"), [("1.31.0", True), ("1.30.9", False), ("1.20.2", False)]
)
def test_sources_can_be_selected_by_what_runs_them(version: str, has: bool) -> None:
    definition = Rendered({}, "--kube-version", version).one("CustomResourceDefinition")
    (served,) = definition["spec"]["versions"]
    fields = [field["jsonPath"] for field in served.get("selectableFields", [])]
    assert fields == ([".spec.workload", ".spec.suspend", ".status.workload"] if has else [])
    for field in fields:
        schema = served["schema"]["openAPIV3Schema"]
        for part in field.strip(".").split("."):
            schema = schema["properties"][part]
        assert schema["type"] in ("string", "boolean")


def test_monitors_find_the_operator_and_are_found() -> None:
    rendered = Rendered(EVERYTHING, *KNOWS_MONITORS)
    monitor = rendered.one("ServiceMonitor")
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    selected = monitor["spec"]["selector"]["matchLabels"].items()
    (service,) = [s for s in rendered.all("Service") if selected <= s["metadata"]["labels"].items()]
    endpoint = {"port": service["spec"]["ports"][0]["name"], "interval": "5s"}
    assert monitor["spec"]["endpoints"] == [endpoint]
    assert rendered.one("PrometheusRule")["spec"] == yaml.safe_load(RULES.read_text())
    dashboard = rendered.one("ConfigMap")
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(dashboard["data"]["visor.json"]) == json.loads(DASHBOARD.read_text())
    assert "--pod-monitors" in rendered.arguments()


def test_monitors_are_left_out_where_the_server_knows_none() -> None:
    kinds = Rendered(EVERYTHING).kinds()
    assert Rendered(EVERYTHING, *KNOWS_MONITORS).kinds() - kinds == {
        *("ServiceMonitor", "PrometheusRule"),
    }


# --- What the operator may do ---------------------------------------------------------------------

MAKES = {"get", "list", "watch", "create", "patch", "delete"}
RIGHTS = {
    ("visor.dev", "fakelogsources"): {"get", "list", "watch"},
    ("visor.dev", "fakelogsources/status"): {"patch"},
    ("visor.dev", "fakelogsources/finalizers"): {"update"},
    ("", "configmaps"): MAKES,
    ("", "services"): MAKES,
    ("", "persistentvolumeclaims"): MAKES,
    ("apps", "deployments"): MAKES,
    ("apps", "statefulsets"): MAKES,
    ("apps", "daemonsets"): MAKES,
    ("batch", "jobs"): MAKES,
    ("apps", "replicasets"): {"list", "watch"},
    ("", "pods"): {"get", "list", "watch", "patch"},
    ("", "events"): {"list"},
    ("coordination.k8s.io", "leases"): {"get"},
    ("events.k8s.io", "events"): {"create", "patch"},
}
LEASE = {("coordination.k8s.io", "leases"): {"get", "create", "patch", "update"}}


def bound(rendered: Rendered, kind: str, name: str) -> Object:
    """The role of this kind and name; it must be bound to the operator's service account."""
    binding = rendered.one(f"{kind}Binding", name)
    assert binding["roleRef"]["kind"] == kind and binding["roleRef"]["name"] == name
    account = rendered.one("ServiceAccount")["metadata"]["name"]
    subject = {"kind": "ServiceAccount", "name": account, "namespace": "visor-system"}
    assert binding["subjects"] == [subject]
    role = rendered.one(kind, name)
    assert role["metadata"].get("namespace") == binding["metadata"].get("namespace")
    return role


def test_the_operator_may_do_what_it_must_and_no_more() -> None:
    rendered = Rendered(NO_WEBHOOK)
    assert rules_of(bound(rendered, "ClusterRole", "visor")) == RIGHTS
    lease = bound(rendered, "Role", "visor-operator")
    assert lease["metadata"]["namespace"] == "visor-system"
    assert rules_of(lease) == LEASE
    # But for making one, it is this Lease and no other.
    assert rendered.arguments()["--lease-name"] == "visor-operator"
    for rule in lease["rules"]:
        assert rule["verbs"] == ["create"] or rule["resourceNames"] == ["visor-operator"]


def test_what_each_right_to_write_would_give_is_documented(default: Rendered) -> None:
    page = (ROOT / "docs" / "security.md").read_text()
    _, table = page.split("### What the operator's rights would give")
    table, _ = table.split("With cert-manager", 1)
    words = {
        "daemonsets": "workloads",
        "deployments": "workloads",
        "statefulsets": "workloads",
        "jobs": "workloads",
        "persistentvolumeclaims": "claims",
        "configmaps": "ConfigMaps",
        "mutatingwebhookconfigurations": "webhook configurations",
        "validatingwebhookconfigurations": "webhook configurations",
        "secrets": "Secrets",
        "leases": "Leases",
        "fakelogsources/status": "status of sources",
    }
    reported = [line.split("|")[1] for line in table.splitlines() if line.startswith("| to ")]
    roles = [bound(default, "ClusterRole", "visor"), bound(default, "Role", "visor-operator")]
    for role in roles:
        for (_, resource), verbs in rules_of(role).items():
            # Nothing is written with it: see its comment in the chart.
            if verbs <= {"get", "list", "watch"} or resource == "fakelogsources/finalizers":
                continue
            word = words.get(resource, resource)
            assert any(word in row for row in reported), (
                f"docs/security.md doesn't mention {resource}"
            )


def test_pod_monitors_are_a_right_only_where_they_are_configured() -> None:
    rights = rules_of(Rendered({**MONITORS, **NO_WEBHOOK}).one("ClusterRole", "visor"))
    assert rights == {**RIGHTS, ("monitoring.coreos.com", "podmonitors"): MAKES}


# A name that is a number unless it is quoted.
@pytest.mark.parametrize("namespace", ["team-a", "2026"])
def test_one_namespace_takes_no_cluster_role(namespace: str) -> None:
    rendered = Rendered({"watchNamespaces": [namespace]})
    assert not {"ClusterRole", "ClusterRoleBinding"} & rendered.kinds()
    role = bound(rendered, "Role", "visor")
    assert role["metadata"]["namespace"] == namespace
    assert rules_of(role) == RIGHTS
    lease = bound(rendered, "Role", "visor-operator")
    assert lease["metadata"]["namespace"] == "visor-system"
    assert rules_of(lease) == LEASE


def test_several_namespaces_take_a_role_in_each() -> None:
    rendered = Rendered({"watchNamespaces": ["team-a", "team-b"]})
    assert not {"ClusterRole", "ClusterRoleBinding"} & rendered.kinds()
    for kind in ("Role", "RoleBinding"):
        ours = [o["metadata"] for o in rendered.all(kind) if o["metadata"]["name"] == "visor"]
        assert [metadata["namespace"] for metadata in ours] == ["team-a", "team-b"]
    (container,) = rendered.pods()[0]["containers"]
    named = [word for word in container["args"] if word.startswith("--namespace=")]
    assert named == ["--namespace=team-a", "--namespace=team-b"]


def test_everybody_who_may_edit_a_namespace_may_edit_its_sources(default: Rendered) -> None:
    prefix = "rbac.authorization.k8s.io/aggregate-to-"
    allowed: dict[str, dict[tuple[str, str], set[str]]] = {"view": {}, "edit": {}, "admin": {}}
    for role in default.all("ClusterRole"):
        for label in role["metadata"]["labels"]:
            if label.startswith(prefix):
                allowed[label.removeprefix(prefix)] |= rules_of(role)
    assert allowed["admin"] == allowed["edit"]
    assert allowed["edit"][("visor.dev", "fakelogsources")] >= {"create", "patch", "delete"}
    assert ("visor.dev", "fakelogsources/status") not in allowed["edit"]
    for verbs in allowed["view"].values():
        assert verbs == {"get", "list", "watch"}
    assert len(Rendered({"aggregateRoles": False}).all("ClusterRole")) == 1


def test_rights_and_accounts_can_be_those_of_others() -> None:
    values = {
        "rbac": {"create": False},
        "serviceAccount": {"create": False, "name": "theirs"},
        "aggregateRoles": False,
    }
    rendered = Rendered(values)
    assert not [kind for kind in rendered.kinds() if "Role" in kind or "Account" in kind]
    assert rendered.pods()[0]["serviceAccountName"] == "theirs"


# --- The custom resource definition ---------------------------------------------------------------


def test_the_definition_is_the_generated_one_and_is_kept(default: Rendered) -> None:
    assert (CHART / "files" / "crd.yaml").read_bytes() == DEFINITION.read_bytes()
    rendered = default.one("CustomResourceDefinition")
    assert rendered["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    del rendered["metadata"]["labels"]
    (served,) = rendered["spec"]["versions"]
    # See above: not every server knows them.
    del served["selectableFields"]
    assert [rendered] == load(DEFINITION.read_text())


def without_rules(schema: object) -> object:
    if isinstance(schema, list):
        return [without_rules(item) for item in schema]
    if isinstance(schema, dict):
        rules = "x-kubernetes-validations"
        return {key: without_rules(value) for key, value in schema.items() if key != rules}
    return schema


@pytest.mark.parametrize(("version", "has_rules"), [("1.27.16", False), ("1.28.0", True)])
def test_an_old_server_gets_a_definition_that_it_takes(version: str, has_rules: bool) -> None:
    rendered = Rendered({}, "--kube-version", version).one("CustomResourceDefinition")
    (generated,) = load(DEFINITION.read_text())
    assert without_rules(generated) != generated
    assert rendered["spec"] == (generated if has_rules else without_rules(generated))["spec"]


def test_the_definition_can_be_those_of_others() -> None:
    assert "CustomResourceDefinition" not in Rendered({"crds": {"install": False}}).kinds()


def test_a_definition_of_another_shape_is_rejected(tmp_path: Path) -> None:
    chart = shutil.copytree(CHART, tmp_path / "visor")
    definition = chart / "files" / "crd.yaml"
    definition.write_text(
        definition.read_text().replace("metadata:\n", "metadata:\n  labels: {}\n")
    )
    done = template({}, chart=chart)
    assert done.returncode != 0 and "files/crd.yaml" in done.stderr


def test_the_definition_is_small_enough_for_kubectl_apply() -> None:
    # What was applied last is kept in an annotation, and those of an object have 256 KiB.
    (definition,) = load(DEFINITION.read_text())
    assert len(json.dumps(definition)) < 250 * 1024
