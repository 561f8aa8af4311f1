"""Addresses as pages tell them: one text of all that a workload has, IPv4 first: `192.0.2.205, 2001:db8::205`."""

from __future__ import annotations

from collections.abc import Iterable

_BETWEEN = ", "
ALLOCATING = "is being allocated"


def joined(addresses: Iterable[str]) -> str | None:
    """One text of them; None where there are none."""
    return _BETWEEN.join(sorted(dict.fromkeys(addresses), key=lambda one: ":" in one)) or None


def each(text: str | None) -> tuple[str, ...]:
    """The addresses of such a text."""
    return tuple(text.split(_BETWEEN)) if text else ()


def host(address: str) -> str:
    """As it stands in a URL or before a port: IPv6 in brackets."""
    return f"[{address}]" if ":" in address else address


def rows(text: str | None, scheme: str = "") -> list[tuple[str, str]]:
    """A row (label, value) for each address, so that each can be copied; *scheme* makes URLs of them.

    A Service has one of each family at most.
    """
    shown = [f"{scheme}://{host(one)}" if scheme else one for one in each(text)] or [ALLOCATING]
    return list(zip(("Address", "IPv6 address"), shown, strict=False))
