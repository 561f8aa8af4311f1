"""The add-ons' resource definitions: the real ones where they are at hand, else stand-ins that take every field.

Real ones are looked for in $TENANTHUB_CRDS, then in ../shared/crds beside the repository; each has a folder `current`
and a folder `paper` (the versions of the Kyoto paper).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.cluster.bed import control, processes
from tests.cluster.bed.names import Bed, BedError

REPOSITORY = Path(__file__).parents[3]
SETS = ("current", "paper", "none")
NAMESPACED, CLUSTER = "Namespaced", "Cluster"

KINDS: Mapping[tuple[str, str], Mapping[str, tuple[str, str]]] = {
    ("capsule.clastix.io", "v1beta2"): {
        "CapsuleConfiguration": ("capsuleconfigurations", CLUSTER),
        "Tenant": ("tenants", CLUSTER),
    },
    ("cilium.io", "v2"): {
        "CiliumClusterwideNetworkPolicy": ("ciliumclusterwidenetworkpolicies", CLUSTER),
        "CiliumNetworkPolicy": ("ciliumnetworkpolicies", NAMESPACED),
    },
    ("egressgateway.spidernet.io", "v1beta1"): {
        "EgressClusterEndpointSlice": ("egressclusterendpointslices", CLUSTER),
        "EgressClusterInfo": ("egressclusterinfos", CLUSTER),
        "EgressClusterPolicy": ("egressclusterpolicies", CLUSTER),
        "EgressEndpointSlice": ("egressendpointslices", NAMESPACED),
        "EgressGateway": ("egressgateways", CLUSTER),
        "EgressPolicy": ("egresspolicies", NAMESPACED),
        "EgressTunnel": ("egresstunnels", CLUSTER),
    },
    ("metallb.io", "v1beta1"): {
        "IPAddressPool": ("ipaddresspools", NAMESPACED),
        "L2Advertisement": ("l2advertisements", NAMESPACED),
        "ServiceL2Status": ("servicel2statuses", NAMESPACED),
    },
}


def folder(which: str, environ: Mapping[str, str] = os.environ) -> Path | None:
    """Where the real definitions of a set are; None where there are none on this machine.

    Raises:
        BedError: $TENANTHUB_CRDS names a folder without that set.
    """
    if named := environ.get("TENANTHUB_CRDS"):
        if not (found := Path(named) / which).is_dir():
            raise BedError(f"TENANTHUB_CRDS={named}: there is no folder {which} in it")
        return found
    found = REPOSITORY.parent / "shared" / "crds" / which
    return found if found.is_dir() else None


def stand_ins() -> list[dict[str, Any]]:
    """Definitions of the same groups, versions and kinds that take every field."""
    return [
        _stand_in(group, version, kind, plural, scope)
        for (group, version), kinds in KINDS.items()
        for kind, (plural, scope) in kinds.items()
    ]


def _stand_in(group: str, version: str, kind: str, plural: str, scope: str) -> dict[str, Any]:
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": scope,
            "names": {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()},
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "schema": {
                        "openAPIV3Schema": {"type": "object", "properties": {"spec": anything, "status": anything}}
                    },
                }
            ],
        },
    }


def install(bed: Bed, kubectl: Path, say: Callable[[str], None]) -> None:
    """Put the bed's set into its API server and wait until its kinds are served; says which it is.

    Raises:
        BedError: The API server refuses one, or they are not served in time.
    """
    if bed.crds == "none":
        say("definitions of add-ons: none, as asked")
        return
    source = folder(bed.crds)
    given = None if source else json.dumps({"apiVersion": "v1", "kind": "List", "items": stand_ins()})
    say(f"definitions of add-ons: {source or 'stand-ins that take every field (set TENANTHUB_CRDS for the real ones)'}")
    argv = [str(kubectl), f"--kubeconfig={bed.kubeconfig}", "apply", "--server-side", "--filename", str(source or "-")]
    processes.run(bed.name, [*argv, "--cache-dir", str(bed.state / "kubectl")], given=given)
    processes.wait(bed, "the add-ons' kinds", lambda: established(bed), watch=["kube-apiserver"], patience_s=30)


def established(bed: Bed) -> bool:
    """Whether the API server serves every kind that has been defined."""
    items = control.call(bed, "GET", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions")["items"]
    return all(
        any(
            each["type"] == "Established" and each["status"] == "True"
            for each in item.get("status", {}).get("conditions", [])
        )
        for item in items
    )
