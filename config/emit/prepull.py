"""A DaemonSet a tenant that has its profiles' images on its workers before anybody asks for one of them.

Where site.yaml says `cluster: {prepull: true}`. In the hub's namespace, which the chart makes: there it eats nothing of
a tenant's quota, and no member sees it. Images that a profile does not name are the release's own; those the chart's
pre-puller has (helm/tenanthub, prePuller). One container an image, after one another, each of which ends at once: what
a node lacks, the kubelet pulls for it. A node that joins, or a profile that changes, is served as soon as it is seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from config.emit import places
from config.emit.common import Manifest, metadata
from config.models import Tenant, World
from config.names import keys

NAME_LABEL, INSTANCE_LABEL = "app.kubernetes.io/name", "app.kubernetes.io/instance"
"""Kubernetes, "Recommended Labels"."""
_NAME = "tenanthub-prepull"
_USER = 65534
"""nobody: any image can be started so, since nothing in it is read but sh."""
_RESOURCES = {"requests": {"cpu": "1m", "memory": "8Mi"}, "limits": {"memory": "32Mi"}}
_STAY = "trap 'exit 0' TERM; while :; do sleep 86400 & wait; done"
"""Ends at once when asked to: a process 1 that does not say what to do at SIGTERM is killed only 30 s later."""


def emit(world: World) -> Iterator[Manifest]:
    """One for each tenant that may use a profile with an image of its own; none where the site does not want it."""
    if not world.site.cluster.prepull:
        return
    for tenant in world.tenants.values():
        if found := images(world, tenant):
            yield _daemonset(world, tenant, found)


def images(world: World, tenant: Tenant) -> tuple[str, ...]:
    """The images that profiles of *tenant* name, each once, in order."""
    profiles = (world.profiles[name] for name in tenant.profiles if name in world.profiles)
    return tuple(sorted({profile.image for profile in profiles if profile.image}))


def _daemonset(world: World, tenant: Tenant, found: tuple[str, ...]) -> Manifest:
    site, names = world.site, keys(world.site)
    mine = {NAME_LABEL: _NAME, INSTANCE_LABEL: tenant.name}
    selector, tolerations = places.worker_labels(tenant, names), places.worker_tolerations(tenant, names)
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": metadata(
            site, f"prepull-{tenant.name}", tenant=tenant, namespace=site.cluster.hub_namespace, labels=mine
        ),
        "spec": {
            "selector": {"matchLabels": mine},
            # Nobody waits for one of them: all may be away at once, and the new images come the sooner.
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "100%"}},
            "template": {
                "metadata": {"labels": mine},
                "spec": {
                    **({"nodeSelector": selector} if selector else {}),
                    **({"tolerations": tolerations} if tolerations else {}),
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "terminationGracePeriodSeconds": 1,
                    "securityContext": {
                        "runAsNonRoot": True,
                        "runAsUser": _USER,
                        "runAsGroup": _USER,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "initContainers": [_container(f"pull-{n}", image, ":") for n, image in enumerate(found)],
                    "containers": [_container("stay", found[0], _STAY)],
                },
            },
        },
    }


def _container(name: str, image: str, script: str) -> dict[str, Any]:
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/sh", "-c", script],
        "resources": _RESOURCES,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }
