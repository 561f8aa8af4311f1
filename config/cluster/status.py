"""Read what `tenanthub status` reports on: a constant number of requests, however many tenants there are.

About thirty lists and probes in two rounds, each round at once over a few connections. Every list is true for its own
moment: between two of them a Pod may start or a Service move, so the report can be a second out of step with itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from config.cluster.client import ApiError, Cluster
from config.emit.common import Manifest
from config.models import World
from config.names import FIELD_MANAGER, keys, namespace
from config.order import KINDS, Key, Kind, key, kind_of
from config.status import live
from config.status.addons import KINDS_OF, READ_ONLY
from config.status.drift import suspect
from config.status.report import to_try
from config.status.walls import Probe, probes

AT_ONCE = 8
"""Requests under way at the same time: enough to hide the way there and back, and no load on the API server."""
LOOKED_UP = 50
"""Declared objects that no list held are asked for one by one up to this number: they may lack our label. Of those that
may have drifted as many are tried with a dry run; what is beyond is compared without the API server's defaults."""
_ENDED = "status.phase!=Succeeded,status.phase!=Failed"
_T = TypeVar("_T")


def read(cluster: Cluster, world: World, wanted: Sequence[Manifest], only: str | None = None) -> live.Live:
    """Everything that a report of the site, or of the tenant *only*, is made from. ClusterError where nobody answers.

    A list that the account may not read (403) becomes an entry of `unread`, and the report does without.
    """
    unread: dict[str, str] = {}
    with ThreadPoolExecutor(AT_ONCE) as pool:

        def later(work: Callable[[], _T]) -> Callable[[], _T]:
            return pool.submit(work).result

        room = f"/api/v1/namespaces/{namespace(only)}" if only else "/api/v1"
        lists = [later(partial(_objects, cluster, world, kind, only, unread)) for kind in KINDS if not kind.borrowed]
        nodes = later(partial(_each, cluster, "/api/v1/nodes", live.node, unread, "nodes"))
        pods = later(partial(_each, cluster, f"{room}/pods", live.pod, unread, "pods", fieldSelector=_ENDED))
        # all namespaces' Services, also for one tenant: another's may hold an address that is not its own
        services = later(
            partial(_each, cluster, "/api/v1/services", live.service, unread, "services",
                    fieldSelector="spec.type=LoadBalancer")
        )  # fmt: skip
        events = later(
            partial(_each, cluster, f"{room}/events", live.event, unread, "events",
                    fieldSelector="involvedObject.kind=Service")
        )  # fmt: skip
        said = later(partial(_each, cluster, _path(READ_ONLY[0]), live.announcement, unread, READ_ONLY[0][1]))
        tunnels = later(partial(_each, cluster, _path(READ_ONLY[1]), live.tunnel, unread, READ_ONLY[1][1]))
        metallb = f"/api/v1/namespaces/{world.site.cluster.metallb_namespace}/pods"
        speakers = later(partial(_each, cluster, metallb, live.speaker, unread, "MetalLB's Pods"))
        versions = sorted({version for version, _ in _addon_kinds()})
        served = [later(partial(_served, cluster, version)) for version in versions]
        version = later(partial(cluster.request, "GET", "/version"))

        objects = {place: manifest for found in lists for place, manifest in found().items()}
        objects |= _looked_up(cluster, wanted, objects, unread, later, only, keys(world.site).tenant)
        tested = to_try(world, only, (place[2] for place in objects if KINDS[place[0]].kind == "Namespace"))
        previews = _previews(cluster, wanted, objects, later)
        answers = [later(partial(_try, cluster, probe)) for probe in (probes(world, tested) if tested else ())]
        rooms = {namespace(tenant) for tenant in world.tenants}
        return live.Live(
            at=datetime.now(UTC),
            server=cluster.host,
            version=str(version().get("gitVersion", "")),
            objects=objects,
            nodes={node.name: node for node in nodes()},
            pods=tuple(pod for pod in pods() if pod is not None and pod.namespace in rooms),
            services=tuple(services()),
            announcements=tuple(said()),
            events=tuple(events()),
            speakers=dict(found for found in speakers() if found is not None) or None,
            tunnels=dict(tunnels()),
            served=frozenset(item for found in served for item in found()),
            previews=previews,
            answers=tuple(answer() for answer in answers),
            tested=tested.name if tested else "",
            unread=dict(sorted(unread.items())),  # last: all lists are there by now
        )


def _addon_kinds() -> Iterable[tuple[str, str]]:
    return [*(item for kinds in KINDS_OF.values() for item in kinds), *READ_ONLY]


def _path(kind: tuple[str, str]) -> str:
    version, plural = kind
    return f"/apis/{version}/{plural}"


def _each(
    cluster: Cluster,
    path: str,
    build: Callable[[Mapping[str, Any]], _T],
    unread: dict[str, str],
    what: str,
    **query: str,
) -> list[_T]:
    """The objects at *path*, each made small as it comes."""
    try:
        return [build(raw) for raw in cluster.list(path, **query)]
    except ApiError as error:
        if error.status != 403:
            raise
        unread[what] = error.message  # one thread a key: no lock needed
        return []


def _objects(
    cluster: Cluster, world: World, kind: Kind, only: str | None, unread: dict[str, str]
) -> dict[Key, Manifest]:
    """Objects of *kind* that carry our label; where *only* one tenant counts, its own and those that are nobody's."""
    names = keys(world.site)
    selector = f"{names.declared_by}={FIELD_MANAGER}"
    if only:
        selector += f",{names.tenant} in ({only})" if kind.api_version.partition("/")[0] != _ADMISSION else ""
    found = _each(cluster, kind.collection(), dict, unread, kind.plural, labelSelector=selector)
    # a list's items carry neither
    return {key(item): item for item in ({"apiVersion": kind.api_version, "kind": kind.kind, **raw} for raw in found)}


_ADMISSION = "admissionregistration.k8s.io"


def _looked_up(
    cluster: Cluster,
    wanted: Sequence[Manifest],
    objects: Mapping[Key, Manifest],
    unread: Mapping[str, str],
    later: Callable[[Callable[[], Manifest | None]], Callable[[], Manifest | None]],
    only: str | None,
    label: str,
) -> dict[Key, Manifest]:
    """Declared objects that no list held: there, but without our label, or really missing."""
    asked: dict[Key, Callable[[], Manifest | None]] = {}
    for manifest in wanted:
        kind = kind_of(manifest)
        owner = (manifest["metadata"].get("labels") or {}).get(label)
        if kind.borrowed or key(manifest) in objects or kind.plural in unread or (only and owner not in (None, only)):
            continue
        if len(asked) == LOOKED_UP:
            break
        path = kind.path(manifest["metadata"]["name"], manifest["metadata"].get("namespace"))
        asked[key(manifest)] = later(partial(_get, cluster, path))
    return {place: found for place, answer in asked.items() if (found := answer()) is not None}


def _previews(
    cluster: Cluster,
    wanted: Sequence[Manifest],
    objects: Mapping[Key, Manifest],
    later: Callable[[Callable[[], Manifest | None]], Callable[[], Manifest | None]],
) -> dict[Key, Manifest]:
    """What the API server would make of the objects that may have drifted: it alone knows its defaults."""
    asked: dict[Key, Callable[[], Manifest | None]] = {}
    for manifest in wanted:
        live_object = objects.get(key(manifest))
        if live_object is None or kind_of(manifest).borrowed or not suspect(manifest, live_object):
            continue
        if len(asked) == LOOKED_UP:
            break
        asked[key(manifest)] = later(partial(_preview, cluster, manifest))
    return {place: found for place, answer in asked.items() if (found := answer()) is not None}


def _preview(cluster: Cluster, manifest: Manifest) -> Manifest | None:
    path = kind_of(manifest).path(manifest["metadata"]["name"], manifest["metadata"].get("namespace"))
    try:
        found: Manifest = cluster.apply(path, manifest, force=True, dry_run=True)
    except ApiError:  # no right to write, or an immutable field: then the comparison goes without
        return None
    return found


def _get(cluster: Cluster, path: str) -> Manifest | None:
    try:
        return cluster.get(path)
    except ApiError as error:
        if error.status == 403:
            return None
        raise


def _served(cluster: Cluster, version: str) -> list[tuple[str, str]]:
    """The kinds of one API version of an add-on that the API server knows."""
    found = cluster.get(f"/apis/{version}") or {}
    return [(version, item["name"]) for item in found.get("resources") or ()]


def _try(cluster: Cluster, probe: Probe) -> live.Answer:
    """Create *probe* as a dry run: the whole admission chain, and nothing is stored."""
    query = {"dryRun": "All", "fieldManager": FIELD_MANAGER}
    try:
        made = cluster.request("POST", probe.path, query=query, body=probe.body)
    except ApiError as error:
        return live.Answer(probe.name, error.status, error.message)
    return live.Answer(probe.name, 201, "", made)
