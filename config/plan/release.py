"""Addresses that move from one object to another: which object has to let go of what before anything is applied.

MetalLB's webhook refuses a pool that overlaps another at any moment (and egressgateway refuses to take an address
from a gateway while a policy uses it), so that two tenants could never exchange addresses one object at a time. Hence
whatever holds an address that another object is to get is narrowed first, to what it has and keeps, or deleted where
that is nothing. The same holds if an apply ends in between: the next plan starts from the narrowed objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from config.emit.common import Manifest
from config.models.addresses import AddressRange, IPAddress

Span = tuple[int, int, int]
"""IP version, first and last address as numbers."""

HOLDERS = frozenset({"IPAddressPool", "EgressGateway"})
"""Kinds that hold addresses of their own."""


@dataclass(frozen=True)
class Held:
    """What one object holds now and is to hold; *wanted* is empty where the object goes."""

    live: Manifest
    desired: Manifest | None
    has: tuple[Span, ...]
    wanted: tuple[Span, ...]


def spans(manifest: Manifest | None) -> tuple[Span, ...]:
    """The addresses of a pool or gateway, sorted; one that nobody can read counts as none."""
    if manifest is None:
        return ()
    spec: dict[str, Any] = manifest.get("spec") or {}
    pools = spec.get("ippools") or {}
    texts = [*(spec.get("addresses") or ()), *(pools.get("ipv4") or ()), *(pools.get("ipv6") or ())]
    found = []
    for text in texts:
        try:
            one = AddressRange.parse(text)
        except ValueError:
            continue  # made by hand: the API server will say what it thinks of it
        found.append((one.first.version, int(one.first), int(one.last)))
    return _merged(found)


def _merged(found: Iterable[Span]) -> tuple[Span, ...]:
    merged: list[Span] = []
    for version, first, last in sorted(found):
        if merged and merged[-1][0] == version and first <= merged[-1][2] + 1:
            merged[-1] = (version, merged[-1][1], max(last, merged[-1][2]))
        else:
            merged.append((version, first, last))
    return tuple(merged)


def common(one: Sequence[Span], other: Sequence[Span]) -> tuple[Span, ...]:
    """The addresses in both."""
    found = (
        (version, max(first, start), min(last, end))
        for version, first, last in one
        for other_version, start, end in other
        if version == other_version and first <= end and start <= last
    )
    return _merged(found)


def without(one: Sequence[Span], other: Sequence[Span]) -> tuple[Span, ...]:
    """The addresses of *one* that are not in *other*."""
    rest = list(one)
    for version, start, end in other:
        cut: list[Span] = []
        for mine, first, last in rest:
            if mine != version or last < start or end < first:
                cut.append((mine, first, last))
                continue
            if first < start:
                cut.append((mine, first, start - 1))
            if end < last:
                cut.append((mine, end + 1, last))
        rest = cut
    return tuple(rest)


def to_release(pairs: Iterable[tuple[Manifest | None, Manifest | None]]) -> tuple[Held, ...]:
    """Of all changing (desired, live) *pairs* of one kind those that hold an address which another one is to get."""
    changing = [(desired, live, spans(desired), spans(live)) for desired, live in pairs]
    gained = [without(wanted, has) for _, _, wanted, has in changing]
    found = []
    for place, (desired, live, wanted, has) in enumerate(changing):
        lost = without(has, wanted)
        taken = (gain for other, gain in enumerate(gained) if other != place)
        if live is not None and lost and any(common(lost, gain) for gain in taken if gain):
            found.append(Held(live, desired, has, wanted))
    return tuple(found)


def narrowed(held: Held) -> Manifest | None:
    """The object with only those addresses that it has and keeps; None where none is left, or it goes anyway.

    A gateway of both families keeps as many of one as of the other (egressgateway refuses anything else).
    """
    kept = common(held.has, held.wanted)
    if held.desired is None or not kept:
        return None
    spec = held.desired["spec"]
    if held.desired["kind"] == "IPAddressPool":
        return {**held.desired, "spec": {**spec, "addresses": [text for span in kept for text in _texts(span)]}}
    pools = dict(spec["ippools"])
    families = [name for name in ("ipv4", "ipv6") if pools.get(name)]
    left = {name: [one for one in kept if one[0] == int(name[-1])] for name in families}
    room = min(sum(last - first + 1 for _, first, last in left[name]) for name in families)
    if room == 0:
        return None
    for name in families:
        some = _first(left[name], room)
        pools[name] = [text for span in some for text in _texts(span)]
        default = f"{name}DefaultEIP"
        if default in pools and not common(spans({"spec": {"addresses": [pools[default]]}}), some):
            return None  # its default address goes: immutable, so it is made anew anyway
    return {**held.desired, "spec": {**spec, "ippools": pools}}


def _first(found: Sequence[Span], room: int) -> list[Span]:
    some = []
    for version, first, last in found:
        if room > 0:
            some.append((version, first, min(last, first + room - 1)))
            room -= last - first + 1
    return some


def _texts(span: Span) -> list[str]:
    """As MetalLB and egressgateway both read it: an address, or first-last."""
    version, first, last = span
    kind: type[IPAddress] = IPv4Address if version == 4 else IPv6Address
    return [str(AddressRange(kind(first), kind(last)))]
