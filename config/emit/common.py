"""What every emitter uses: the shape of a manifest and its metadata."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from config.models import Site, Tenant, World
from config.names import keys

Manifest = dict[str, Any]
"""One Kubernetes object as JSON; nobody changes one after it was yielded."""
Emitter = Callable[[World], Iterable[Manifest]]


def metadata(
    site: Site,
    name: str,
    *,
    tenant: Tenant | None = None,
    namespace: str | None = None,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """`metadata` of an object; one that belongs to a tenant carries the tenant's label."""
    every = {**({keys(site).tenant: tenant.name} if tenant else {}), **(labels or {})}
    return {
        "name": name,
        **({"namespace": namespace} if namespace else {}),
        **({"labels": every} if every else {}),
        **({"annotations": dict(annotations)} if annotations else {}),
    }
