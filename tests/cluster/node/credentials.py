"""Who is who: a certificate authority, certificates of the API server and the kubelet, a token and
a kubeconfig for each of the cluster's users."""

from __future__ import annotations

import base64
import secrets

from node import settings
from node.files import command, write

# The user, its user name, and its groups.
USERS = {
    "admin": ("admin", "system:masters"),
    "kube-controller-manager": ("system:kube-controller-manager", "system:masters"),
    "kube-scheduler": ("system:kube-scheduler", ""),
    "kube-proxy": ("system:kube-proxy", ""),
    "kube-dns": ("system:kube-dns", "system:masters"),
    "kubelet": (f"system:node:{settings.NAME}", "system:nodes"),
}

SERVER_NAMES = (
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)
SERVER_ADDRESSES = ("127.0.0.1", settings.NODE, settings.FIRST_SERVICE)


def make() -> None:
    """Writes all of it."""
    certificate("ca", f"/CN={settings.NAME}", AUTHORITY)
    names = [f"DNS:{name}" for name in SERVER_NAMES] + [f"IP:{ip}" for ip in SERVER_ADDRESSES]
    serving = ("extendedKeyUsage=serverAuth", f"subjectAltName={','.join(names)}")
    certificate("serving", f"/CN={settings.NAME}", serving)
    client = ("extendedKeyUsage=clientAuth",)
    certificate("client", "/O=system:masters/CN=apiserver", client)
    key = settings.PKI / "service-accounts.key"
    command("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
    kubeconfigs()


AUTHORITY = (
    "basicConstraints=critical,CA:TRUE",
    "keyUsage=critical,keyCertSign,cRLSign,digitalSignature",
)


def certificate(name: str, subject: str, extensions: tuple[str, ...]) -> None:
    """Makes pki/NAME.key and pki/NAME.crt, signed by the authority unless it is that."""
    configuration = write(settings.PKI / "openssl.cnf", "[req]\ndistinguished_name=dn\n[dn]\n")
    words = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650"
    pki = settings.PKI
    files = ("-config", configuration, "-keyout", pki / f"{name}.key", "-out", pki / f"{name}.crt")
    signed = () if name == "ca" else ("-CA", pki / "ca.crt", "-CAkey", pki / "ca.key")
    added = [word for extension in extensions for word in ("-addext", extension)]
    command(*words.split(), "-subj", subject, *files, *signed, *added)


def kubeconfigs() -> None:
    """Writes etc/USER.kubeconfig for each user, and the tokens for the API server."""
    tokens = {user: secrets.token_hex(20) for user in USERS}
    rows = [f'{tokens[user]},{name},{user},"{groups}"' for user, (name, groups) in USERS.items()]
    write(settings.ETC / "tokens.csv", "\n".join(rows) + "\n", 0o600)
    for user, token in tokens.items():
        write(settings.ETC / f"{user}.kubeconfig", kubeconfig(user, token), 0o600)


def kubeconfig(user: str, token: str) -> dict[str, object]:
    authority = base64.b64encode((settings.PKI / "ca.crt").read_bytes()).decode()
    cluster = {"server": settings.API, "certificate-authority-data": authority}
    name = settings.NAME
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": user}}],
        "current-context": name,
    }
