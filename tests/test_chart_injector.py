"""What the chart does so that generators are put into other people's pods: when the API server asks
the operator, by whose certificate, what the operator may do for it; and the sample of such a pod.
The rest of the chart is tested in test_chart.py."""

from __future__ import annotations

import json
import subprocess
from itertools import product
from pathlib import Path

import pytest
import yaml

from chart.rendering import CHART, ROOT, Object, Rendered, load, template
from support.tools import tool

SAMPLES = ROOT / "manifests" / "samples"
SIDECAR = SAMPLES / "sidecar"

CERT_MANAGER: Object = {"injector": {"certificates": {"certManager": {"enabled": True}}}}
OFF: Object = {"injector": {"enabled": False}}
NO_WEBHOOK: Object = {**OFF, "validation": {"enabled": False}}
ONE_NAMESPACE: Object = {"watchNamespaces": ["team-a"]}
UNOWNED_PODS = ["kube-system", "kube-node-lease", "visor-system"]


@pytest.fixture(scope="module")
def default() -> Rendered:
    return Rendered()


@pytest.fixture(scope="module")
def managed() -> Rendered:
    return Rendered(CERT_MANAGER)


def webhooks(rendered: Rendered) -> list[Object]:
    return rendered.one("MutatingWebhookConfiguration", "visor-webhook")["webhooks"]


# --- When the API server asks ---------------------------------------------------------------------


def test_the_configuration_is_as_agreed(default: Rendered) -> None:
    exclusion = {
        "key": "kubernetes.io/metadata.name",
        "operator": "NotIn",
        "values": UNOWNED_PODS,
    }
    asked = {"key": "visor.dev/inject", "operator": "In", "values": ["true"]}
    speaks = {"key": "visor.dev/inject", "operator": "Exists"}
    declines = {"key": "visor.dev/inject", "operator": "NotIn", "values": ["false"]}
    silent = {"key": "visor.dev/inject", "operator": "DoesNotExist"}
    call = {
        "rules": [
            {
                "operations": ["CREATE"],
                "apiGroups": [""],
                "apiVersions": ["v1"],
                "resources": ["pods"],
                "scope": "Namespaced",
            }
        ],
        "clientConfig": {
            "service": {
                "name": "visor-webhook",
                "namespace": "visor-system",
                "path": "/inject",
                "port": 443,
            }
        },
        "admissionReviewVersions": ["v1"],
        "failurePolicy": "Ignore",
        "timeoutSeconds": 5,
        "sideEffects": "None",
        "matchPolicy": "Equivalent",
        "reinvocationPolicy": "IfNeeded",
    }
    assert webhooks(default) == [
        {
            "name": "pods.inject.visor.dev",
            "objectSelector": {"matchExpressions": [speaks, declines]},
            "namespaceSelector": {"matchExpressions": [exclusion]},
            **call,
        },
        {
            "name": "namespaces.inject.visor.dev",
            "objectSelector": {"matchExpressions": [silent]},
            "namespaceSelector": {"matchExpressions": [asked, exclusion]},
            **call,
        },
    ]


def selects(selector: Object, labels: dict[str, str]) -> bool:
    """Whether a selector takes an object with these labels, as Kubernetes has it: what has no such
    label is not in any set."""

    def holds(requirement: Object) -> bool:
        value = labels.get(requirement["key"])
        match requirement["operator"]:
            case "Exists":
                return value is not None
            case "DoesNotExist":
                return value is None
            case "In":
                return value in requirement["values"]
            case "NotIn":
                return value not in requirement["values"]
        raise AssertionError(requirement)

    return all(map(holds, selector["matchExpressions"]))


def test_the_operator_is_asked_once_about_who_asks_for_it_and_never_about_others(
    default: Rendered,
) -> None:
    answers = (None, "true", "false", "yes")
    for name, namespace, pod in product([*UNOWNED_PODS, "team-a"], answers, answers):
        of_namespace = {"kubernetes.io/metadata.name": name}
        of_namespace |= {"visor.dev/inject": namespace} if namespace else {}
        of_pod = {"app": "shop"} | ({"visor.dev/inject": pod} if pod else {})
        called = [
            webhook["name"]
            for webhook in webhooks(default)
            if selects(webhook["namespaceSelector"], of_namespace)
            and selects(webhook["objectSelector"], of_pod)
        ]
        wanted: list[str] = []
        if name not in UNOWNED_PODS:
            # Any other value returns a warning.
            if pod in ("true", "yes"):
                wanted = ["pods.inject.visor.dev"]
            elif pod is None and namespace == "true":
                wanted = ["namespaces.inject.visor.dev"]
        assert called == wanted, (name, namespace, pod)


def test_the_namespace_of_the_release_is_quoted() -> None:
    # A name that is a number unless it is quoted.
    rendered = Rendered({}, "--namespace", "2026")
    for webhook in webhooks(rendered):
        assert webhook["clientConfig"]["service"]["namespace"] == "2026"
        assert webhook["namespaceSelector"]["matchExpressions"][-1]["values"][-1] == "2026"


def test_how_long_a_pod_may_wait_is_a_value() -> None:
    rendered = Rendered({"injector": {"timeoutSeconds": 2}})
    assert [webhook["timeoutSeconds"] for webhook in webhooks(rendered)] == [2, 2]


def test_the_service_leads_to_the_operators(default: Rendered) -> None:
    service = default.one("Service", "visor-webhook")
    operator = default.one("Deployment")["spec"]["template"]
    assert service["spec"]["selector"].items() <= operator["metadata"]["labels"].items()
    (port,) = service["spec"]["ports"]
    ports = {port["name"]: port for port in operator["spec"]["containers"][0]["ports"]}
    assert port["port"] == webhooks(default)[0]["clientConfig"]["service"]["port"]
    number = ports[port["targetPort"]]["containerPort"]
    assert default.arguments()["--webhook-listen"] == f":{number}"


# --- Where it is switched off ---------------------------------------------------------------------


def text_of(rendered: Rendered) -> str:
    """All of it but the definition, whose words are about injection, too."""
    objects = [o for o in rendered.objects if o["kind"] != "CustomResourceDefinition"]
    return json.dumps(objects)


@pytest.mark.parametrize(
    "values",
    [NO_WEBHOOK, ONE_NAMESPACE, {**ONE_NAMESPACE, **CERT_MANAGER}],
    ids=["off", "one namespace", "one namespace with cert-manager"],
)
def test_there_is_nothing_of_it(values: Object) -> None:
    rendered = Rendered({**values, "networkPolicy": {"enabled": True}})
    absent = {"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"}
    absent |= {"Certificate", "Issuer"}
    assert not absent & rendered.kinds()
    text = text_of(rendered)
    for word in ("webhook", "inject", "9443", "sidecar", "secrets", "certificate"):
        assert word not in text, word


def test_sources_are_reviewed_as_they_are_written_and_scaled(default: Rendered) -> None:
    (webhook,) = default.one("ValidatingWebhookConfiguration", "visor-webhook")["webhooks"]
    (rule,) = webhook["rules"]
    assert rule["operations"] == ["CREATE", "UPDATE"]
    assert rule["resources"] == ["fakelogsources", "fakelogsources/scale"]
    assert webhook["clientConfig"]["service"]["path"] == "/validate"
    for value, wanted in ((None, True), ("true", True), ("false", False)):
        labels = {"visor.dev/validate": value} if value else {}
        assert selects(webhook["namespaceSelector"], labels) == wanted
    # Without a response, it is admitted.
    assert webhook["failurePolicy"] == "Ignore" and webhook["sideEffects"] == "None"
    assert default.arguments()["--validate"] == ""
    alone = Rendered(OFF)
    assert "--inject" not in alone.arguments() and "--validate" in alone.arguments()
    assert alone.one("Service", "visor-webhook")
    by_cert_manager = Rendered(CERT_MANAGER).one("ValidatingWebhookConfiguration")
    annotations = by_cert_manager["metadata"]["annotations"]
    assert annotations == {"cert-manager.io/inject-ca-from": "visor-system/visor-webhook"}


# --- The certificate ------------------------------------------------------------------------------


def test_the_operator_keeps_the_certificate_by_itself(default: Rendered) -> None:
    flags = default.arguments()
    assert flags["--inject"] == ""
    assert flags["--webhook-service"] == "visor-webhook"
    assert flags["--webhook-configuration"] == "visor-webhook"
    assert flags["--webhook-secret"] == "visor-webhook"
    assert "--webhook-certificate-directory" not in flags
    # It is the operator's to make: what Helm makes it also deletes and overwrites.
    assert not {"Secret", "Certificate", "Issuer"} & default.kinds()
    assert "annotations" not in default.one("MutatingWebhookConfiguration")["metadata"]


@pytest.mark.parametrize(
    "values",
    [{}, CERT_MANAGER, {"injector": {"timeoutSeconds": 30, "sidecarForm": "Plain"}}],
    ids=["default", "cert-manager", "other values"],
)
@pytest.mark.parametrize("options", [[], ["--is-upgrade"]], ids=["install", "upgrade"])
def test_helm_leaves_alone_whom_the_api_server_trusts(values: Object, options: list[str]) -> None:
    """`helm upgrade` performs a three-way merge of the last release, this one, and the cluster. It
    deletes fields that only the last release has, and writes those of this one; a field that
    neither has ever had is in no patch. Webhooks are merged by their names. So the operator's
    caBundle is kept exactly if no release ever has this field, not even an empty one, and the
    webhooks have the same names in all of them."""
    rendered = Rendered(values, *options)
    assert "caBundle" not in text_of(rendered)
    names = [webhook["name"] for webhook in webhooks(rendered)]
    assert names == ["pods.inject.visor.dev", "namespaces.inject.visor.dev"]


def test_cert_manager_keeps_the_certificate(managed: Rendered) -> None:
    flags = managed.arguments()
    assert "--inject" in flags
    own = {"--webhook-service", "--webhook-configuration", "--webhook-secret"}
    assert not own & flags.keys()
    certificate = managed.one("Certificate", "visor-webhook")["spec"]
    annotations = managed.one("MutatingWebhookConfiguration")["metadata"]["annotations"]
    assert annotations == {"cert-manager.io/inject-ca-from": "visor-system/visor-webhook"}
    assert certificate["dnsNames"] == [
        "visor-webhook",
        "visor-webhook.visor-system",
        "visor-webhook.visor-system.svc",
        "visor-webhook.visor-system.svc.cluster.local",
    ]
    assert certificate["usages"] == ["digital signature", "server auth"]
    # What it writes is what the operator reads.
    operator = managed.pods()[0]
    (volume,) = operator["volumes"]
    (mount,) = operator["containers"][0]["volumeMounts"]
    assert volume["secret"] == {"secretName": certificate["secretName"], "optional": True}
    assert mount == {
        "name": volume["name"],
        "mountPath": flags["--webhook-certificate-directory"],
        "readOnly": True,
    }
    # Never the Secret that the operator made before cert-manager was asked.
    assert certificate["secretName"] != Rendered().arguments()["--webhook-secret"]


def test_without_an_issuer_there_is_an_authority_that_outlives_the_certificate(
    managed: Rendered,
) -> None:
    def issuer_of(certificate: Object) -> Object:
        issuer = certificate["spec"]["issuerRef"]
        assert issuer["kind"] == "Issuer"
        return managed.one("Issuer", issuer["name"])["spec"]

    signed_by = issuer_of(managed.one("Certificate", "visor-webhook"))
    authority = managed.one("Certificate", "visor-webhook-authority")
    assert signed_by == {"ca": {"secretName": authority["spec"]["secretName"]}}
    assert authority["spec"]["isCA"] is True
    assert issuer_of(authority) == {"selfSigned": {}}


def test_an_issuer_of_ones_own_signs_the_certificate() -> None:
    issuer = {"name": "company", "kind": "ClusterIssuer"}
    certificates = {"certManager": {"enabled": True, "issuerRef": issuer}}
    rendered = Rendered({"injector": {"certificates": certificates}})
    assert rendered.one("Certificate")["spec"]["issuerRef"] == issuer
    assert "Issuer" not in rendered.kinds()


@pytest.mark.parametrize(
    "issuer", [{"kind": "ClusterIssuer"}, {"name": ""}, {"name": "a", "namespace": "b"}]
)
def test_half_an_issuer_is_rejected(issuer: Object) -> None:
    certificates = {"certManager": {"enabled": True, "issuerRef": issuer}}
    done = template({"injector": {"certificates": certificates}})
    assert done.returncode != 0 and "issuerRef" in done.stderr


def test_long_names_stay_names_of_services() -> None:
    rendered = Rendered({"fullnameOverride": "v" * 63, **CERT_MANAGER})
    (service,) = [s for s in rendered.all("Service") if "webhook" in s["metadata"]["name"]]
    name = service["metadata"]["name"]
    assert len(name) == 63
    for webhook in rendered.one("MutatingWebhookConfiguration", name)["webhooks"]:
        assert webhook["clientConfig"]["service"]["name"] == name


# --- The form of the container --------------------------------------------------------------------


@pytest.mark.parametrize("form", ["Auto", "Native", "Plain"])
def test_the_form_is_handed_on(form: str) -> None:
    rendered = Rendered({"injector": {"sidecarForm": form}}, "--kube-version", "1.29.0")
    assert rendered.arguments()["--sidecar-form"] == form


def test_a_form_that_would_delay_pods_is_rejected() -> None:
    # A server that doesn't know `restartPolicy` there waits for an init container that never ends.
    for version, form, taken in [
        ("1.28.9", "Native", False),
        ("1.28.9", "Auto", True),
        ("1.20.2", "Plain", True),
        ("1.29.0-gke.100", "Native", True),
    ]:
        done = template({"injector": {"sidecarForm": form}}, "--kube-version", version)
        assert (done.returncode == 0) == taken, (version, form)
        assert taken or "choose Auto or Plain" in done.stderr


# --- What the operator may do for it, and who may speak with it -----------------------------------

Right = tuple[str, str, tuple[str, ...], frozenset[str]]


def rights(rendered: Rendered, kind: str, name: str) -> set[Right]:
    """The rules of a role: group, resource, the names that they are for (if any), verbs."""
    return {
        (group, resource, tuple(rule.get("resourceNames", [])), frozenset(rule["verbs"]))
        for rule in rendered.one(kind, name)["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


NAMESPACES: Right = ("", "namespaces", (), frozenset({"get", "list", "watch"}))
LIMIT_RANGES: Right = ("", "limitranges", (), frozenset({"list", "watch"}))
CONFIGURATION: Right = (
    "admissionregistration.k8s.io",
    "mutatingwebhookconfigurations",
    ("visor-webhook",),
    frozenset({"get", "list", "watch", "patch"}),
)
VALIDATING: Right = (CONFIGURATION[0], "validatingwebhookconfigurations", *CONFIGURATION[2:])
NOT_VALIDATED: Object = {"validation": {"enabled": False}}
SECRETS: set[Right] = {
    ("", "secrets", (), frozenset({"create"})),
    ("", "secrets", ("visor-webhook",), frozenset({"get", "list", "watch", "update", "patch"})),
}


@pytest.mark.parametrize(
    ("values", "everywhere", "at_home"),
    [
        (NOT_VALIDATED, {NAMESPACES, LIMIT_RANGES, CONFIGURATION}, SECRETS),
        ({**NOT_VALIDATED, **CERT_MANAGER}, {NAMESPACES, LIMIT_RANGES}, set()),
        (OFF, {VALIDATING}, SECRETS),
        ({"injector": {**OFF["injector"], **CERT_MANAGER["injector"]}}, set(), set()),
    ],
    ids=["injector", "injector, cert-manager", "validation", "validation, cert-manager"],
)
def test_each_webhook_takes_these_rights_and_no_others(
    values: Object, everywhere: set[Right], at_home: set[Right]
) -> None:
    on, off = Rendered(values), Rendered(NO_WEBHOOK)
    cluster = ("ClusterRole", "visor")
    assert rights(on, *cluster) - rights(off, *cluster) == everywhere
    assert rights(off, *cluster) <= rights(on, *cluster)
    role = ("Role", "visor-operator")
    assert rights(on, *role) - rights(off, *role) == at_home
    assert rights(off, *role) <= rights(on, *role)
    assert on.one(*role)["metadata"]["namespace"] == "visor-system"
    # No role besides these two.
    managed = "certificates" in values.get("injector", {})
    assert len(on.objects) - len(off.objects) == (6 if managed else 2)
    for kind in ("ClusterRole", "Role"):
        assert len(on.all(kind)) == len(off.all(kind))


def test_the_network_policy_lets_the_api_server_in_and_the_operator_out_to_injected_pods() -> None:
    allowed: Object = {"networkPolicy": {"enabled": True}}
    on = Rendered(allowed).one("NetworkPolicy")["spec"]
    off = Rendered({**allowed, **NO_WEBHOOK}).one("NetworkPolicy")["spec"]
    asked = {"ports": [{"protocol": "TCP", "port": 9443}]}
    assert on["ingress"] == [*off["ingress"], asked]
    *_, pods = on["egress"]
    *_, generators = off["egress"]
    requirement = {"key": "visor.dev/source", "operator": "Exists"}
    injected = {"namespaceSelector": {}, "podSelector": {"matchExpressions": [requirement]}}
    assert pods == {**generators, "to": [*generators["to"], injected]}


# --- The sample -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def source() -> Object:
    (source,) = load((SIDECAR / "source.yaml").read_text())
    return source


@pytest.fixture(scope="module")
def workload() -> dict[str, Object]:
    return {made["kind"]: made for made in load((SIDECAR / "workload.yaml").read_text())}


def test_the_sample_asks_for_its_source(source: Object, workload: dict[str, Object]) -> None:
    assert source["spec"]["workload"] == "Sidecar"
    template = workload["Deployment"]["spec"]["template"]
    assert template["metadata"]["labels"]["visor.dev/inject"] == "true"
    annotations = template["metadata"]["annotations"]
    assert annotations["visor.dev/source"] == source["metadata"]["name"]
    volumes = {volume["name"]: volume for volume in template["spec"]["volumes"]}
    assert annotations["visor.dev/volume"] in volumes
    # What is injected has these names, and the operator's ConfigMap has the source's.
    assert not {"visor-logs", "visor-document"} & volumes.keys()
    assert source["metadata"]["name"] not in [o["metadata"]["name"] for o in workload.values()]


def test_the_pod_of_the_sample_meets_the_restricted_standard(workload: dict[str, Object]) -> None:
    pod = workload["Deployment"]["spec"]["template"]["spec"]
    context = pod["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}


def test_the_collector_reads_what_is_written_where_the_pod_has_it(
    source: Object, workload: dict[str, Object], tmp_path: Path
) -> None:
    template = workload["Deployment"]["spec"]["template"]
    (collector,) = template["spec"]["containers"]
    beside = yaml.safe_load((SAMPLES / "collector" / "source.yaml").read_text())
    assert collector["image"] == beside["spec"]["podTemplate"]["containers"][0]["image"]
    mounts = {mount["name"]: mount["mountPath"] for mount in collector["volumeMounts"]}
    assert mounts.keys() == {volume["name"] for volume in template["spec"]["volumes"]}
    volume = template["metadata"]["annotations"]["visor.dev/volume"]
    configuration = workload["ConfigMap"]["data"]["rsyslog.conf"]
    (generator,) = source["spec"]["generators"]
    path = generator["output"]["file"]["path"]
    assert f'file="{mounts[volume]}/{path}"' in configuration
    file = tmp_path / "rsyslog.conf"
    # It wants to see the directory that it is going to write to.
    state = mounts["state"]
    assert state in configuration
    file.write_text(configuration.replace(state, str(tmp_path)))
    done = subprocess.run([tool("rsyslogd"), "-N1", "-f", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# --- The page -------------------------------------------------------------------------------------


def test_the_page_documents_every_value() -> None:
    page = (ROOT / "docs" / "injection.md").read_text()
    schema = json.loads((CHART / "values.schema.json").read_text())
    injector = schema["properties"]["injector"]["properties"]
    for name in injector.keys() - {"certificates"}:
        assert f"injector.{name}" in page
    assert "injector.certificates.certManager.enabled" in page
