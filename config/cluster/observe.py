"""What is there: everything with our owner label, and whatever else has a name that we want.

One list a kind, consistent (no resourceVersion) and whole (no limit): since Kubernetes 1.31 the API server answers such
a list from its memory, so that fifteen thousand objects take 0.3 s; a page at a time took no less, and on older servers
goes to etcd. `resourceVersion=0`, which may be stale, was no faster either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType

from config.cluster.client import ApiError, Cluster
from config.emit.common import Manifest
from config.names import FIELD_MANAGER, Keys
from config.order import KINDS, Key, Kind, key, kind_of

AT_ONCE = 4
"""Lists at a time: more did not make it faster on two cores."""
_ASKED_SINGLY = 64
"""Up to so many objects of a kind are asked for by name; beyond, the whole kind is listed."""
_LANDMARKS: tuple[tuple[str, str, Mapping[str, str]], ...] = (
    ("Service", "/api/v1/namespaces/default/services", {"fieldSelector": "metadata.name=kubernetes"}),
    ("Pod", "/api/v1/namespaces/kube-system/pods", {"labelSelector": "k8s-app=kube-dns", "limit": "4"}),
)


@dataclass(frozen=True)
class Observed:
    """The part of a cluster that a plan is made from."""

    live: tuple[Manifest, ...]
    unknown: frozenset[Kind]
    """Kinds that the API server does not serve."""
    no_namespace: frozenset[str]
    """Namespaces that wanted objects name, that are neither wanted nor there."""
    landmarks: tuple[Manifest, ...] = ()
    """Objects of the cluster itself whose addresses tell its ranges: the Service `kubernetes`, the DNS Pods."""


class Observation:
    """Begins to read as soon as it is made, so that the world can be compiled meanwhile; leave it as a context."""

    def __init__(self, cluster: Cluster, keys: Keys) -> None:
        self._cluster = cluster
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="observe")
        selector = f"{keys.declared_by}={FIELD_MANAGER}"
        self._lists: dict[Kind, Future[list[Manifest] | None]] = {
            kind: self._pool.submit(self._list, kind, selector) for kind in KINDS
        }
        self._landmarks = [self._pool.submit(self._landmark, kind, path, query) for kind, path, query in _LANDMARKS]

    def __enter__(self) -> Observation:
        """Itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Wait for what is being read; drop the rest."""
        self._pool.shutdown(cancel_futures=True)

    def finish(self, desired: Sequence[Manifest]) -> Observed:
        """The objects that are ours, and those of others with the name of a wanted one. ClusterError."""
        found: dict[Key, Manifest] = {}
        unknown = set()
        for kind, reading in self._lists.items():
            items = reading.result()
            if items is None:
                unknown.add(kind)
            for one in items or ():
                found[key(one)] = one
        missing = [one for one in desired if key(one) not in found and kind_of(one) not in unknown]
        namespaced = [one for one in missing if kind_of(one).namespaced]
        self._look_up((one for one in missing if not kind_of(one).namespaced), found)
        wanted = {one["metadata"]["name"] for one in desired if one["kind"] == "Namespace"}
        foreign = {one["metadata"]["namespace"] for one in namespaced} - wanted
        there = {one["metadata"]["name"] for one in found.values() if one["kind"] == "Namespace"}
        outside = {name for name in foreign if self._cluster.get(f"/api/v1/namespaces/{name}") is not None}
        self._look_up((one for one in namespaced if one["metadata"]["namespace"] in there | outside), found)
        landmarks = tuple(one for reading in self._landmarks for one in reading.result())
        return Observed(tuple(found.values()), frozenset(unknown), frozenset(foreign - outside), landmarks)

    def _landmark(self, kind: str, path: str, query: Mapping[str, str]) -> list[Manifest]:
        """None of them where they may not be read, or are called otherwise."""
        try:
            items: list[Manifest] = self._cluster.request("GET", path, query=query)["items"] or []
        except ApiError as error:
            if error.status in (403, 404):
                return []
            raise
        return [{**one, "kind": kind} for one in items]

    def _list(self, kind: Kind, selector: str) -> list[Manifest] | None:
        """None where the API server does not know the kind."""
        try:
            page = self._cluster.request("GET", kind.collection(), query={"labelSelector": selector})
        except ApiError as error:
            if error.status == 404:
                return None
            raise
        items: list[Manifest] = page["items"] or []
        for one in items:  # the items of a list of a built-in kind do not say what they are
            one["apiVersion"], one["kind"] = kind.api_version, kind.kind
        return items

    def _look_up(self, wanted: Iterable[Manifest], found: dict[Key, Manifest]) -> None:
        by_kind: dict[Kind, list[Manifest]] = {}
        for one in wanted:
            by_kind.setdefault(kind_of(one), []).append(one)
        for kind, some in by_kind.items():
            if len(some) > _ASKED_SINGLY:
                names = set(map(key, some))
                every: Iterable[Manifest | None] = self._list(kind, "") or ()
                found |= {key(one): one for one in every if one is not None and key(one) in names}
            else:
                get: Callable[[Manifest], Manifest | None] = self._get
                found |= {key(one): one for one in self._pool.map(get, some) if one is not None}

    def _get(self, wanted: Manifest) -> Manifest | None:
        metadata = wanted["metadata"]
        return self._cluster.get(kind_of(wanted).path(metadata["name"], metadata.get("namespace")))
