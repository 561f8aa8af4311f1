"""Quota of a tenant: counted as declared by the sizes of its starting and running workloads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from config.models import Size, Tenant, format_memory
from config.models.quantity import format_cpu
from spawners.refusal import Refusal, Violation


@dataclass(frozen=True)
class Usage:
    """What is taken: a count, CPUs, bytes."""

    workloads: int = 0
    cpu: float = 0.0
    memory: int = 0

    def plus(self, size: Size) -> Usage:
        """With one more workload of *size*."""
        return Usage(self.workloads + 1, self.cpu + size.cpu, self.memory + size.memory)


def used(sizes: Iterable[Size]) -> Usage:
    """The sum over the sizes of what runs."""
    usage = Usage()
    for size in sizes:
        usage = usage.plus(size)
    return usage


def overruns(tenant: Tenant, usage: Usage, size: Size) -> list[Violation]:
    """Which limits one more workload of *size* would break; empty when it fits."""
    after, quota = usage.plus(size), tenant.quota
    wrong = []
    if after.workloads > quota.workloads:
        wrong.append(Violation("quota", f"{tenant.name} runs {usage.workloads} of {quota.workloads} workloads"))
    if round(after.cpu * 1000) > round(quota.cpu * 1000):
        wrong.append(
            Violation(
                "quota",
                f"needs {format_cpu(size.cpu)} CPU, but {tenant.name} uses {format_cpu(usage.cpu)} of"
                f" {format_cpu(quota.cpu)}",
            )
        )
    if after.memory > quota.memory:
        wrong.append(
            Violation(
                "quota",
                f"needs {format_memory(size.memory)} memory, but {tenant.name} uses {format_memory(usage.memory)}"
                f" of {format_memory(quota.memory)}",
            )
        )
    return wrong


def require(tenant: Tenant, usage: Usage, size: Size) -> None:
    """Refusal (reason quota) when one more workload of *size* does not fit."""
    wrong = overruns(tenant, usage, size)
    if wrong:
        hint = "stop a workload or choose a smaller size"
        raise Refusal("quota", [Violation(v.field, f"{v.message}; {hint}") for v in wrong])
