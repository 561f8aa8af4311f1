"""Volumes that outlive their Pods: the claims of a launch, made where they are not there yet and never removed by us.

A claim belongs to an owner, not to a workload: it has no owner reference, `tenanthub apply` knows nothing of it, and it
stays when the workload is stopped and taken off the list. It goes by hand (kubectl delete pvc), or with the tenant's
namespace, which config.cluster.running asks about first. ReadWriteOnce: what two servers share, they share on one node.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from config.emit.common import Manifest, metadata
from config.emit.quota import memory_quantity
from config.names import keys, slug
from spawners.kube.launch import Launch
from spawners.kube.look import at, mapping
from spawners.kube.names import annotation_owner
from spawners.kube.plan import Claim
from spawners.refusal import Refusal

KIND = "PersistentVolumeClaim"
HOME = "home"


class Cloud(Protocol):
    """What is asked of the API server (client.Client has it all)."""

    async def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        """See Client."""

    async def create(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """See Client."""


def claim(one: Claim, launch: Launch) -> Manifest:
    """The object. Labels say whose it is; the record of no workload is on it, since it is none."""
    own = keys(launch.site)
    labels = {own.owner: slug(launch.workload.owner), f"{own.domain}/holds": HOME}
    return {
        "apiVersion": "v1",
        "kind": KIND,
        "metadata": metadata(
            launch.site,
            one.name,
            tenant=launch.tenant,
            namespace=launch.namespace,
            labels=labels,
            annotations={annotation_owner(own): launch.workload.owner},
        ),
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": one.storage_class,
            "resources": {"requests": {"storage": memory_quantity(one.size)}},
        },
    }


async def ensure(cloud: Cloud, launch: Launch) -> None:
    """Make the claims of *launch* that are not there. KubeError; Refusal (reason place) for one that is somebody
    else's, or is being deleted. One that is there stays as it is: its class cannot change, its size is its owner's."""
    owner = annotation_owner(keys(launch.site))
    for one in launch.plan.claims:
        found = await cloud.get(KIND, launch.namespace, one.name)
        if found is None:
            await cloud.create(claim(one, launch))
        elif mapping(found, "metadata", "annotations").get(owner) != launch.workload.owner:
            raise Refusal.of("place", f"the volume {one.name} is not {launch.workload.owner}'s", "home")
        elif at(found, "metadata", "deletionTimestamp"):
            raise Refusal.of("place", f"the volume {one.name} is being deleted: try again when it is gone", "home")
