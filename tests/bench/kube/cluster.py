"""Small things that the rows about launches do at the API server as the administrator."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.error import HTTPError

from tests.bench.kube.hubs import make
from tests.cluster.bed import Bed, control, processes

OURS = "TenantHub"
STOCK = "stock KubeSpawner"
_AT_ONCE = 8


def make_namespace(bed: Bed, name: str) -> None:
    """Make it, and wait until Pods may be made in it: they need its default ServiceAccount."""
    make(bed, "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    path = f"/api/v1/namespaces/{name}/serviceaccounts/default"
    processes.wait(bed, f"namespace {name}", lambda: control.call(bed, "GET", path))


def make_namespaces(bed: Bed, names: Iterable[str]) -> None:
    """The same for many."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(lambda name: make_namespace(bed, name), names))


def delete_pods(bed: Bed, namespaces: Iterable[str]) -> None:
    """Delete all Pods of these namespaces, and wait until there are none in them."""

    def clear(name: str) -> None:
        path = f"/api/v1/namespaces/{name}/pods"
        try:
            control.call(bed, "DELETE", f"{path}?gracePeriodSeconds=0")
        except HTTPError as error:
            if error.code != 404:
                raise
        processes.wait(bed, f"the end of the Pods of {name}", lambda: not control.call(bed, "GET", path)["items"])

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(clear, namespaces))


def pods(bed: Bed, namespace: str = "") -> list[dict[str, Any]]:
    """All Pods of a namespace; without one, of the cluster."""
    path = f"/api/v1/namespaces/{namespace}/pods" if namespace else "/api/v1/pods"
    found: list[dict[str, Any]] = control.call(bed, "GET", path)["items"]
    return found
