"""The control plane: etcd, the API server, the controller manager and the scheduler, as processes of the host."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Protocol

from tests.cluster.bed import certs, processes
from tests.cluster.bed.names import API_PORT, Bed

ADMISSION = "NodeRestriction,PodNodeSelector,PodTolerationRestriction"
"""On top of the API server's defaults; PodNodeSelector is what Capsule's nodeSelector relies on."""
ETCD_PORT, SCHEDULER_PORT, MANAGER_PORT = 2379, 10259, 10257
TIMEOUT_S = 10


class Programs(Protocol):
    """The part of binaries.Binaries that is used here."""

    @property
    def kube(self) -> Path: ...
    @property
    def etcd(self) -> Path: ...


def start_api(bed: Bed, programs: Programs) -> None:
    """Start etcd and the API server, and wait until it says that it is ready.

    Raises:
        BedError: One of them ended, or it was not ready in time.
    """
    processes.start(bed, "etcd", _etcd(bed, programs))
    processes.start(bed, "kube-apiserver", _apiserver(bed, programs))
    processes.wait(bed, "the API server", lambda: healthy(bed), watch=["etcd", "kube-apiserver"])


def start_rest(bed: Bed, programs: Programs) -> None:
    """Start the controller manager and, for a bed with nodes, the scheduler.

    The API server has to be ready: both end at once where it does not know their role yet.
    """
    processes.start(bed, "kube-controller-manager", _controller_manager(bed, programs))
    if bed.nodes:
        processes.start(bed, "kube-scheduler", _scheduler(bed, programs))


def wait_bootstrapped(bed: Bed) -> None:
    """Wait until the controllers are at work: a new namespace gets its ServiceAccount `default` from them."""
    path = "/api/v1/namespaces/default/serviceaccounts/default"
    watch = ["kube-apiserver", "kube-controller-manager"]
    processes.wait(bed, "the controller manager", lambda: call(bed, "GET", path), watch=watch)


def healthy(bed: Bed) -> bool:
    """Whether the API server answers and is ready."""
    try:
        return bool(call(bed, "GET", "/readyz") == "ok")
    except OSError:
        return False


def call(bed: Bed, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
    """One request to the API server as the administrator; the answer is decoded where it is JSON.

    Raises:
        urllib.error.HTTPError: The API server's own refusal (an OSError, as every failure of the connection).
    """
    config = json.loads(bed.kubeconfig.read_text(encoding="utf-8"))
    request = urllib.request.Request(
        bed.api + path, method=method, data=None if body is None else json.dumps(body).encode()
    )
    request.add_header("Authorization", f"Bearer {config['users'][0]['user']['token']}")
    request.add_header("Content-Type", content_type)
    context = ssl.create_default_context(cafile=str(bed.state / "pki" / "ca.crt"))
    # no proxy of the machine's stands between: the bed's addresses are its own
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    with opener.open(request, timeout=TIMEOUT_S) as answer:
        text = answer.read().decode()
        return json.loads(text) if "json" in answer.headers.get("Content-Type", "") else text


def _etcd(bed: Bed, programs: Programs) -> list[str]:
    # On a loopback address of the slot's own: there is no password on it, so no node or pod may come near.
    client, peer = (f"http://{bed.loopback}:{port}" for port in (ETCD_PORT, ETCD_PORT + 1))
    return [
        str(programs.etcd),
        f"--data-dir={bed.state / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",  # a bed does not outlive the machine
        "--logger=zap",
        "--log-level=warn",
    ]


def _apiserver(bed: Bed, programs: Programs) -> list[str]:
    pki = bed.state / "pki"
    policy = certs.private_file(bed.state / "audit-policy.yaml", json.dumps(AUDIT))
    return [
        str(programs.kube.parent / "kube-apiserver"),
        f"--etcd-servers=http://{bed.loopback}:{ETCD_PORT}",
        f"--bind-address={bed.host[0]}",
        f"--secure-port={API_PORT}",
        f"--advertise-address={bed.host[0]}",
        f"--tls-cert-file={pki / 'apiserver.crt'}",
        f"--tls-private-key-file={pki / 'apiserver.key'}",
        f"--client-ca-file={pki / 'ca.crt'}",
        f"--token-auth-file={pki / 'tokens.csv'}",
        "--authorization-mode=Node,RBAC",
        f"--enable-admission-plugins={ADMISSION}",
        "--allow-privileged",
        f"--service-cluster-ip-range={','.join(map(str, bed.services))}",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-signing-key-file={pki / 'service-accounts.key'}",
        f"--service-account-key-file={pki / 'service-accounts.key'}",
        # For logs, exec and port-forward: node names do not resolve on the host.
        "--kubelet-preferred-address-types=InternalIP",
        f"--kubelet-certificate-authority={pki / 'ca.crt'}",
        f"--kubelet-client-certificate={pki / 'kubelet-client.crt'}",
        f"--kubelet-client-key={pki / 'kubelet-client.key'}",
        f"--audit-policy-file={policy}",
        f"--audit-log-path={bed.logs / 'audit.log'}",
        "--audit-log-mode=blocking",
        "--profiling=false",
    ]


AUDIT = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}


def _controller_manager(bed: Bed, programs: Programs) -> list[str]:
    own, pki = str(bed.state / "kube-controller-manager.kubeconfig"), bed.state / "pki"
    return [
        str(programs.kube.parent / "kube-controller-manager"),
        f"--kubeconfig={own}",
        f"--authentication-kubeconfig={own}",
        f"--authorization-kubeconfig={own}",
        f"--bind-address={bed.loopback}",
        f"--secure-port={MANAGER_PORT}",
        f"--cert-dir={bed.state / 'kube-controller-manager'}",
        f"--flex-volume-plugin-dir={bed.state / 'kube-controller-manager' / 'flex'}",  # else made below /usr/libexec
        "--leader-elect=false",
        "--use-service-account-credentials",
        # Forty controllers begin with an account each: at the usual 20 requests a second that takes them 4 s.
        "--kube-api-qps=200",
        "--kube-api-burst=400",
        f"--service-account-private-key-file={pki / 'service-accounts.key'}",
        f"--root-ca-file={pki / 'ca.crt'}",
        f"--cluster-signing-cert-file={pki / 'ca.crt'}",
        f"--cluster-signing-key-file={pki / 'ca.key'}",
        f"--cluster-cidr={','.join(map(str, bed.pods))}",
        f"--service-cluster-ip-range={','.join(map(str, bed.services))}",
        # Each node's pod networks are in its Node object from the start (node.py): routes and CNI need no wait.
        "--allocate-node-cidrs=false",
    ]


def _scheduler(bed: Bed, programs: Programs) -> list[str]:
    own = str(bed.state / "kube-scheduler.kubeconfig")
    return [
        str(programs.kube.parent / "kube-scheduler"),
        f"--kubeconfig={own}",
        f"--authentication-kubeconfig={own}",
        f"--authorization-kubeconfig={own}",
        f"--bind-address={bed.loopback}",
        f"--secure-port={SCHEDULER_PORT}",
        f"--cert-dir={bed.state / 'kube-scheduler'}",
        "--leader-elect=false",
    ]
