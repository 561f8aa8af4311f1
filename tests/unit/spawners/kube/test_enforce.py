"""The last check: what KubeSpawner and its configuration could still slip in, one attack a row."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any

import pytest

from config.images import comes_from
from config.models import Site
from spawners.kube import names
from spawners.kube.enforce import admit, enforce, violations
from spawners.kube.launch import Launch
from spawners.kube.manifests import manifests, pod_of
from spawners.kube.secrets import own_secret, tokens_of
from spawners.refusal import Refusal
from tests.unit.spawners.kube.launches import REGISTRY, SITE, UPLOAD, cases, launch, tenant

CASES = cases()
NOTEBOOK = CASES["notebook"]
DOMAIN = SITE.label_domain
C = "spec.containers[0]"
OK_CONTEXT = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
LITTLE = {"requests": {"cpu": "1m", "memory": "1Mi"}, "limits": {"memory": "1Mi"}}
SIDE_CAR = {"name": "b", "image": f"{REGISTRY}/b", "securityContext": OK_CONTEXT, "resources": LITTLE}
AFFINITY = "requiredDuringSchedulingIgnoredDuringExecution"
WISH = "preferredDuringSchedulingIgnoredDuringExecution"
TERM = {"matchExpressions": [{"key": f"{DOMAIN}/node_history", "operator": "Exists"}]}


def from_kubespawner() -> dict[str, Any]:
    """As KubeSpawner.get_pod_manifest gives it, serialised."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "jupyter-jane",
            "labels": {"component": "singleuser-server", "hub.jupyter.org/username": "jane"},
            "annotations": {"hub.jupyter.org/username": "jane.doe@example.org"},
        },
        "spec": {
            "automountServiceAccountToken": False,
            "containers": [
                {
                    "name": "notebook",
                    "image": "whatever:latest",
                    "args": ["jupyterhub-singleuser"],
                    "env": [{"name": "JUPYTERHUB_API_TOKEN", "value": "tok-en"}, {"name": "HOME", "value": "/root"}],
                    "ports": [{"containerPort": 8888, "name": "notebook-port"}],
                    "resources": {"requests": {"cpu": "9"}, "limits": {}},
                    "securityContext": {"allowPrivilegeEscalation": True},
                    "volumeMounts": [],
                }
            ],
            "restartPolicy": "OnFailure",
            "securityContext": {"fsGroup": 0},
            "nodeSelector": {"kubernetes.io/hostname": "node-9"},
            "tolerations": [{"operator": "Exists"}],
            "volumes": [],
        },
    }


def good() -> dict[str, Any]:
    return enforce(from_kubespawner(), NOTEBOOK)


def put(target: Any, path: str, value: Any) -> None:
    """Set *path*, written as violations name fields; [] appends to a list, what is missing is made."""
    keys = [key.strip("[]") for key in re.findall(r"\[[^]]*\]|[^.[\]]+", path)]
    for key, following in zip(keys, [*keys[1:], None], strict=True):
        if isinstance(target, list):
            target += [{}] if key == "" else []
            place: Any = int(key or -1)
        else:
            place = key
            if following is not None:
                target.setdefault(key, [] if following == "" else {})
        if following is None:
            target[place] = value
        target = target[place]


def test_what_is_enforced_may_be_created() -> None:
    for case, made in CASES.items():
        if made.plan.mode == "pod":
            assert violations(enforce(from_kubespawner(), made), made) == (), case


def test_the_tenants_values_are_laid_over_kubespawners() -> None:
    before = from_kubespawner()
    pod = enforce(before, NOTEBOOK)
    assert before == from_kubespawner()  # a copy
    assert pod["metadata"]["name"] == NOTEBOOK.name and pod["metadata"]["namespace"] == "tenant-physics"
    assert pod["metadata"]["labels"]["component"] == "singleuser-server"
    assert pod["spec"]["nodeSelector"] == {f"{DOMAIN}/node_physics": "true"}
    assert [one["value"] for one in pod["spec"]["tolerations"]] == ["physics"]
    assert pod["spec"]["restartPolicy"] == "Never"
    (container,) = pod["spec"]["containers"]
    assert container["image"] == NOTEBOOK.plan.image
    assert "args" not in container and container["command"][-1] == "images.notebook"
    assert container["ports"] == [{"containerPort": 8888, "name": "notebook-port"}]
    env = {one["name"]: one.get("value", one.get("valueFrom")) for one in container["env"]}
    assert env["HOME"] == "/home/jovyan"
    assert len(env) == len(container["env"])
    assert container["resources"]["requests"] == {"cpu": "4", "memory": "8Gi"}
    assert pod["spec"]["securityContext"]["runAsUser"] == 1000
    assert pod["metadata"]["annotations"].items() >= names.record(NOTEBOOK.workload, SITE).items()


def test_the_hubs_token_goes_into_a_secret() -> None:
    before = from_kubespawner()
    pod, tokens = enforce(before, NOTEBOOK), tokens_of(before)
    assert tokens == {"JUPYTERHUB_API_TOKEN": "tok-en"} and "tok-en" not in str(pod)
    secret = own_secret(NOTEBOOK, tokens)
    (reference,) = [one for one in pod["spec"]["containers"][0]["env"] if one["name"] in tokens]
    assert reference["valueFrom"] == {"secretKeyRef": {"name": NOTEBOOK.name, "key": "JUPYTERHUB_API_TOKEN"}}
    assert (secret["metadata"]["name"], secret["stringData"]) == (NOTEBOOK.name, tokens)
    assert secret["metadata"]["namespace"] == "tenant-physics"
    put(pod, f"{C}.env", before["spec"]["containers"][0]["env"])
    assert [one.field for one in violations(pod, NOTEBOOK)] == [f"{C}.env[0].value"]


def test_without_it_kubespawners_own_pod_is_refused() -> None:
    wrong = [one.field for one in violations(from_kubespawner(), NOTEBOOK)]
    assert {"metadata.namespace", "spec.containers[0].image", "spec.tolerations[0]", "metadata.name"} <= set(wrong)


ATTACKS: list[tuple[str, Any, str]] = [
    # Pod Security, baseline
    ("spec.hostNetwork", True, "spec.hostNetwork"),
    ("spec.hostPID", True, "spec.hostPID"),
    ("spec.hostIPC", True, "spec.hostIPC"),
    (f"{C}.ports[0].hostPort", 80, f"{C}.ports[0].hostPort"),
    (f"{C}.securityContext.privileged", True, f"{C}.securityContext.privileged"),
    (f"{C}.securityContext.capabilities.add", ["SYS_ADMIN"], f"{C}.securityContext.capabilities.add"),
    (f"{C}.securityContext.procMount", "Unmasked", f"{C}.securityContext.procMount"),
    ("spec.securityContext.sysctls", [{"name": "kernel.msgmax"}], "spec.securityContext.sysctls[0].name"),
    ("spec.securityContext.appArmorProfile.type", "Unconfined", "spec.securityContext.appArmorProfile.type"),
    (
        "metadata.annotations",
        {"container.apparmor.security.beta.kubernetes.io/notebook": "unconfined"},
        "metadata.annotations[container.apparmor.security.beta.kubernetes.io/notebook]",
    ),
    (f"{C}.securityContext.seLinuxOptions.type", "spc_t", f"{C}.securityContext.seLinuxOptions.type"),
    ("spec.securityContext.seLinuxOptions.user", "system_u", "spec.securityContext.seLinuxOptions.user"),
    ("spec.securityContext.seLinuxOptions.role", "sysadm_r", "spec.securityContext.seLinuxOptions.role"),
    (
        f"{C}.securityContext.windowsOptions.hostProcess",
        True,
        f"{C}.securityContext.windowsOptions.hostProcess",
    ),
    (f"{C}.livenessProbe.httpGet.host", "169.254.169.254", f"{C}.livenessProbe.httpGet.host"),
    (f"{C}.lifecycle.postStart.httpGet.host", "10.0.0.1", f"{C}.lifecycle.postStart.httpGet.host"),
    (f"{C}.startupProbe.tcpSocket.host", "10.0.0.1", f"{C}.startupProbe.tcpSocket.host"),
    # Pod Security, restricted
    ("spec.volumes[]", {"name": "x", "hostPath": {"path": "/"}}, "spec.volumes[3].hostPath"),
    ("spec.volumes[]", {"name": "x", "nfs": {"server": "a", "path": "/"}}, "spec.volumes[3].nfs"),
    ("spec.volumes[]", {"name": "x", "image": {"reference": "a"}}, "spec.volumes[3].image"),
    ("spec.volumes[]", {"name": "x", "iscsi": {}}, "spec.volumes[3].iscsi"),
    (f"{C}.securityContext.allowPrivilegeEscalation", True, f"{C}.securityContext.allowPrivilegeEscalation"),
    (f"{C}.securityContext.allowPrivilegeEscalation", None, f"{C}.securityContext.allowPrivilegeEscalation"),
    (f"{C}.securityContext.capabilities.drop", ["NET_RAW"], f"{C}.securityContext.capabilities.drop"),
    ("spec.securityContext.runAsNonRoot", False, "spec.securityContext.runAsNonRoot"),
    ("spec.securityContext.runAsNonRoot", None, f"{C}.securityContext.runAsNonRoot"),
    (f"{C}.securityContext.runAsNonRoot", False, f"{C}.securityContext.runAsNonRoot"),
    ("spec.securityContext.runAsUser", 0, "spec.securityContext.runAsUser"),
    (f"{C}.securityContext.runAsUser", 0, f"{C}.securityContext.runAsUser"),
    ("spec.securityContext.seccompProfile.type", "Unconfined", "spec.securityContext.seccompProfile.type"),
    ("spec.securityContext.seccompProfile", None, f"{C}.securityContext.seccompProfile.type"),
    (f"{C}.securityContext.seccompProfile.type", "Unconfined", f"{C}.securityContext.seccompProfile.type"),
    # other containers
    ("spec.initContainers[]", {"name": "i", "image": f"{REGISTRY}/i"}, "spec.initContainers[0].securityContext"),
    (
        "spec.initContainers[]",
        {**SIDE_CAR, "securityContext": {**OK_CONTEXT, "privileged": True}},
        "spec.initContainers[0].securityContext.privileged",
    ),
    (
        "spec.ephemeralContainers[]",
        {**SIDE_CAR, "securityContext": {**OK_CONTEXT, "runAsUser": 0}},
        "spec.ephemeralContainers[0].securityContext.runAsUser",
    ),
    ("spec.ephemeralContainers[]", SIDE_CAR, "spec.ephemeralContainers"),
    ("spec.containers[]", {**SIDE_CAR, "image": "evil.example.com/x"}, "spec.containers[1].image"),
    ("spec.containers[]", {**SIDE_CAR, "resources": {}}, "spec.containers[1].resources.limits.memory"),
    # place
    ("metadata.namespace", "tenant-history", "metadata.namespace"),
    ("metadata.namespace", None, "metadata.namespace"),
    ("metadata.name", "other", "metadata.name"),
    (f"metadata.labels[{DOMAIN}/tenant]", "history", f"metadata.labels[{DOMAIN}/tenant]"),
    (f"metadata.labels[{DOMAIN}/owner]", "tenant-physics", f"metadata.labels[{DOMAIN}/owner]"),
    (f"metadata.labels[{DOMAIN}/egress-policy]", "lab-b", f"metadata.labels[{DOMAIN}/egress-policy]"),
    (f"metadata.labels[{DOMAIN}/declared-by]", "tenanthub", f"metadata.labels[{DOMAIN}/declared-by]"),
    ("metadata.labels[io.cilium.k8s.namespace.labels.x]", "y", "metadata.labels[io.cilium.k8s.namespace.labels.x]"),
    (
        "metadata.annotations[k8s.v1.cni.cncf.io/networks]",
        "history-vlan",
        "metadata.annotations[k8s.v1.cni.cncf.io/networks]",
    ),
    (f"metadata.annotations[{DOMAIN}/owner-account]", "root", f"metadata.annotations[{DOMAIN}/owner-account]"),
    (f"metadata.annotations[{DOMAIN}/settings]", "{}", f"metadata.annotations[{DOMAIN}/settings]"),
    ("metadata.finalizers", ["example.org/never"], "metadata.finalizers"),
    ("metadata.ownerReferences", [{"kind": "Node", "name": "node-1"}], "metadata.ownerReferences"),
    # nodes
    ("spec.nodeName", "node-history-1", "spec.nodeName"),
    ("spec.schedulerName", "mine", "spec.schedulerName"),
    ("spec.priorityClassName", "system-node-critical", "spec.priorityClassName"),
    ("spec.priority", 2_000_001_000, "spec.priority"),
    ("spec.preemptionPolicy", "PreemptLowerPriority", "spec.preemptionPolicy"),
    (f"spec.nodeSelector[{DOMAIN}/node_physics]", "false", f"spec.nodeSelector[{DOMAIN}/node_physics]"),
    ("spec.nodeSelector", {}, f"spec.nodeSelector[{DOMAIN}/node_physics]"),
    (f"spec.nodeSelector[{DOMAIN}/node_history]", "true", f"spec.nodeSelector[{DOMAIN}/node_history]"),
    ("spec.tolerations[]", {"operator": "Exists"}, "spec.tolerations[1]"),
    (
        "spec.tolerations[]",
        {"key": f"{DOMAIN}/tenant", "operator": "Equal", "value": "history", "effect": "NoSchedule"},
        "spec.tolerations[1]",
    ),
    ("spec.tolerations[]", {"key": f"{DOMAIN}/tenant", "operator": "Exists"}, "spec.tolerations[1]"),
    (
        f"spec.affinity.nodeAffinity.{AFFINITY}.nodeSelectorTerms",
        [TERM],
        "spec.affinity.nodeAffinity",
    ),
    (f"spec.affinity.nodeAffinity.{WISH}", [{"weight": 1, "preference": TERM}], "spec.affinity.nodeAffinity"),
    (
        f"spec.affinity.podAntiAffinity.{AFFINITY}",
        [{"topologyKey": "zone", "namespaces": ["tenant-history"]}],
        "spec.affinity.podAntiAffinity",
    ),
    (
        f"spec.affinity.podAffinity.{WISH}",
        [{"weight": 1, "podAffinityTerm": {"topologyKey": "zone", "namespaceSelector": {}}}],
        "spec.affinity.podAffinity",
    ),
    # rights
    ("spec.serviceAccountName", "coder", "spec.serviceAccountName"),
    ("spec.serviceAccount", "coder", "spec.serviceAccount"),
    ("spec.automountServiceAccountToken", True, "spec.automountServiceAccountToken"),
    ("spec.automountServiceAccountToken", None, "spec.automountServiceAccountToken"),
    ("spec.enableServiceLinks", True, "spec.enableServiceLinks"),
    (
        "spec.volumes[]",
        {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
        "spec.volumes[3].projected.sources[0].serviceAccountToken",
    ),
    ("spec.volumes[]", {"name": "d", "csi": {"driver": "x"}}, "spec.volumes[3].csi"),
    ("spec.volumes[]", {"name": "d", "emptyDir": {}}, "spec.volumes[3].emptyDir.sizeLimit"),
    ("spec.terminationGracePeriodSeconds", 10**6, "spec.terminationGracePeriodSeconds"),
    # image and size
    (f"{C}.image", f"{REGISTRY}-evil/x", f"{C}.image"),
    (f"{C}.image", f"{REGISTRY}/another", f"{C}.image"),
    (f"{C}.image", "", f"{C}.image"),
    (f"{C}.resources.requests.cpu", "5", "spec.containers"),
    (f"{C}.resources.limits.memory", "9Gi", "spec.containers"),
    (f"{C}.resources.limits.memory", "lots", f"{C}.resources.limits.memory"),
    (f"{C}.resources.limits[nvidia.com/gpu]", "1", f"{C}.resources.limits.nvidia.com/gpu"),
    (f"{C}.resources.claims", [{"name": "gpu"}], f"{C}.resources.claims"),
    ("spec.containers[]", SIDE_CAR, "spec.containers"),  # a small one too: the size is used up
    # fields that nobody has thought about
    ("spec.hostUsers", False, "spec.hostUsers"),
    ("spec.runtimeClassName", "runc-privileged", "spec.runtimeClassName"),
    ("spec.resourceClaims", [{"name": "gpu"}], "spec.resourceClaims"),
    ("spec.schedulingGates", [{"name": "x"}], "spec.schedulingGates"),
    ("spec.readinessGates", [{"conditionType": "x"}], "spec.readinessGates"),
    ("spec.os.name", "windows", "spec.os.name"),
    ("spec.aFieldOfNextYear", True, "spec.aFieldOfNextYear"),
    (f"{C}.volumeDevices", [{"name": "x", "devicePath": "/dev/sda"}], f"{C}.volumeDevices"),
    (f"{C}.volumeMounts[0].mountPropagation", "Bidirectional", f"{C}.volumeMounts[0].mountPropagation"),
    (f"{C}.securityContext.aFieldOfNextYear", 1, f"{C}.securityContext.aFieldOfNextYear"),
    ("spec.containers", [], "spec.containers"),
]


@pytest.mark.parametrize(
    ("path", "value", "field"), ATTACKS, ids=[f"{path}={value}"[:80] for path, value, _ in ATTACKS]
)
def test_attack(path: str, value: Any, field: str) -> None:
    pod = good()
    assert violations(pod, NOTEBOOK) == ()
    put(pod, path, value)
    found = violations(pod, NOTEBOOK)
    assert any(one.field == field or one.field.startswith(f"{field}.") for one in found), found
    assert all(one.message for one in found)
    with pytest.raises(Refusal) as refused:
        admit(pod, NOTEBOOK)
    assert refused.value.reason == "place"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.tolerations[]", {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"}),
        ("spec.securityContext.sysctls", [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]),
        (f"{C}.securityContext.capabilities.add", ["NET_BIND_SERVICE"]),
        ("spec.volumes[]", {"name": "c", "configMap": {"name": "c"}}),
        ("spec.volumes[]", {"name": "p", "persistentVolumeClaim": {"claimName": "home"}}),
        ("spec.initContainers[]", SIDE_CAR),  # runs before the others
        ("spec.schedulerName", "default-scheduler"),
        ("spec.imagePullSecrets", [{"name": "registry"}]),
        ("metadata.annotations[hub.jupyter.org/servername]", "one"),
        ("metadata.labels[app.kubernetes.io/name]", "jupyterhub"),
        (f"spec.affinity.podAffinity.{AFFINITY}", [{"topologyKey": "zone", "namespaces": ["tenant-physics"]}]),
    ],
)
def test_what_does_no_harm_stays(path: str, value: Any) -> None:
    pod = good()
    put(pod, path, value)
    assert violations(pod, NOTEBOOK) == ()


TEMPLATES = [row for row in ATTACKS if row[0].startswith("spec.") and "ports[0]" not in row[0]]


@pytest.mark.parametrize(("path", "value", "field"), TEMPLATES, ids=[f"{row[0]}={row[1]}"[:80] for row in TEMPLATES])
@pytest.mark.parametrize("case", ["collector-ipv4", "crawler"])
def test_templates_are_judged_alike(case: str, path: str, value: Any, field: str) -> None:
    manifest = deepcopy(manifests(CASES[case])[-1])
    pod = pod_of(manifest)
    put(pod, path, value)
    with pytest.raises(Refusal) as refused:
        admit(manifest, CASES[case])
    place = re.sub(r"volumes\[\d+\]", "volumes", field)
    assert any(re.sub(r"volumes\[\d+\]", "volumes", one.field).startswith(place) for one in refused.value.violations)


def test_side_cars_count_and_init_containers_do_not_add_up() -> None:
    pod = good()
    put(pod, "spec.initContainers[]", {**SIDE_CAR, "restartPolicy": "Always"})
    assert [one.field for one in violations(pod, NOTEBOOK)].count("spec.containers") == 2  # cpu and memory


def test_guaranteed_pods_have_equal_limits() -> None:
    made = CASES["notebook-guaranteed"]
    pod = enforce(from_kubespawner(), made)
    put(pod, f"{C}.resources.limits.cpu", None)
    assert [one.field for one in violations(pod, made)] == [f"{C}.resources.limits.cpu"]


def test_a_pod_of_another_tenants_launch_is_refused() -> None:
    history = tenant().model_copy(update={"name": "history"})
    with pytest.raises(ValueError, match="not of tenant history"):
        Launch(NOTEBOOK.plan, NOTEBOOK.workload, history, SITE)


def test_only_coder_gets_a_token() -> None:
    for case, made in CASES.items():
        (pod,) = filter(None, map(pod_of, manifests(made)))
        assert pod["spec"]["automountServiceAccountToken"] is (made.workload.kind == "coder"), case


def test_every_violation_is_told_at_once_and_nothing_raises() -> None:
    pod = good()
    put(pod, "spec.hostNetwork", True)
    put(pod, "spec.nodeName", "node-1")
    assert [one.field for one in violations(pod, NOTEBOOK)] == ["spec.hostNetwork", "spec.nodeName"]
    for broken in ({}, {"spec": None}, {"spec": {"containers": [None]}}, {"spec": {"containers": "x", "volumes": 1}}):
        assert violations(broken, NOTEBOOK)


@pytest.mark.parametrize(
    ("image", "registries", "expected"),
    [
        ("registry.example.org/research/a:1", ["registry.example.org/research"], True),
        ("registry.example.org/research-evil/a", ["registry.example.org/research"], False),
        ("registry.example.org.evil/research/a", ["registry.example.org"], False),
        ("registry.example.org:5000/a", ["registry.example.org"], False),
        ("jupyter/minimal", ["jupyter"], True),
        ("jupyter-evil/minimal", ["jupyter"], False),
        ("docker.io/jupyter/minimal", ["jupyter"], True),
        ("index.docker.io/jupyter/minimal", ["docker.io/jupyter"], True),
        ("debian", ["docker.io/library"], True),
        ("debian", ["docker.io"], True),
        ("localhost/a", ["localhost"], True),
        ("localhost/a", ["docker.io"], False),
        ("a", [], False),
    ],
)
def test_images_come_from_registries(image: str, registries: list[str], expected: bool) -> None:
    assert comes_from(image, registries) is expected


def test_a_site_without_registries_takes_any_image() -> None:
    site = Site(contact="help@example.org")
    made = launch("tenant-physics", "upload", UPLOAD, site=site)
    for manifest in manifests(made):
        admit(manifest, made)
