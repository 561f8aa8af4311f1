"""The last step before a Pod is created: the tenant's values laid over the final object, then the whole of it judged.

Two steps on purpose. What KubeSpawner and its configuration have made is corrected where the tenant's value is the only
right one (`enforce`). What they add beyond that (a volume, a host port, a side-car) is not taken away silently, since
whoever asked for it would look for it: the launch is refused, and every reason is told (`violations`). The second step
reads nothing of what the first did, so that a mistake in one is found by the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from config.emit.common import Manifest
from spawners.kube import names, pod
from spawners.kube.fields import unknown_fields
from spawners.kube.launch import Launch
from spawners.kube.manifests import pod_of
from spawners.kube.podsecurity import pod_security
from spawners.kube.resources import over_size
from spawners.kube.secrets import by_reference, plain_tokens
from spawners.kube.tenancy import foreign
from spawners.refusal import Refusal, Violation


def enforce(found: Mapping[str, Any], launch: Launch) -> Manifest:
    """A copy of KubeSpawner's Pod *found* (as JSON) in which all that is the tenant's to say says so.

    KubeSpawner gives what only the hub knows: the JUPYTERHUB_ variables, the port, its own labels. Program, image,
    size, user, place and rights are the plan's; of the rest nothing is removed (see `violations`). The hub's token
    becomes a reference to the workload's Secret: whoever creates the Pod first creates that with secrets.tokens_of().
    """
    made: Manifest = deepcopy(dict(found))
    meta = made["metadata"] = dict(made.get("metadata") or {})
    meta["name"], meta["namespace"] = launch.name, launch.namespace
    meta["labels"] = {
        **(meta.get("labels") or {}),
        **names.pod_labels(launch.workload, launch.tenant, launch.site),
    }
    meta["annotations"] = {
        **(meta.get("annotations") or {}),
        **pod.settings(launch),
        **names.record(launch.workload, launch.site),
    }
    spec = made["spec"] = dict(made.get("spec") or {})
    ours = pod.spec(launch)
    spec["volumes"] = _by(ours["volumes"], spec.get("volumes"), "name")
    spec.update({key: value for key, value in ours.items() if key != "volumes"})
    # Replaced, not joined: a selector or toleration of the spawner's configuration is none of the tenant's.
    spec["nodeSelector"], spec["tolerations"] = pod.node_selector(launch), pod.tolerations(launch)
    spec["restartPolicy"] = "Never"
    containers = list(spec.get("containers") or [])
    if containers:
        spec["containers"] = [_container(containers[0], launch), *containers[1:]]
    return made


def _container(found: Mapping[str, Any], launch: Launch) -> dict[str, Any]:
    """KubeSpawner's container with the plan's program in it."""
    ours = pod.container(launch)
    made = dict(found)
    made.pop("args", None)  # the plan's argv is whole
    kept = {"name", "env", "volumeMounts", "ports"}
    made.update({key: value for key, value in ours.items() if key not in kept})
    made["env"] = by_reference(_by(ours["env"], made.get("env"), "name"), launch)
    made["volumeMounts"] = _by(ours["volumeMounts"], made.get("volumeMounts"), "mountPath")
    return made


def _by(ours: list[dict[str, Any]], theirs: Any, key: str) -> list[dict[str, Any]]:
    """Both lists, theirs first; where two have the same *key*, ours."""
    taken = {one[key] for one in ours}
    others = [one for one in theirs or [] if not isinstance(one, Mapping) or one.get(key) not in taken]
    return [*others, *ours]


def violations(found: Mapping[str, Any], launch: Launch) -> tuple[Violation, ...]:
    """Everything in the Pod or Pod template *found* that must not be, by its field. Empty: it may be created."""
    every = (
        *pod_security(found),
        *foreign(found, launch),
        *over_size(found, launch),
        *unknown_fields(found),
        *plain_tokens(found),
    )
    return tuple(dict.fromkeys(every))


def admit(manifest: Mapping[str, Any], launch: Launch) -> None:
    """Refusal (reason place) with each violation of the Pod in *manifest*, of whatever kind it is.

    Objects without a Pod (Service, Role) are made by manifests() from nothing that people write but names and ports.
    """
    found = pod_of(dict(manifest))
    wrong = violations(found, launch) if found is not None else ()
    if wrong:
        raise Refusal("place", wrong)
