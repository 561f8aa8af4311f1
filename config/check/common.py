"""What several checks need."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TypeVar

from config.models import Network, Tenant, World

T = TypeVar("T")


def repeated(values: Iterable[Hashable]) -> Iterator[tuple[int, int]]:
    """Index of each value that was there before, with the index where it was first."""
    first: dict[Hashable, int] = {}
    for index, value in enumerate(values):
        if value in first:
            yield index, first[value]
        else:
            first[value] = index


def claimed_twice(items: Iterable[T], key: Callable[[T], Hashable | None]) -> Iterator[tuple[T, T]]:
    """Each item whose key an earlier one has, with that first one; a key of None claims nothing."""
    first: dict[Hashable, T] = {}
    for item in items:
        claim = key(item)
        if claim is None:
            continue
        if claim in first:
            yield item, first[claim]
        else:
            first[claim] = item


def networks(world: World) -> Iterator[tuple[Tenant, int, Network]]:
    """Every network with its tenant and its index there."""
    for tenant in world.tenants.values():
        for index, network in enumerate(tenant.networks):
            yield tenant, index, network


def of_tenant(tenant: str, other: str) -> str:
    """How a message to *tenant* names *other*."""
    return "the same tenant" if tenant == other else f"tenant `{other}`"
