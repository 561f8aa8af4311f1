"""What every tenant's block is made from, sorted out once: 500 tenants must not mean 500 passes over all Pods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from config.emit.common import Manifest
from config.models import World
from config.names import keys
from config.order import KINDS, Key
from config.status.live import Live, Pod
from config.status.loadbalancer import Traffic
from config.status.objects import by_tenant, is_ours
from config.status.workers import Dedication


@dataclass(frozen=True)
class Index:
    """What all tenants' blocks are made from, sorted out once."""

    wanted: Mapping[str, Mapping[Key, Manifest]]
    surplus: Mapping[str, tuple[Manifest, ...]]
    namespaces: Mapping[str, Manifest]
    """Name -> Namespace as declared."""
    nodes: Mapping[str, Mapping[str, str]]
    """Node -> labels that it should carry."""
    pods: Mapping[str, tuple[Pod, ...]]
    quotas: Mapping[str, tuple[Manifest, ...]]
    """Namespace -> its ResourceQuotas."""
    objects: Mapping[tuple[str, str, str], Manifest]
    """(kind, namespace, name) -> live object."""
    traffic: Traffic
    dedication: Dedication

    @classmethod
    def of(cls, world: World, wanted: Iterable[Manifest], live: Live) -> Index:
        """One pass over each list."""
        names, wanted = keys(world.site), tuple(wanted)
        pods: dict[str, list[Pod]] = {}
        for pod in live.pods:
            pods.setdefault(pod.namespace, []).append(pod)
        counted: dict[str, list[Manifest]] = {}
        objects = {}
        for place, manifest in live.objects.items():
            kind = KINDS[place[0]].kind
            objects[kind, place[1], place[2]] = manifest
            if kind == "ResourceQuota":
                counted.setdefault(place[1], []).append(manifest)
        places = by_tenant(wanted, names)
        known = {place for found in places.values() for place in found}
        left = {
            place: manifest
            for place, manifest in live.objects.items()
            if place not in known and is_ours(manifest, names)
        }  # fmt: skip
        return cls(
            wanted=places,
            surplus={tenant: tuple(found.values()) for tenant, found in by_tenant(left.values(), names).items()},
            namespaces={item["metadata"]["name"]: item for item in wanted if item["kind"] == "Namespace"},
            nodes={item["metadata"]["name"]: item["metadata"].get("labels") or {} for item in wanted if _is_node(item)},
            pods={room: tuple(found) for room, found in pods.items()},
            quotas={room: tuple(found) for room, found in counted.items()},
            objects=objects,
            traffic=Traffic.of(world, live),
            dedication=Dedication.of(world),
        )

    def orphans(self, world: World) -> list[Manifest]:
        """Objects of ours whose tenant nobody declares any more, or that belong to no tenant."""
        gone = [tenant for tenant in self.surplus if tenant not in world.tenants]
        return [manifest for tenant in gone for manifest in self.surplus[tenant]]


def _is_node(manifest: Manifest) -> bool:
    return bool(manifest["kind"] == "Node")
