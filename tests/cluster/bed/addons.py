"""The add-ons of a bed with nodes, each in a module of its own with `start(bed, binaries)`, safe to call twice."""

from __future__ import annotations

import importlib

from tests.cluster.bed.binaries import Binaries
from tests.cluster.bed.names import Bed


def start(bed: Bed, programs: Binaries, name: str) -> None:
    """Start one add-on: registry, lab, coredns or metallb."""
    module = importlib.import_module(f"tests.cluster.bed.{name}")
    module.start(bed, programs)


def wanted(bed: Bed) -> list[str]:
    """Those that this bed has. MetalLB needs its resource definitions."""
    if not bed.nodes:
        return []
    return ["lab", "registry", "coredns", *(["metallb"] if bed.crds != "none" else [])]
