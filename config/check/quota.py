"""A tenant can run what it may use."""

from __future__ import annotations

from collections.abc import Iterator

from config.errors import Problem
from config.models import Profile, Quota, World, format_memory
from config.models.quantity import format_cpu
from config.sources import Sources
from config.yamltext import Path


def quota_too_small(world: World, sources: Sources) -> Iterator[Problem]:
    """At least one size of each profile fits into the whole quota."""
    for tenant in world.tenants.values():
        for profile in world.profiles_of(tenant):
            where = sources.place("profiles", profile.name, ("sizes",))
            for path, said, fix in _too_small(tenant.quota, profile, where):
                yield sources.problem("tenants", tenant.name, path, said, fix)


def _too_small(quota: Quota, profile: Profile, where: str) -> Iterator[tuple[Path, str, str]]:
    if any(size.cpu <= quota.cpu and size.memory <= quota.memory for size in profile.sizes):
        return
    cpu, memory = min(size.cpu for size in profile.sizes), min(size.memory for size in profile.sizes)
    needs = f"no size of profile `{profile.name}` ({where}) fits"
    remedy = "or leave the profile out"
    if cpu > quota.cpu:
        said = f"{needs}: the smallest takes {format_cpu(cpu)} CPU of {format_cpu(quota.cpu)}"
        yield ("quota", "cpu"), said, f"write at least {format_cpu(cpu)}, {remedy}"
    if memory > quota.memory:
        said = f"{needs}: the smallest takes {format_memory(memory)} of memory of {format_memory(quota.memory)}"
        yield ("quota", "memory"), said, f"write at least {format_memory(memory)}, {remedy}"
    if cpu <= quota.cpu and memory <= quota.memory:
        said = f"{needs}: CPU and memory together"
        yield ("quota",), said, f"raise the quota to one of the sizes, {remedy}"
