"""The daemons of a one-node Kubernetes, and their flags."""

from __future__ import annotations

import shutil

from node import settings
from node.configuration import AUDIT, PAUSE
from node.files import command
from node.processes import spawn

ETCD = "http://127.0.0.1:12379"
ETCD_PEER = "http://127.0.0.1:12380"
PKI, ETC = settings.PKI, settings.ETC
FLEX_VOLUMES = f"--flex-volume-plugin-dir={settings.PRIVATE}/flexvolumes"


def user(name: str) -> str:
    return f"--kubeconfig={ETC}/{name}.kubeconfig"


def etcd() -> None:
    program = shutil.which("etcd", path=settings.environment()["PATH"]) or "etcd"
    # Nothing here has to survive a power cut. Not every release can do without, though.
    fast = ["--unsafe-no-fsync"] if "--unsafe-no-fsync" in command(program, "--help") else []
    spawn(
        "etcd",
        program,
        f"--data-dir={settings.DIRECTORY}/etcd",
        f"--listen-client-urls={ETCD}",
        f"--advertise-client-urls={ETCD}",
        f"--listen-peer-urls={ETCD_PEER}",
        f"--initial-advertise-peer-urls={ETCD_PEER}",
        f"--initial-cluster=default={ETCD_PEER}",
        *fast,
    )


def apiserver() -> None:
    spawn(
        "kube-apiserver",
        "kube-apiserver",
        f"--etcd-servers={ETCD}",
        "--secure-port=16443",
        f"--advertise-address={settings.NODE}",
        "--allow-privileged=true",
        f"--tls-cert-file={PKI}/serving.crt",
        f"--tls-private-key-file={PKI}/serving.key",
        f"--client-ca-file={PKI}/ca.crt",
        f"--token-auth-file={ETC}/tokens.csv",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--service-cluster-ip-range={settings.SERVICES}",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={PKI}/service-accounts.key",
        f"--service-account-signing-key-file={PKI}/service-accounts.key",
        f"--kubelet-certificate-authority={PKI}/ca.crt",
        f"--kubelet-client-certificate={PKI}/client.crt",
        f"--kubelet-client-key={PKI}/client.key",
        "--kubelet-preferred-address-types=InternalIP",
        f"--audit-policy-file={AUDIT}",
        f"--audit-log-path={settings.LOG}/audit.log",
    )


def containerd() -> None:
    spawn("containerd", "containerd", f"--config={ETC}/containerd.toml")


def controller_manager() -> None:
    spawn(
        "kube-controller-manager",
        "kube-controller-manager",
        user("kube-controller-manager"),
        "--leader-elect=false",
        "--port=0",
        f"--root-ca-file={PKI}/ca.crt",
        f"--service-account-private-key-file={PKI}/service-accounts.key",
        f"--cluster-signing-cert-file={PKI}/ca.crt",
        f"--cluster-signing-key-file={PKI}/ca.key",
        FLEX_VOLUMES,
        # It makes volumes for claims, as directories of the node.
        "--enable-hostpath-provisioner=true",
        "--kube-api-qps=100",
        "--kube-api-burst=200",
    )


def scheduler() -> None:
    spawn(
        "kube-scheduler",
        "kube-scheduler",
        user("kube-scheduler"),
        "--leader-elect=false",
        "--port=0",
    )


def kubelet() -> None:
    spawn(
        "kubelet",
        "kubelet",
        user("kubelet"),
        f"--config={ETC}/kubelet.json",
        f"--hostname-override={settings.NAME}",
        f"--node-ip={settings.NODE}",
        "--container-runtime=remote",
        f"--container-runtime-endpoint=unix://{settings.SOCKET}",
        f"--pod-infra-container-image={PAUSE}",
    )


def dns() -> None:
    spawn("kube-dns", "kube-dns", user("kube-dns"), f"--listen={settings.NODE}:53")


def proxy() -> None:
    """To be started when the node is known: it asks for it."""
    spawn(
        "kube-proxy",
        "kube-proxy",
        user("kube-proxy"),
        f"--cluster-cidr={settings.PODS}",
        f"--hostname-override={settings.NAME}",
        "--proxy-mode=iptables",
        # These are the machine's, and stay as they are.
        "--conntrack-max-per-core=0",
        "--conntrack-min=0",
        "--conntrack-tcp-timeout-established=0",
        "--conntrack-tcp-timeout-close-wait=0",
    )
