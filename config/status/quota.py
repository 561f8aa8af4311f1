"""How much of its ResourceQuota a tenant uses."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal

from config.emit.common import Manifest
from config.status.model import Finding, Findings, QuotaUse

_QUANTITY = re.compile(r"^([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)([numkMGTPE]|[KMGTPE]i)?$")
_FACTORS: dict[str, Decimal] = {
    **{suffix: Decimal(10) ** power for suffix, power in zip("num", (-9, -6, -3), strict=True)},
    **{suffix: Decimal(10) ** power for suffix, power in zip("kMGTPE", range(3, 19, 3), strict=True)},
    **{f"{suffix}i": Decimal(2) ** power for suffix, power in zip("KMGTPE", range(10, 61, 10), strict=True)},
}


def quotas(objects: Iterable[Manifest]) -> tuple[tuple[QuotaUse, ...], list[Finding]]:
    """Used and hard of every resource of the tenant's *objects* of kind ResourceQuota; a full one is noted.

    The numbers are the quota controller's (`status`): before it has counted for the first time there are none.
    """
    uses: list[QuotaUse] = []
    found = Findings("quota")
    for quota in objects:
        status = quota.get("status") or {}
        hard, used = status.get("hard") or {}, status.get("used") or {}
        if not hard and (quota.get("spec") or {}).get("hard"):
            found.note(f"ResourceQuota {quota['metadata']['name']} has not been counted yet")
        for resource, limit in sorted(hard.items()):
            now = used.get(resource, "0")
            full = amount(limit) > 0 and amount(now) >= amount(limit)
            uses.append(QuotaUse(resource, now, limit, full))
            if full:
                found.note(f"quota is full: {resource} {now} of {limit}")
    return tuple(uses), found


def amount(quantity: str) -> Decimal:
    """The number that a Kubernetes quantity means ("1500m" -> 1.5); ValueError for what is none.

    Source: Kubernetes, apimachinery, type Quantity.
    """
    match = _QUANTITY.match(str(quantity))
    if not match:
        raise ValueError(f"{quantity!r} is not a quantity")
    return Decimal(match[1]) * _FACTORS.get(match[2] or "", Decimal(1))
