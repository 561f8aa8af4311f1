"""Which Service has which LoadBalancer address, and which node really answers for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from config.models import Network, Tenant, World
from config.names import namespace, network_object
from config.status.addresses import JSON_LARGEST, Ranges, size
from config.status.live import Announcement, Event, Live, Pod, Service
from config.status.model import Announcer, Findings, LoadBalancer, ServiceUse, ServiceWaiting

STATUSES = ("metallb.io/v1beta1", "servicel2statuses")
_ANNOUNCED = "nodeAssigned"
"""The speaker's event as it begins to announce (MetalLB, speaker/main.go)."""
STATUS, EVENT = "ServiceL2Status", "event"
_NAMED = 3
_SECONDS = len("2026-11-21T03:00:00")
_TROUBLE = ("announceFailed", "AllocationFailed", "LoadBalancerFailed", "nolbIPsIPFamily", "noclusterIPsIPFamily")


@dataclass(frozen=True)
class Traffic:
    """What is there of Services, indexed once for all tenants."""

    ranges: Ranges
    services: Mapping[str, tuple[Service, ...]]
    """By namespace."""
    holders: Mapping[tuple[str, str], tuple[tuple[Service, str], ...]]
    """(tenant, network) -> Services with an address of it, whoever they belong to, and the address."""
    announcements: Mapping[tuple[str, str], tuple[Announcement, ...]]
    """(namespace, Service) -> newest first."""
    events: Mapping[tuple[str, str], tuple[Event, ...]]
    """(namespace, Service) -> newest first."""
    gateways: Mapping[str, tuple[str, ...]]
    """Node -> tenants that it is a gateway node of."""

    @classmethod
    def of(cls, world: World, live: Live) -> Traffic:
        """One pass over each list."""
        ranges = Ranges(world)
        services: dict[str, list[Service]] = {}
        holders: dict[tuple[str, str], list[tuple[Service, str]]] = {}
        for service in live.services:
            services.setdefault(service.namespace, []).append(service)
            for address in service.addresses:
                if place := ranges.of(address):
                    holders.setdefault((place.tenant, place.network), []).append((service, address))
        announcements: dict[tuple[str, str], list[Announcement]] = {}
        for item in sorted(live.announcements, key=lambda item: item.since, reverse=True):
            announcements.setdefault((item.namespace, item.service), []).append(item)
        events: dict[tuple[str, str], list[Event]] = {}
        for event in sorted(live.events, key=lambda event: event.last, reverse=True):
            events.setdefault((event.namespace, event.name), []).append(event)
        gateways: dict[str, list[str]] = {}
        for tenant in world.tenants.values():
            for node in {node for network in tenant.networks for node in network.gateway_nodes}:
                gateways.setdefault(node, []).append(tenant.name)
        return cls(
            ranges, _frozen(services), _frozen(holders), _frozen(announcements), _frozen(events), _frozen(gateways)
        )


def loadbalancer(
    tenant: Tenant, network: Network, live: Live, pods: tuple[Pod, ...], traffic: Traffic, found: Findings
) -> LoadBalancer:
    """The pool of *network*, who holds its addresses, and who answers for them."""
    held = traffic.holders.get((tenant.name, network.name), ())
    for service, address in held:
        if service.namespace != namespace(tenant):
            found.alarm(f"{address} of {network.name} is held by Service {service.namespace}/{service.name}")
    by_service: dict[tuple[str, str], list[str]] = {}
    owners = {(service.namespace, service.name): service for service, _ in held}
    for service, address in held:
        by_service.setdefault((service.namespace, service.name), []).append(address)
    uses = tuple(
        _use(network, owners[name], tuple(addresses), live, pods, traffic, found)
        for name, addresses in sorted(by_service.items())
    )
    _open_ways(tenant, network, [owners[name] for name in sorted(by_service)], traffic, found)
    total, used = size(network.loadbalancer), len({address for _, address in held})
    return LoadBalancer(
        pool=network_object(tenant, network.name),
        addresses=tuple(map(str, network.loadbalancer)),
        total=min(total, JSON_LARGEST),
        used=used,
        free=min(total - used, JSON_LARGEST),
        services=uses,
    )


def _open_ways(tenant: Tenant, network: Network, holders: list[Service], traffic: Traffic, found: Findings) -> None:
    """Services that other tenants' instruments reach, if somebody there routes the address to a node of both.

    kube-proxy answers for a LoadBalancer address on every interface of every node (seen on the test bed); only
    loadBalancerSourceRanges limits who is let in.
    """
    shared = {node: [name for name in traffic.gateways[node] if name != tenant.name] for node in network.gateway_nodes}
    others = sorted({name for names in shared.values() for name in names})
    names = [f"{service.namespace}/{service.name}" for service in holders if not service.fenced]
    if others and names:
        nodes = ", ".join(node for node, there in shared.items() if there)
        who = ", ".join(others[:_NAMED]) + (f" and {len(others) - _NAMED} more" if len(others) > _NAMED else "")
        found.note(
            f"{', '.join(names[:_NAMED])}: no loadBalancerSourceRanges, so networks of {who} have a way in by {nodes}"
        )


def waiting(
    world: World, tenant: Tenant, traffic: Traffic, found: Findings
) -> tuple[ServiceWaiting, ...]:  # fmt: skip
    """The tenant's Services without an address; an address of the tenant's Service that is not its own is an alarm."""
    rows = []
    for service in traffic.services.get(namespace(tenant), ()):
        name = f"{service.namespace}/{service.name}"
        for address in service.addresses:
            place = traffic.ranges.of(address)
            if place is None or place.tenant != tenant.name:
                whose = f"an address of {place.tenant}" if place else "nobody's by declaration"
                found.alarm(f"Service {name} has {address}, which is {whose}")
        if service.addresses:
            continue
        why = _why_waiting(world, service, traffic)
        rows.append(ServiceWaiting(name, service.wanted, why))
        found.wrong(f"Service {name} has no address: {why}")
    return tuple(rows)


def speakers(network: Network, live: Live, found: Findings) -> None:
    """Gateway nodes where no speaker is ready: they can announce nothing, and nobody notices until they have to."""
    if live.speakers is None or not network.loadbalancer:
        return
    for name in network.gateway_nodes:
        if live.ready(name) and not live.speakers.get(name):
            found.wrong(f"no speaker of MetalLB is ready on {name}, gateway node of {network.name}{_TAINTED}")


def _use(
    network: Network,
    service: Service,
    addresses: tuple[str, ...],
    live: Live,
    pods: tuple[Pod, ...],
    traffic: Traffic,
    found: Findings,
) -> ServiceUse:
    name = f"{service.namespace}/{service.name}"
    announcers = _announcers(service, live, traffic)
    current = [item for item in announcers if item.current]
    for item in current:
        if not item.node_ready:
            found.wrong(f"{name} was last announced by {item.node}, which is not ready; no other node says that it is")
        if network.gateway_nodes and item.node not in network.gateway_nodes:
            found.alarm(f"{name} is announced by {item.node}, which is no gateway node of {network.name}")
    why = "" if current else _why_silent(network, service, live, pods, traffic)
    if why:
        own_doing = why.startswith(_OWN)
        (found.note if own_doing else found.wrong)(f"nobody announces {', '.join(addresses)} of {name}: {why}")
    return ServiceUse(name, addresses, announcers, why)


def _announcers(service: Service, live: Live, traffic: Traffic) -> tuple[Announcer, ...]:
    """Who says that it announces, newest word first: that one is to be believed.

    Two sorts of words, for neither is enough. The speaker's ServiceL2Status stays when its node dies, and before 0.16
    the node that takes over cannot replace it, as status.node is immutable (MetalLB issues 2626 and 2930; seen on the
    test bed): only its event nodeAssigned is true then. Events go after an hour, and then the status is all there is.
    Whether the node is ready decides nothing: speakers watch each other (memberlist) and not kubelets, so one whose
    kubelet alone is silent goes on announcing.
    """
    words = {
        item.node: Announcer(item.node, item.interfaces, item.since, STATUS, live.ready(item.node), False)
        for item in reversed(traffic.announcements.get((service.namespace, service.name), ()))
    }
    for event in reversed(traffic.events.get((service.namespace, service.name), ())):
        node = _quoted(event.message) if event.reason == _ANNOUNCED else ""
        known = words.get(node)
        if known is not None:
            words[node] = replace(known, since=max(known.since, event.last))
        elif node:
            words[node] = Announcer(node, (), event.last, EVENT, live.ready(node), False)
    newest = sorted(words.values(), key=lambda word: (word.since[:_SECONDS], word.source == STATUS), reverse=True)
    return tuple(
        replace(word, current=number == 0)
        for number, word in enumerate(newest)
        if number == 0 or word.source == STATUS  # an old event is history, an old status misleads
    )


_TAINTED = "; on dedicated nodes it must tolerate their taint"
_OWN = "the Service's own Pods: "


def _why_silent(
    network: Network,
    service: Service,
    live: Live,
    pods: tuple[Pod, ...],
    traffic: Traffic,
) -> str:
    behind = [
        pod
        for pod in pods
        if pod.ready
        and pod.namespace == service.namespace
        and all(pod.labels.get(key) == value for key, value in service.selector.items())
    ]
    if service.selector and not behind:
        return f"{_OWN}none is ready, and without one MetalLB does not announce"
    ready = [name for name in network.gateway_nodes if live.ready(name)]
    if network.gateway_nodes and not ready:
        return f"none of its gateway nodes is ready ({', '.join(network.gateway_nodes)})"
    if live.speakers is not None and not any(live.speakers.get(name) for name in ready):
        return f"MetalLB's speaker runs on none of its gateway nodes ({', '.join(ready)})" + _TAINTED
    if service.selector and service.local and not {pod.node for pod in behind} & set(ready):
        return f"{_OWN}none is on a gateway node, as externalTrafficPolicy: Local asks"
    if trouble := _trouble(traffic.events.get((service.namespace, service.name), ())):
        return trouble
    if "servicel2statuses" in live.unread:
        return f"its announcements cannot be read: {live.unread['servicel2statuses']}"
    if STATUSES not in live.served:
        return "this MetalLB keeps no ServiceL2Status and no event names a node: ask the speakers' logs"
    return "no speaker says that it does: do MetalLB's speakers run on the gateway nodes?"


def _why_waiting(world: World, service: Service, traffic: Traffic) -> str:
    if trouble := _trouble(traffic.events.get((service.namespace, service.name), ())):
        return trouble
    if not world.site.addons.metallb:
        return "site.yaml names no MetalLB, so nothing gives out addresses"
    if service.load_balancer_class:
        return f"it asks for the class {service.load_balancer_class}"
    return "no event about it: does MetalLB's controller run?"


def _trouble(events: Iterable[Event]) -> str:
    """The newest complaint, as long as nothing good came after it."""
    for event in events:
        if event.type == "Warning" or event.reason in _TROUBLE:
            return f"{event.reason}: {event.message}"
        if event.reason in ("IPAllocated", _ANNOUNCED):
            return ""
    return ""


def _quoted(message: str) -> str:
    """node-1 from `announcing from node "node-1" with protocol "layer2"`."""
    parts = message.split('"')
    return parts[1] if len(parts) > 2 else ""


_K = TypeVar("_K")
_V = TypeVar("_V")


def _frozen(lists: dict[_K, list[_V]]) -> dict[_K, tuple[_V, ...]]:
    return {key: tuple(items) for key, items in lists.items()}
