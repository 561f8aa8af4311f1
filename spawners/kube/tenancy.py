"""That a Pod is its tenant's and nobody else's: where it lies and runs, what it is called, whose rights it has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from config.images import comes_from
from config.names import keys
from spawners.kube import names
from spawners.kube import pod as builder
from spawners.kube.launch import Launch
from spawners.kube.look import at, containers, is_set, mapping, objects
from spawners.refusal import Violation

Pod = Mapping[str, Any]
Check = Callable[[Pod, Launch], Iterator[Violation]]

NODE_TAINTS = "node.kubernetes.io/"
"""Taints that Kubernetes itself sets; DefaultTolerationSeconds makes every Pod tolerate two of them."""
SPAWNER = "hub.jupyter.org/"
"""Annotations that KubeSpawner writes for people to read."""
GRACE_S = 3600
"""A Pod that is being ended keeps its place and its quota; no program of ours needs more than two minutes."""


def foreign(pod: Pod, launch: Launch) -> Iterator[Violation]:
    """Everything in *pod* that is not, or might not be, the tenant's."""
    for check in CHECKS:
        yield from check(pod, launch)


def _place(pod: Pod, launch: Launch) -> Iterator[Violation]:
    """A template lies where its object does, so it says no namespace, or the same."""
    namespace, name = at(pod, "metadata", "namespace"), at(pod, "metadata", "name")
    whole = at(pod, "kind") == "Pod" or name is not None
    if namespace != launch.namespace and (whole or namespace is not None):
        yield Violation("metadata.namespace", f"is {namespace!r}; {launch.tenant.name} has {launch.namespace}")
    if name != launch.name and whole:
        yield Violation("metadata.name", f"is {name!r}; this workload's objects are called {launch.name}")


def _labels(pod: Pod, launch: Launch) -> Iterator[Violation]:
    wanted = names.pod_labels(launch.workload, launch.tenant, launch.site)
    have = mapping(pod, "metadata", "labels")
    for key, value in wanted.items():
        if have.get(key) != value:
            yield Violation(f"metadata.labels[{key}]", f"is {have.get(key)!r}, must be {value!r}")
    for key in sorted(set(have) - set(wanted)):
        if key.startswith(f"{launch.domain}/"):
            what = "names a network without egress addresses" if key == keys(launch.site).egress_policy else "is ours"
            yield Violation(f"metadata.labels[{key}]", f"{what}: leave it out")
        elif key.startswith("io.cilium.k8s."):
            # Before 1.14.2 Cilium takes it for a label of the namespace (CVE-2023-39347).
            yield Violation(f"metadata.labels[{key}]", "is for Cilium alone to set: leave it out")


def _annotations(pod: Pod, launch: Launch) -> Iterator[Violation]:
    """Network plugins and the like take orders by annotation (another VLAN, a fixed address, no limit)."""
    own = keys(launch.site)
    wanted = {**names.record(launch.workload, launch.site), **builder.settings(launch)}
    have = mapping(pod, "metadata", "annotations")
    for key in sorted(have):
        if key in wanted:
            if have[key] != wanted[key]:
                yield Violation(f"metadata.annotations[{key}]", "was changed: leave it as it is")
        elif not key.startswith(SPAWNER):
            yield Violation(f"metadata.annotations[{key}]", "may give orders to the cluster: leave it out")
    needed = [names.annotation_settings(own)] if launch.plan.settings is not None else []
    # A template's object carries the record; a Pod that nobody made another object for carries it itself.
    needed += names.record(launch.workload, launch.site) if launch.plan.mode == "pod" else []
    for key in needed:
        if key not in have:
            yield Violation(f"metadata.annotations[{key}]", "is missing")


def _workers(pod: Pod, launch: Launch) -> Iterator[Violation]:
    have = mapping(pod, "spec", "nodeSelector")
    wanted = builder.node_selector(launch)
    for key, value in wanted.items():
        if have.get(key) != value:
            said = f"is {have.get(key)!r}, must be {value!r}: the workers of {launch.tenant.name}"
            yield Violation(f"spec.nodeSelector[{key}]", said)
    for key in sorted(set(have) - set(wanted)):
        if key.startswith(f"{launch.domain}/"):
            yield Violation(f"spec.nodeSelector[{key}]", "marks nodes for another purpose: leave it out")


def _tolerations(pod: Pod, launch: Launch) -> Iterator[Violation]:
    own = builder.tolerations(launch)
    for number, one in objects(pod, "spec", "tolerations"):
        if dict(one) not in own and not str(one.get("key") or "").startswith(NODE_TAINTS):
            what = f"the taint {one['key']}={one.get('value') or '*'}" if one.get("key") else "every taint"
            yield Violation(f"spec.tolerations[{number}]", f"tolerates {what}, which keeps others' nodes: leave it out")


def _scheduler(pod: Pod, launch: Launch) -> Iterator[Violation]:
    del launch
    for field, why in (
        ("nodeName", "skips the scheduler"),
        ("priorityClassName", "puts other people's Pods aside"),
        ("priority", "puts other people's Pods aside"),
        ("preemptionPolicy", "goes with a priority"),
    ):
        if is_set(at(pod, "spec", field)):
            yield Violation(f"spec.{field}", f"{at(pod, 'spec', field)!r} {why}: leave it out")
    if at(pod, "spec", "schedulerName") not in (None, "", "default-scheduler"):
        yield Violation("spec.schedulerName", f"{at(pod, 'spec', 'schedulerName')!r} has other rules: leave it out")
    grace = at(pod, "spec", "terminationGracePeriodSeconds")
    if grace is not None and (not isinstance(grace, int) or grace > GRACE_S):
        yield Violation("spec.terminationGracePeriodSeconds", f"must be a number of seconds up to {GRACE_S}")


def _affinity(pod: Pod, launch: Launch) -> Iterator[Violation]:
    """To nodes by labels of ours; to or from Pods of other namespaces, which holds both ways."""
    node = mapping(pod, "spec", "affinity", "nodeAffinity")
    terms = [one for _, one in objects(node, "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms")]
    terms += [mapping(one, "preference") for _, one in objects(node, "preferredDuringSchedulingIgnoredDuringExecution")]
    for term in terms:
        for _, expression in objects(term, "matchExpressions"):
            if str(expression.get("key")).startswith(f"{launch.domain}/"):
                said = f"names {expression['key']}, which marks nodes of tenants: leave it out"
                yield Violation("spec.affinity.nodeAffinity", said)
    for kind in ("podAffinity", "podAntiAffinity"):
        own = mapping(pod, "spec", "affinity", kind)
        near = [one for _, one in objects(own, "requiredDuringSchedulingIgnoredDuringExecution")]
        near += [
            mapping(one, "podAffinityTerm")
            for _, one in objects(own, "preferredDuringSchedulingIgnoredDuringExecution")
        ]
        for term in near:
            # An empty namespaceSelector selects all namespaces, so that it is there is what counts.
            others = [one for one in term.get("namespaces") or [] if one != launch.namespace]
            if others or term.get("namespaceSelector") is not None:
                yield Violation(f"spec.affinity.{kind}", "asks for Pods of other namespaces: leave them out")


def _rights(pod: Pod, launch: Launch) -> Iterator[Violation]:
    wanted = launch.service_account
    for field in ("serviceAccountName", "serviceAccount"):
        name = at(pod, "spec", field) or "default"
        if name != wanted and (field == "serviceAccountName" or is_set(at(pod, "spec", field))):
            yield Violation(f"spec.{field}", f"is {name!r}; this workload has {wanted!r}")
    if at(pod, "spec", "automountServiceAccountToken") is not bool(launch.plan.rules):
        said = f"must be {str(bool(launch.plan.rules)).lower()}"
        yield Violation("spec.automountServiceAccountToken", said)
    if at(pod, "spec", "enableServiceLinks") is not False:
        yield Violation("spec.enableServiceLinks", "must be false")


def _volumes(pod: Pod, launch: Launch) -> Iterator[Violation]:
    """Beyond Pod Security: no token by the back door, no driver that a Pod chooses, no folder without an end."""
    del launch
    for number, volume in objects(pod, "spec", "volumes"):
        field = f"spec.volumes[{number}]"
        if volume.get("csi") is not None:
            yield Violation(f"{field}.csi", "a storage driver chosen by a Pod is not allowed: use a claim")
        if volume.get("emptyDir") is not None and not is_set(at(volume, "emptyDir", "sizeLimit")):
            yield Violation(f"{field}.emptyDir.sizeLimit", "must say how much of the node's disk it may fill")
        for position, source in objects(volume, "projected", "sources"):
            for sort in sorted(set(source) - {"configMap", "downwardAPI", "secret"}):
                if source[sort] is not None:
                    where = f"{field}.projected.sources[{position}].{sort}"
                    yield Violation(where, "gives the Pod an identity of its own: leave it out")


def _images(pod: Pod, launch: Launch) -> Iterator[Violation]:
    registries = launch.site.image_registries
    for field, one in containers(pod):
        image = str(one.get("image") or "")
        if not image:
            yield Violation(f"{field}.image", "is needed")
        elif registries and not comes_from(image, registries):
            yield Violation(f"{field}.image", f"{image} does not come from {' or '.join(registries)}")
    first = at(pod, "spec", "containers")
    main = first[0] if isinstance(first, list) and first else {}
    if at(main, "image") != launch.plan.image:
        yield Violation("spec.containers[0].image", f"is {at(main, 'image')!r}; the profile's is {launch.plan.image}")


def _whole(pod: Pod, launch: Launch) -> Iterator[Violation]:
    del launch
    if not objects(pod, "spec", "containers"):
        yield Violation("spec.containers", "there is none")


CHECKS: tuple[Check, ...] = (
    _whole,
    _place,
    _labels,
    _annotations,
    _workers,
    _tolerations,
    _scheduler,
    _affinity,
    _rights,
    _volumes,
    _images,
)
