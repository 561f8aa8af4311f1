"""Pod Security Standard `restricted`, whole, as the API server would judge it, told in words and field by field.

Sources: Kubernetes, "Pod Security Standards"; staging/src/k8s.io/pod-security-admission/policy of Kubernetes 1.34.
Where a later version allows more (further sysctls, a relaxation in user namespaces), the stricter rule is kept: nothing
that we make needs it. Ephemeral containers are judged with the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from spawners.kube.look import at, containers, contexts, is_set, mapping, objects
from spawners.refusal import Violation

Pod = Mapping[str, Any]
Check = Callable[[Pod], Iterator[Violation]]

VOLUMES = frozenset(
    {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
)
SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_syncookies",
    }
)
_SELINUX_TYPES = ("", "container_t", "container_init_t", "container_kvm_t")
_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
_HOOKS = ("livenessProbe", "readinessProbe", "startupProbe")


def pod_security(pod: Pod) -> Iterator[Violation]:
    """Every way in which *pod* does not meet the standard."""
    for check in CHECKS:
        yield from check(pod)


def _host_namespaces(pod: Pod) -> Iterator[Violation]:
    for field, what in (("hostNetwork", "network"), ("hostPID", "processes"), ("hostIPC", "shared memory")):
        if at(pod, "spec", field) not in (None, False):
            yield Violation(f"spec.{field}", f"shares the node's {what}: leave it out")


def _host_ports(pod: Pod) -> Iterator[Violation]:
    for field, one in containers(pod):
        for number, port in objects(one, "ports"):
            if port.get("hostPort") not in (None, 0):
                where = f"{field}.ports[{number}].hostPort"
                yield Violation(where, f"opens port {port['hostPort']} of the node: leave it out")


def _host_probes(pod: Pod) -> Iterator[Violation]:
    """A probe with a host makes the kubelet, on the node, ask whomever it names (since Kubernetes 1.34)."""
    for field, one in containers(pod):
        handlers = [(hook, mapping(one, hook)) for hook in _HOOKS]
        handlers += [(f"lifecycle.{when}", mapping(one, "lifecycle", when)) for when in ("postStart", "preStop")]
        for name, handler in handlers:
            for how in ("httpGet", "tcpSocket"):
                if is_set(at(handler, how, "host")):
                    where = f"{field}.{name}.{how}.host"
                    yield Violation(where, "makes the node ask another machine: leave it out")


def _volumes(pod: Pod) -> Iterator[Violation]:
    for number, volume in objects(pod, "spec", "volumes"):
        for sort in sorted(key for key in volume if key != "name" and volume[key] is not None):
            if sort not in VOLUMES:
                what = "a folder of the node" if sort == "hostPath" else f"a volume of type {sort}"
                yield Violation(f"spec.volumes[{number}].{sort}", f"{what} is not allowed: use an emptyDir")


def _privileged(pod: Pod) -> Iterator[Violation]:
    for field, context in contexts(pod):
        if context.get("privileged") not in (None, False):
            yield Violation(f"{field}.privileged", "a privileged container is root on its node: leave it out")


def _escalation(pod: Pod) -> Iterator[Violation]:
    for field, one in containers(pod):
        if at(one, "securityContext", "allowPrivilegeEscalation") is not False:
            yield Violation(f"{field}.securityContext.allowPrivilegeEscalation", "must be false")


def _capabilities(pod: Pod) -> Iterator[Violation]:
    for field, one in containers(pod):
        capabilities = mapping(one, "securityContext", "capabilities")
        where = f"{field}.securityContext.capabilities"
        if "ALL" not in (capabilities.get("drop") or []):
            yield Violation(f"{where}.drop", 'must hold "ALL"')
        for name in capabilities.get("add") or []:
            if name != "NET_BIND_SERVICE":
                yield Violation(f"{where}.add", f"{name} is not allowed: leave it out")


def _non_root(pod: Pod) -> Iterator[Violation]:
    """Said by the Pod and not taken back by a container, or by each container."""
    whole = at(pod, "spec", "securityContext", "runAsNonRoot")
    if whole not in (None, True):
        yield Violation("spec.securityContext.runAsNonRoot", "must be true")
    for field, one in containers(pod):
        own = at(one, "securityContext", "runAsNonRoot")
        if own is not True and (own is not None or whole is not True):
            yield Violation(f"{field}.securityContext.runAsNonRoot", "must be true, here or for the whole Pod")


def _user(pod: Pod) -> Iterator[Violation]:
    for field, context in contexts(pod):
        user = context.get("runAsUser")
        if user is not None and (not isinstance(user, int) or user <= 0):
            yield Violation(f"{field}.runAsUser", f"{user!r} is root or no user: write another number")


def _seccomp(pod: Pod) -> Iterator[Violation]:
    """Said by the Pod and not taken back by a container, or by each container."""
    allowed = ("RuntimeDefault", "Localhost")
    whole = at(pod, "spec", "securityContext", "seccompProfile", "type")
    if whole is not None and whole not in allowed:
        yield Violation("spec.securityContext.seccompProfile.type", f"{whole!r} filters nothing: RuntimeDefault")
    for field, one in containers(pod):
        own = at(one, "securityContext", "seccompProfile", "type")
        if own not in allowed and (own is not None or whole not in allowed):
            where = f"{field}.securityContext.seccompProfile.type"
            yield Violation(where, "must be RuntimeDefault, here or for the whole Pod")


def _apparmor(pod: Pod) -> Iterator[Violation]:
    for field, context in contexts(pod):
        profile = at(context, "appArmorProfile", "type")
        if profile is not None and profile not in ("RuntimeDefault", "Localhost"):
            yield Violation(f"{field}.appArmorProfile.type", f"{profile!r} confines nothing: leave it out")
    for key, value in mapping(pod, "metadata", "annotations").items():
        fine = value in ("", "runtime/default") or str(value).startswith("localhost/")
        if key.startswith(_APPARMOR) and not fine:
            yield Violation(f"metadata.annotations[{key}]", f"{value!r} confines nothing: leave it out")


def _selinux(pod: Pod) -> Iterator[Violation]:
    for field, context in contexts(pod):
        options = mapping(context, "seLinuxOptions")
        if (options.get("type") or "") not in _SELINUX_TYPES:
            yield Violation(f"{field}.seLinuxOptions.type", f"{options['type']!r} is not allowed: leave it out")
        for part in ("user", "role"):
            if is_set(options.get(part)):
                yield Violation(f"{field}.seLinuxOptions.{part}", "is the node's own to set: leave it out")


def _proc_mount(pod: Pod) -> Iterator[Violation]:
    for field, context in contexts(pod):
        if (context.get("procMount") or "Default") != "Default":
            yield Violation(f"{field}.procMount", "shows what /proc hides: leave it out")


def _sysctls(pod: Pod) -> Iterator[Violation]:
    for number, sysctl in objects(pod, "spec", "securityContext", "sysctls"):
        if sysctl.get("name") not in SYSCTLS:
            where = f"spec.securityContext.sysctls[{number}].name"
            yield Violation(where, f"{sysctl.get('name')} may reach beyond the Pod: leave it out")


def _windows(pod: Pod) -> Iterator[Violation]:
    for field, context in contexts(pod):
        if at(context, "windowsOptions", "hostProcess") not in (None, False):
            yield Violation(f"{field}.windowsOptions.hostProcess", "is a process of the node itself: leave it out")
    if (at(pod, "spec", "os", "name") or "linux") != "linux":
        yield Violation("spec.os.name", "Pods of another system are judged by fewer rules: leave it out")


CHECKS: tuple[Check, ...] = (
    _host_namespaces,
    _host_ports,
    _host_probes,
    _volumes,
    _privileged,
    _escalation,
    _capabilities,
    _non_root,
    _user,
    _seccomp,
    _apparmor,
    _selinux,
    _proc_mount,
    _sysctls,
    _windows,
)
