"""Declared objects against those that are there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from config.emit.common import Manifest
from config.names import FIELD_MANAGER, Keys
from config.order import Key, key, kind_of
from config.status.drift import differing
from config.status.live import Live
from config.status.model import Drift, Finding, Findings, Objects

_SHOWN = 3


def called(manifest: Manifest) -> str:
    """Kind and name as an operator types them: "ResourceQuota tenant-physics/quota"."""
    metadata = manifest["metadata"]
    place = f"{metadata['namespace']}/" if metadata.get("namespace") else ""
    return f"{manifest['kind']} {place}{metadata['name']}"


def by_tenant(manifests: Iterable[Manifest], names: Keys) -> dict[str, dict[Key, Manifest]]:
    """Tenant ("" for what belongs to none) -> its manifests; nodes are left out, they belong to several."""
    found: dict[str, dict[Key, Manifest]] = {}
    for manifest in manifests:
        if not kind_of(manifest).borrowed:
            tenant = (manifest["metadata"].get("labels") or {}).get(names.tenant, "")
            found.setdefault(tenant, {})[key(manifest)] = manifest
    return found


def compare(
    wanted: Mapping[Key, Manifest],
    surplus: Iterable[Manifest],
    seen: Live,
) -> tuple[Objects, list[Finding]]:
    """*wanted* against all objects that were *seen*; *surplus*: ours, and wanted no more.

    A kind that could not be read is neither there nor missing, and one note says so.
    """
    drifted, missing, unknown, same = [], [], set(), 0
    for place, manifest in sorted(wanted.items()):
        found = seen.objects.get(place)
        if found is None:
            plural = kind_of(manifest).plural
            if plural in seen.unread:
                unknown.add(plural)
            else:
                missing.append(called(manifest))
            continue
        if fields := differing(manifest, found, seen.previews.get(place)):
            drifted.append(Drift(called(manifest), fields))
        else:
            same += 1
    told = Objects(len(wanted), same, tuple(drifted), tuple(missing), tuple(sorted(map(called, surplus))))
    return told, _judge(told, {plural: seen.unread[plural] for plural in sorted(unknown)})


def is_ours(manifest: Manifest, names: Keys) -> bool:
    """Whether `tenanthub apply` made it."""
    return (manifest["metadata"].get("labels") or {}).get(names.declared_by) == FIELD_MANAGER


def _judge(told: Objects, unknown: Mapping[str, str]) -> list[Finding]:
    found = Findings("objects")
    for drift in told.drifted[:_SHOWN]:
        found.wrong(f"{drift.object} differs in {_some(drift.fields)}")
    if len(told.drifted) > _SHOWN:
        found.wrong(f"{len(told.drifted) - _SHOWN} more objects differ; tenanthub plan shows them all")
    if told.missing:
        found.wrong(f"missing: {_some(told.missing)}; tenanthub apply makes what is missing")
    if told.surplus:
        found.wrong(f"declared no more and still there: {_some(told.surplus)}; tenanthub apply deletes them")
    for plural, why in unknown.items():
        found.note(f"{plural} cannot be read: {why}")
    return list(found)


def _some(items: tuple[str, ...]) -> str:
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return ", ".join(items[:_SHOWN]) + more
