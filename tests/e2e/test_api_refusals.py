"""Rejections by the API server because of a quota, a webhook, an administrator, or a terminating
namespace. They are reported with the server's message, retried, and resolved when the cause is
gone."""

from __future__ import annotations

import json
import re
import ssl
import subprocess
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from support.audit import WRITES, Audit
from support.clusters import NET, Cluster
from support.documents import Object
from support.kubernetes import Kubernetes
from support.operators import Operators
from support.sources import Source, apply, shop
from support.tools import tool

WHOLE = {"ConfigMap", "Service", "Deployment"}


def is_served(source: Source) -> None:
    source.kubernetes.wait_for("all children", lambda: set(source.children()) == WHOLE)
    source.is_ready()
    assert source.wait_for("Accepted").reason == "Valid"


def warnings(source: Source) -> list[str]:
    events = source.kubernetes.list("events")
    ours = [e for e in events if e["involvedObject"].get("uid") == source.uid]
    return [e["reason"] for e in ours if e["type"] == "Warning"]


def test_a_quota(namespace: Kubernetes) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"}}
    namespace.apply({**quota, "spec": {"hard": {"count/services": "0"}}})
    namespace.wait_for("its count", lambda: "used" in namespace.get("quota", "few")["status"])
    source = apply(namespace, shop())
    rejected = source.wait_for("Accepted", "False", "Forbidden")
    assert "exceeded quota: few" in rejected.message and "Service" in rejected.message
    assert source.wait_for("Ready", "False", "Forbidden").message == rejected.message
    assert "Deployment" not in source.children()
    namespace.delete("quota", "few")
    is_served(source)
    assert warnings(source) == ["Forbidden"]


@contextmanager
def refusing_webhook(
    cluster: Cluster, kubernetes: Kubernetes, directory: Path
) -> Iterator[threading.Event]:
    """A webhook that denies all Deployments of the namespace, until the event is set."""
    cluster.need_own("it serves a webhook from this machine")
    host, relents = f"{NET}.0.1", threading.Event()
    certificate, key = directory / "tls.crt", directory / "tls.key"
    subprocess.run(
        [
            *(tool("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"),
            *("-subj", "/CN=webhook", "-addext", f"subjectAltName=IP:{host}"),
            *("-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = {"uid": review["request"]["uid"], "allowed": relents.is_set()}
            answer["status"] = {"message": "not on a Thursday", "code": 403}
            content = json.dumps({**review, "request": None, "response": answer}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer((host, 0), Webhook) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        name = kubernetes.namespace
        rule = {"apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"]}
        webhook = {
            "name": "thursdays.shop.example",
            "clientConfig": {
                "url": f"https://{host}:{server.server_port}/",
                "caBundle": b64encode(certificate.read_bytes()).decode(),
            },
            "rules": [{**rule, "operations": ["CREATE", "UPDATE"]}],
            "namespaceSelector": {"matchLabels": {"shop.example/thursdays": name}},
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
        }
        kind = "ValidatingWebhookConfiguration"
        kubernetes.run("label", "namespace", name, f"shop.example/thursdays={name}")
        kubernetes.apply(
            {
                "apiVersion": "admissionregistration.k8s.io/v1",
                "kind": kind,
                "metadata": {"name": name},
                "webhooks": [webhook],
            }
        )
        try:
            yield relents
        finally:
            kubernetes.delete(kind, name)
            server.shutdown()


def test_a_webhook(cluster: Cluster, namespace: Kubernetes, tmp_path: Path) -> None:
    with refusing_webhook(cluster, namespace, tmp_path) as relents:
        # It takes the API server a moment to know of it.
        probe = shop()
        namespace.wait_for("a refusal", lambda: is_rejected(namespace))
        source = apply(namespace, probe)
        rejected = source.wait_for("Accepted", "False", "Forbidden")
        assert "not on a Thursday" in rejected.message and "thursdays" in rejected.message
        relents.set()
        is_served(source)
        assert warnings(source) == ["Forbidden"]


def is_rejected(kubernetes: Kubernetes) -> bool:
    words = ("create", "deployment", "probe", "--image=none", "--dry-run=server")
    done = subprocess.run([*kubernetes.command(), *words], capture_output=True, text=True)
    return "not on a Thursday" in done.stderr


def test_rights_that_are_taken_away_and_given_back(
    cluster: Cluster, operators: Operators, namespace: Kubernetes
) -> None:
    cluster.need_own("it changes what the operator may do")
    role = namespace.get("clusterrole", operators.release)
    running = apply(namespace, {**shop(), "metadata": {"name": "running"}})
    is_served(running)
    before = running.pod().uid

    def allow(*rules: object) -> None:
        patch = json.dumps([{"op": "replace", "path": "/rules", "value": list(rules)}])
        namespace.run("patch", "clusterrole", role["metadata"]["name"], "--type=json", "-p", patch)

    audit = Audit(cluster)
    account = f"{operators.kubernetes.namespace}:{operators.release}"
    try:
        # It may read workloads, but not create any.
        reads = [{**r, "verbs": ["get", "list", "watch"]} for r in role["rules"]]
        allow(*(reads[i] if "apps" in r["apiGroups"] else r for i, r in enumerate(role["rules"])))
        source = apply(namespace, {**shop(), "metadata": {"name": "late"}})
        rejected = source.wait_for("Accepted", "False", "Forbidden")
        assert re.search('cannot create resource "deployments"', rejected.message)
        # It may not write pods: they get their document later, and their status is reported.
        allow(*({**r, "verbs": ["list", "watch"]} if is_of_pods(r) else r for r in role["rules"]))
        rejections = audit.count(account, code=403)
        running.change(suspend=True)
        running.wait_for("Ready", reason="Suspended")
        running.change(suspend=False)
        running.is_ready()
        assert audit.count(account, code=403) > rejections
        # And now nothing at all, not even look.
        allow()
        rejections = audit.count(account, code=403)
        running.change(replicas=2)
        namespace.wait_for("refusals", lambda: audit.count(account, code=403) > rejections + 5)
    finally:
        allow(*role["rules"])
    is_served(source)
    running.is_ready()
    assert len(running.pods()) == 2 and before in {pod.uid for pod in running.pods()}
    for each in (source, running):
        assert warnings(each) in (["Forbidden"], [])


def is_of_pods(rule: Object) -> bool:
    return "pods" in rule["resources"]


def test_a_namespace_that_is_about_to_go(
    cluster: Cluster, operators: Operators, namespace: Kubernetes
) -> None:
    sources = [
        apply(namespace, {**shop(), "metadata": {"name": f"shop-{number}"}}) for number in range(3)
    ]
    for source in sources:
        is_served(source)
    audit = Audit(cluster)
    namespace.delete("namespace", namespace.namespace)
    namespace.wait_until_gone("namespace", namespace.namespace)
    requests = audit.requests(f"{operators.kubernetes.namespace}:{operators.release}")
    writes = [
        r for r in requests if r.verb in WRITES and r.what.get("namespace") == namespace.namespace
    ]
    # Each deletion is an event, and it tries to recreate the object at most once for each.
    assert len(writes) <= 3 * 10, [(r.verb, r.what) for r in writes]
    output_text = operators.logs(200)
    assert "reconcile failed" not in [
        line for line in output_text.splitlines() if namespace.namespace in line
    ]
