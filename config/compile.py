"""world -> manifests, pure: the same world gives the same objects in the same order, whatever the cluster is like."""

from __future__ import annotations

from typing import Any

from config.emit import (
    accounts,
    admission,
    capsule,
    cilium,
    egress,
    hub,
    metallb,
    namespaces,
    networkpolicy,
    prepull,
    quota,
    rbac,
    workers,
)
from config.emit.common import Emitter, Manifest
from config.models import World
from config.names import FIELD_MANAGER, keys
from config.order import key

EMITTERS: tuple[Emitter, ...] = (
    admission.emit,
    workers.emit,
    capsule.emit,
    namespaces.emit,
    cilium.emit,
    networkpolicy.emit,
    quota.emit,
    accounts.emit,
    metallb.emit,
    egress.emit,
    rbac.emit,
    hub.emit,
    prepull.emit,
)
"""One a concern; each yields nothing where the site has not what it is for."""


def compile_world(world: World) -> tuple[Manifest, ...]:
    """Every object that the world wants, in apply order, each with the owner label. ValueError for one made twice."""
    label = keys(world.site).declared_by
    found: dict[Any, Manifest] = {}
    for emit in EMITTERS:
        for manifest in emit(world):
            place = key(manifest)
            if place in found:
                raise ValueError(f"two emitters make {manifest['kind']} {manifest['metadata']['name']}")
            found[place] = _owned(manifest, label)
    return tuple(found[place] for place in sorted(found))


def _owned(manifest: Manifest, label: str) -> Manifest:
    metadata = manifest["metadata"]
    return {**manifest, "metadata": {**metadata, "labels": {**metadata.get("labels", {}), label: FIELD_MANAGER}}}
