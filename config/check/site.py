"""site.yaml by itself."""

from __future__ import annotations

from collections.abc import Iterator

from config.errors import Problem
from config.models import World
from config.sources import Sources

_RESERVED = ("kubernetes.io", "k8s.io")


def label_domain(world: World, sources: Sources) -> Iterator[Problem]:
    """kubernetes.io and k8s.io are reserved for Kubernetes itself ("Well-Known Labels, Annotations and Taints")."""
    domain = world.site.label_domain
    for reserved in _RESERVED:
        if domain == reserved or domain.endswith("." + reserved):
            said = f"{reserved} is reserved for Kubernetes itself"
            fix = "write a domain of yours, e.g. edge.example.org"
            yield sources.problem("site", "", ("label_domain",), said, fix)


def cluster_networks(world: World, sources: Sources) -> Iterator[Problem]:
    """Pods, Services and nodes have networks of their own."""
    found = [
        (field, index, network)
        for field in ("pods", "services", "nodes")
        for index, network in enumerate(getattr(world.site.cluster, field))
    ]
    for number, (field, index, network) in enumerate(found):
        for other_field, other_index, other in found[:number]:
            if network.version == other.version and network.overlaps(other):
                where = sources.place("site", "", ("cluster", other_field, other_index))
                said = f"{network} overlaps {other} of the {other_field} ({where})"
                path = ("cluster", field, index)
                yield sources.problem("site", "", path, said, "write the range that the cluster was made with")
