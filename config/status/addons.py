"""Which add-ons site.yaml names, and which kinds of theirs the API server really knows."""

from __future__ import annotations

from config.models import World
from config.order import KINDS
from config.status.live import Live
from config.status.loadbalancer import STATUSES
from config.status.model import Addon, Finding, Findings

TUNNELS = ("egressgateway.spidernet.io/v1beta1", "egresstunnels")
KINDS_OF: dict[str, tuple[tuple[str, str], ...]] = {
    name: tuple((kind.api_version, kind.plural) for kind in KINDS if kind.addon == name)
    for name in ("capsule", "metallb", "egressgateway", "cilium")
}
"""Add-on -> (apiVersion, plural) of the kinds that TenantHub makes. ServiceL2Status and EgressTunnel, which are only
read, are not demanded: MetalLB has kept the first since 0.14.6 only."""
READ_ONLY = (STATUSES, TUNNELS)


def addons(world: World, live: Live) -> tuple[tuple[Addon, ...], list[Finding]]:
    """Each add-on's state, and what does not fit."""
    found = Findings("addons")
    told = []
    for name, kinds in KINDS_OF.items():
        declared = bool(getattr(world.site.addons, name))
        missing = tuple(plural for version, plural in kinds if (version, plural) not in live.served)
        told.append(Addon(name, declared, not missing, missing))
        if declared and missing:
            found.wrong(f"site.yaml names {name}, but the API server knows no {', '.join(missing)}: is it installed?")
        elif not declared and not missing:
            found.note(f"{name} is installed, but site.yaml does not name it, so nothing is made for it")
    return tuple(told), list(found)


def unread(live: Live) -> list[Finding]:
    """A note for each list that the operator's account may not read, or that failed."""
    found = Findings("site")
    for what, why in sorted(live.unread.items()):
        found.note(f"{what} cannot be read, so the report lacks what they would tell: {why}")
    return list(found)
