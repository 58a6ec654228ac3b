"""Requests of `up` to the API server while it waits for the cluster."""

from __future__ import annotations

import json
import ssl
import urllib.request

from node import settings

# As every cluster for developers has one: a claim gets a volume without a word.
STORAGE_CLASS = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {
        "name": "standard",
        "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
    },
    "provisioner": "kubernetes.io/host-path",
}


def get(path: str) -> str:
    """The response to a GET; empty if there is none, or an error."""
    try:
        return ask(path)
    except OSError:
        return ""


def ask(path: str, content: dict[str, object] | None = None) -> str:
    """The answer to a GET, or with content to a POST."""
    kubeconfig = json.loads(settings.ADMIN.read_text())
    token = kubeconfig["users"][0]["user"]["token"]
    trust = ssl.create_default_context(cafile=str(settings.PKI / "ca.crt"))
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust)
    )
    data = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(settings.API + path, data)
    request.add_header("Authorization", f"Bearer {token}")
    request.add_header("Content-Type", "application/json")
    return opener.open(request, timeout=5).read().decode()


def make_storage_class() -> None:
    ask("/apis/storage.k8s.io/v1/storageclasses", STORAGE_CLASS)


def server_ready() -> bool:
    return get("/readyz") == "ok"


def node_ready() -> bool:
    node = json.loads(get(f"/api/v1/nodes/{settings.NAME}") or "{}")
    conditions = node.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def pods_admitted() -> bool:
    """A pod is admitted once its namespace has a service account, and that a token."""
    account = json.loads(get("/api/v1/namespaces/default/serviceaccounts/default") or "{}")
    return bool(account.get("secrets"))
