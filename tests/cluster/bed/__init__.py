"""A real Kubernetes on this machine for the tests; docs/test-bed.md says how it is made and how to use it."""

from tests.cluster.bed.names import Bed, BedError, Node, Vlan
from tests.cluster.bed.needs import missing
from tests.cluster.bed.rise import find, reap, up
from tests.cluster.bed.teardown import down

__all__ = ["Bed", "BedError", "Node", "Vlan", "down", "find", "missing", "reap", "up"]
