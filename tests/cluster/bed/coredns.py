"""The cluster's DNS: CoreDNS as two pods behind the Service kube-system/kube-dns, labelled as kubeadm does it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from tests.cluster.bed import deploy
from tests.cluster.bed.deploy import Object
from tests.cluster.bed.names import Bed

DOMAIN = "cluster.local"
NAMESPACE = "kube-system"
LABELS = {"k8s-app": "kube-dns"}  # by which network policies know it

# Two blocks, because `template` comes before `kubernetes` in CoreDNS, whatever order they are written in.
COREFILE = f"""\
{DOMAIN}:53 in-addr.arpa:53 ip6.arpa:53 {{
    errors
    health {{
        lameduck 1s
    }}
    ready
    kubernetes {{
        pods insecure
        ttl 5
    }}
    cache 5
    loadbalance
}}
# Nothing outside the cluster has a name here: at once no, instead of a wait for a server out of reach.
.:53 {{
    errors
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
"""


class Programs(Protocol):
    """The part of binaries.Binaries that is used here."""

    @property
    def coredns(self) -> Path: ...


def start(bed: Bed, programs: Programs) -> None:
    """Start it and wait until it answers.

    Raises:
        BedError: It was not ready in time.
    """
    deploy.apply(bed, objects(bed, programs.coredns))
    deploy.wait(bed, NAMESPACE, "deployments", "coredns")


def objects(bed: Bed, program: Path) -> list[Object]:
    """Everything it consists of, in order."""
    return [_account(), *_rights(), _settings(), _service(bed), _deployment(program)]


def _meta(name: str, namespaced: bool = True) -> Object:
    return {"name": name, "labels": LABELS, **({"namespace": NAMESPACE} if namespaced else {})}


def _account() -> Object:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _meta("coredns")}


def _rights() -> list[Object]:
    group, name = "rbac.authorization.k8s.io", "system:coredns"
    look = ["list", "watch"]
    return [
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRole",
            "metadata": _meta(name, namespaced=False),
            "rules": [
                {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": look},
                {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": look},
            ],
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": _meta(name, namespaced=False),
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": "coredns", "namespace": NAMESPACE}],
        },
    ]


def _settings() -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _meta("coredns"), "data": {"Corefile": COREFILE}}


def _service(bed: Bed) -> Object:
    """Its IPv4 address is the one that kubelets write into resolv.conf; the IPv6 one ends alike."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _meta("kube-dns"),
        "spec": {
            "selector": LABELS,
            "clusterIP": str(bed.dns),
            "clusterIPs": [str(bed.dns), str(bed.services[1][10])],
            "ipFamilyPolicy": "RequireDualStack",
            "ports": [
                {"name": "dns", "port": 53, "targetPort": 53, "protocol": "UDP"},
                {"name": "dns-tcp", "port": 53, "targetPort": 53, "protocol": "TCP"},
            ],
        },
    }


def _deployment(program: Path) -> Object:
    container: Object = {
        "name": "coredns",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "ports": [
            {"name": "dns", "containerPort": 53, "protocol": "UDP"},
            {"name": "dns-tcp", "containerPort": 53, "protocol": "TCP"},
        ],
        "volumeMounts": [{"name": "settings", "mountPath": "/etc/coredns", "readOnly": True}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
        "livenessProbe": {"httpGet": {"path": "/health", "port": 8080}, "initialDelaySeconds": 30},
        "resources": {"requests": {"cpu": "20m", "memory": "32Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},  # containerd 2 lets everyone open port 53 in a pod's own network
            "readOnlyRootFilesystem": True,
        },
    }
    pod: Object = {
        "serviceAccountName": "coredns",
        "priorityClassName": "system-cluster-critical",
        "dnsPolicy": "Default",
        "tolerations": [{"operator": "Exists"}],  # tests taint nodes as they like
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": LABELS},
            }
        ],
        "volumes": [{"name": "settings", "configMap": {"name": "coredns"}}],
        "containers": [container],
    }
    deploy.mounted(pod, container, program)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _meta("coredns"),
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": LABELS},
            "template": {"metadata": {"labels": LABELS}, "spec": pod},
        },
    }
