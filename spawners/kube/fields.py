"""Fields that a Pod of ours may have at all. What nobody has thought about is refused, not overlooked.

Kubernetes gains fields (user namespaces, device claims, eviction responders); a check that knows only the bad ones lets
the next one through. A field is added here when it is known what it may say, and where that is checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from spawners.kube.look import containers, contexts, is_set, mapping, objects
from spawners.refusal import Violation

METADATA = frozenset({"name", "namespace", "labels", "annotations"})
SPEC = frozenset(
    {
        "activeDeadlineSeconds",
        "affinity",  # tenancy
        "automountServiceAccountToken",  # tenancy
        "containers",
        "dnsConfig",
        "dnsPolicy",
        "enableServiceLinks",
        "hostIPC",  # podsecurity
        "hostNetwork",  # podsecurity
        "hostPID",  # podsecurity
        "hostname",
        "imagePullSecrets",
        "initContainers",
        "nodeName",  # tenancy
        "nodeSelector",  # tenancy
        "preemptionPolicy",  # tenancy
        "priority",  # tenancy
        "priorityClassName",  # tenancy
        "restartPolicy",
        "schedulerName",  # tenancy
        "securityContext",
        "serviceAccount",  # tenancy
        "serviceAccountName",  # tenancy
        "setHostnameAsFQDN",
        "shareProcessNamespace",  # of this Pod's own containers
        "subdomain",
        "terminationGracePeriodSeconds",  # tenancy
        "tolerations",  # tenancy
        "topologySpreadConstraints",
        "volumes",  # podsecurity, tenancy
    }
)
CONTAINER = frozenset(
    {
        "args",
        "command",
        "env",
        "envFrom",
        "image",  # tenancy
        "imagePullPolicy",
        "lifecycle",  # podsecurity
        "livenessProbe",  # podsecurity
        "name",
        "ports",  # podsecurity
        "readinessProbe",  # podsecurity
        "resources",  # resources
        "restartPolicy",  # resources: a side-car among the initContainers
        "securityContext",
        "startupProbe",  # podsecurity
        "stdin",
        "stdinOnce",
        "terminationMessagePath",
        "terminationMessagePolicy",
        "tty",
        "volumeMounts",
        "workingDir",
    }
)
MOUNT = frozenset({"mountPath", "name", "readOnly", "recursiveReadOnly", "subPath", "subPathExpr"})
"""Without mountPropagation: what a Pod mounts is its own."""
CONTEXT = frozenset(
    {
        "allowPrivilegeEscalation",
        "appArmorProfile",
        "capabilities",
        "fsGroup",
        "fsGroupChangePolicy",
        "privileged",
        "procMount",
        "readOnlyRootFilesystem",
        "runAsGroup",
        "runAsNonRoot",
        "runAsUser",
        "seLinuxOptions",
        "seccompProfile",
        "supplementalGroups",
        "supplementalGroupsPolicy",
        "sysctls",
        "windowsOptions",
    }
)
_TOP = frozenset({"apiVersion", "kind", "metadata", "spec", "status"})


def unknown_fields(pod: Mapping[str, Any]) -> Iterator[Violation]:
    """Every field that *pod* sets and that is not known here."""
    yield from _unknown("", pod, _TOP)
    yield from _unknown("metadata.", mapping(pod, "metadata"), METADATA)
    yield from _unknown("spec.", mapping(pod, "spec"), SPEC)
    for field, context in contexts(pod):
        yield from _unknown(f"{field}.", context, CONTEXT)
    for field, one in containers(pod):
        yield from _unknown(f"{field}.", one, CONTAINER)
        for number, mount in objects(one, "volumeMounts"):
            yield from _unknown(f"{field}.volumeMounts[{number}].", mount, MOUNT)


def _unknown(place: str, value: Mapping[str, Any], known: frozenset[str]) -> Iterator[Violation]:
    for key in sorted(value):
        if key not in known and is_set(value[key]):
            yield Violation(f"{place}{key}", "is not among the fields that a tenant's Pod may set: leave it out")
