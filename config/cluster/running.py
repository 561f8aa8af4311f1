"""What runs in a namespace that is about to go: the operator reads it before saying yes."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from config.cluster.client import Cluster

_KINDS: tuple[tuple[str, str], ...] = (
    ("Pods", "/api/v1/namespaces/{}/pods"),
    ("Deployments", "/apis/apps/v1/namespaces/{}/deployments"),
    ("StatefulSets", "/apis/apps/v1/namespaces/{}/statefulsets"),
    ("CronJobs", "/apis/batch/v1/namespaces/{}/cronjobs"),
    ("Jobs", "/apis/batch/v1/namespaces/{}/jobs"),
    ("Services with an address", "/api/v1/namespaces/{}/services"),
    ("volumes (PersistentVolumeClaims)", "/api/v1/namespaces/{}/persistentvolumeclaims"),
)
_SHOWN = 10


@dataclass(frozen=True)
class Running:
    """The objects of one sort, by name; a Service's name is followed by its addresses."""

    what: str
    names: tuple[str, ...]

    def __str__(self) -> str:
        """Such as "Pods (2): crawl-1, crawl-2"."""
        more = f" and {len(self.names) - _SHOWN} more" if len(self.names) > _SHOWN else ""
        return f"{self.what} ({len(self.names)}): {', '.join(self.names[:_SHOWN])}{more}"


def running(cluster: Cluster, namespace: str) -> tuple[Running, ...]:
    """What is in the namespace that somebody may miss; nothing for one without workloads. ClusterError."""

    def look(kind: tuple[str, str]) -> Running:
        what, path = kind
        return Running(what, tuple(_names(what, cluster.list(path.format(namespace)))))

    with ThreadPoolExecutor(len(_KINDS)) as pool:
        return tuple(found for found in pool.map(look, _KINDS) if found.names)


def _names(what: str, items: Iterator[dict[str, Any]]) -> Iterator[str]:
    for one in items:
        name, spec, status = one["metadata"]["name"], one.get("spec") or {}, one.get("status") or {}
        if what == "Pods" and status.get("phase") in ("Succeeded", "Failed"):
            continue
        if not what.startswith("Services"):
            yield name
        elif spec.get("type") == "LoadBalancer":
            ingress = (status.get("loadBalancer") or {}).get("ingress") or ()
            addresses = ", ".join(place.get("ip") or place.get("hostname") or "" for place in ingress)
            yield f"{name} ({addresses})" if addresses else name
