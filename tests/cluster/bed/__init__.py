"""A real Kubernetes on this machine for the tests; docs/test-bed.md says how it is made and how to use it."""

from tests.cluster.bed.names import Bed, BedError, Node, Vlan

__all__ = ["Bed", "BedError", "Node", "Vlan"]
