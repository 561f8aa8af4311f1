"""ServiceAccounts of a tenant: the one that Kubernetes makes in each namespace, without a token in every Pod.

Nothing binds a Role to a ServiceAccount of a tenant's namespace, and nothing may: whoever makes Pods there can run them
as any of its ServiceAccounts, and read a token of theirs from a Secret.
Source: Kubernetes, "Configure Service Accounts for Pods", opt out of API credential automounting.
"""

from __future__ import annotations

from collections.abc import Iterator

from config.emit.common import Manifest, metadata
from config.models import World
from config.names import namespace

DEFAULT = "default"


def emit(world: World) -> Iterator[Manifest]:
    """The ServiceAccount `default` a tenant. Kubernetes makes it too: who comes first does not matter."""
    for tenant in world.tenants.values():
        yield {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": metadata(world.site, DEFAULT, tenant=tenant, namespace=namespace(tenant)),
            "automountServiceAccountToken": False,
        }
