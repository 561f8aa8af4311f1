"""The Pod of a workload, or the template that a Deployment, Job or CronJob makes it from: one builder for all.

It fits Pod Security Standard `restricted` and the admission rules of config.emit.admission by itself. Sources:
Kubernetes, "Pod Security Standards", "Downward API", "Configure Service Accounts for Pods", "Node-pressure Eviction".
"""

from __future__ import annotations

import json
from typing import Any

from config.emit import places
from config.emit.common import Manifest
from config.emit.quota import memory_quantity
from config.models.quantity import format_cpu
from config.names import keys
from spawners.kube import names
from spawners.kube.launch import Launch
from spawners.kube.plan import ETC, SETTINGS, Beside, Ready, SecretFile

CONTAINER = "main"
"""Name of the one container that we make; KubeSpawner calls its own otherwise."""
_JOB = {
    "name": "TENANTHUB_JOB",  # images.lib.run: so that the run's folder is called as the hub calls the run
    "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['batch.kubernetes.io/job-name']"}},
}
BESIDE = "app"
"""Name of the container beside it, where there is one."""
_SECRET_MODE = 0o400
"""The kubelet adds read for the group where the Pod has an fsGroup, and nothing for others: 0440."""


def template(launch: Launch) -> Manifest:
    """`metadata` and `spec` of the Pod."""
    found = settings(launch)
    return {
        "metadata": {
            "labels": names.pod_labels(launch.workload, launch.tenant, launch.site),
            **({"annotations": found} if found else {}),
        },
        "spec": {**spec(launch), "containers": [container(launch)]},
    }


def settings(launch: Launch) -> dict[str, str]:
    """The settings, which the kubelet gives to the program as a file.

    No ConfigMap: settings and Pod come and go together, each Job of a schedule has those that it was made with, and
    a Deployment whose settings change starts a new Pod without being told.
    """
    content = launch.plan.settings
    if content is None:
        return {}
    return {names.annotation_settings(keys(launch.site)): json.dumps(content, ensure_ascii=False, sort_keys=True)}


def spec(launch: Launch) -> dict[str, Any]:
    """The Pod's spec without its containers, but for what runs beside them."""
    return {
        **_placement(launch),
        # Names of other Services as variables would tell every program what else runs; DNS knows them anyway.
        "enableServiceLinks": False,
        **identity(launch),
        "terminationGracePeriodSeconds": launch.plan.grace_s,
        "securityContext": pod_security(launch),
        "volumes": volumes(launch),
        **({"initContainers": [_beside(launch, launch.plan.beside)]} if launch.plan.beside else {}),
    }


def _beside(launch: Launch, one: Beside) -> dict[str, Any]:
    """The side-car: under the same rules, without a Secret or a setting of the first container's."""
    plain = {"HOME": one.home, **one.env}
    return {
        "name": BESIDE,
        "image": one.image,
        "imagePullPolicy": pull_policy(one.image),
        **({"command": [_literal(word) for word in one.argv]} if one.argv else {}),
        "restartPolicy": "Always",
        "env": [{"name": name, "value": _literal(value)} for name, value in sorted(plain.items())],
        "resources": _resources(one.cpu, one.memory, launch),
        "securityContext": container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": scratch.name, "mountPath": scratch.path} for scratch in one.scratch],
    }


def identity(launch: Launch) -> dict[str, Any]:
    """Which service account, and whether its token is in the Pod."""
    return {
        "serviceAccountName": launch.service_account,
        "automountServiceAccountToken": bool(launch.plan.rules),
    }


def node_selector(launch: Launch) -> dict[str, str]:
    """The tenant's workers, as PodNodeSelector would add them. Written here too, so that a cluster which lacks that
    admission plugin refuses nothing and places nothing elsewhere."""
    return places.worker_labels(launch.tenant, keys(launch.site))


def tolerations(launch: Launch) -> list[dict[str, str]]:
    """The taint on the tenant's own workers, as PodTolerationRestriction would add it."""
    return places.worker_tolerations(launch.tenant, keys(launch.site))


def _placement(launch: Launch) -> dict[str, Any]:
    selector, tolerated = node_selector(launch), tolerations(launch)
    return {
        **({"nodeSelector": selector} if selector else {}),
        **({"tolerations": tolerated} if tolerated else {}),
    }


def pod_security(launch: Launch) -> dict[str, Any]:
    """The Pod's security context. fsGroup makes mounted Secrets readable to the process, and to nobody else."""
    uid = launch.plan.uid
    return {
        "runAsNonRoot": True,
        "runAsUser": uid,
        "runAsGroup": uid,
        "fsGroup": uid,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security() -> dict[str, Any]:
    """The container's."""
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }


def container(launch: Launch) -> dict[str, Any]:
    """The one container."""
    plan = launch.plan
    return {
        "name": CONTAINER,
        "image": plan.image,
        "imagePullPolicy": pull_policy(plan.image),
        **({"command": command(launch)} if plan.argv else {}),
        "workingDir": plan.home,
        "env": env(launch),
        **({"ports": _ports(launch)} if plan.ports else {}),
        "resources": resources(launch),
        **(_probes(plan.ready, launch) if plan.ready else {}),
        "securityContext": container_security(),
        # An empty message file of a failed container is filled with the last lines of its log (Kubernetes,
        # "Determine the Reason for Pod Failure"): every program ends with a line that says why.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts(launch),
    }


def command(launch: Launch) -> list[str]:
    """Program and arguments, with the settings file's path put in."""
    return [_literal(word.replace("{settings}", SETTINGS)) for word in launch.plan.argv]


def env(launch: Launch) -> list[dict[str, Any]]:
    """The variables: plain ones by name, then those out of Secrets."""
    plain = {"HOME": launch.plan.home, "PYTHONUNBUFFERED": "1", **launch.plan.env}
    return [
        *({"name": name, "value": _literal(value)} for name, value in sorted(plain.items())),
        *([_JOB] if launch.plan.mode in ("schedule", "once") else []),
        *(
            {"name": one.variable, "valueFrom": {"secretKeyRef": {"name": one.secret, "key": one.key}}}
            for one in launch.plan.secret_env
        ),
    ]


def _literal(text: str) -> str:
    """*text* as the kubelet hands it on unchanged: it replaces $(NAME) in commands and variables by what NAME holds,
    a Secret's content too, and $$ by $ (Kubernetes, "Define Dependent Environment Variables")."""
    return text.replace("$", "$$")


def resources(launch: Launch) -> dict[str, Any]:
    """What the size says, as config.emit.quota counts it.

    Memory is limited to what is asked for: nobody can give it back. CPU is asked for and not limited, so that a
    notebook starts on what nobody else wants; where the tenant's Pods are Guaranteed, it is limited as well. No
    ephemeral-storage: scratch folders have limits of their own, and a request would keep a Pod from a small disk
    that it never fills.
    """
    size, beside = launch.workload.size, launch.plan.beside
    if beside is None:
        return _resources(size.cpu, size.memory, launch)
    return _resources(size.cpu - beside.cpu, size.memory - beside.memory, launch)


def _resources(cpu: float, memory: int, launch: Launch) -> dict[str, Any]:
    asked = {"cpu": format_cpu(cpu), "memory": memory_quantity(memory)}
    limits = asked if launch.guaranteed else {"memory": asked["memory"]}
    return {"requests": asked, "limits": dict(limits)}


def pull_policy(image: str) -> str:
    """As Kubernetes would choose, spelt out: a tag that moves is looked up at each start."""
    if "@" in image:
        return "IfNotPresent"
    tag = image.rpartition("/")[2].partition(":")[2]
    return "IfNotPresent" if tag and tag != "latest" else "Always"


def volumes(launch: Launch) -> list[dict[str, Any]]:
    """Scratch folders, Secrets, the settings file."""
    plan = launch.plan
    found: list[dict[str, Any]] = [
        {"name": one.name, "emptyDir": {"sizeLimit": memory_quantity(one.size)}}
        for one in (*plan.scratch, *(plan.beside.scratch if plan.beside else ()))
    ]
    found += [{"name": one.volume, "persistentVolumeClaim": {"claimName": one.name}} for one in plan.claims]
    for folder, files in _secret_folders(launch).items():
        items = [{"key": one.key, "path": one.path.rpartition("/")[2]} for one in files]
        secret = {"secretName": files[0].secret or launch.name, "defaultMode": _SECRET_MODE, "items": items}
        found.append({"name": _volume_of(folder), "secret": secret})
    if plan.settings is not None:
        path = f"metadata.annotations['{names.annotation_settings(keys(launch.site))}']"
        item = {"path": SETTINGS.rpartition("/")[2], "fieldRef": {"fieldPath": path}}
        found.append({"name": "settings", "downwardAPI": {"items": [item]}})
    return found


def mounts(launch: Launch) -> list[dict[str, Any]]:
    """Where they are in the container."""
    plan = launch.plan
    return [
        *({"name": one.name, "mountPath": one.path} for one in plan.scratch),
        *({"name": one.volume, "mountPath": one.path} for one in plan.claims),
        *({"name": _volume_of(folder), "mountPath": folder, "readOnly": True} for folder in _secret_folders(launch)),
        *([{"name": "settings", "mountPath": ETC, "readOnly": True}] if plan.settings is not None else []),
    ]


def _secret_folders(launch: Launch) -> dict[str, list[SecretFile]]:
    """The Secrets' files by the folder that they are mounted at; one Secret a folder."""
    folders: dict[str, list[SecretFile]] = {}
    for one in launch.plan.secrets:
        folders.setdefault(one.path.rpartition("/")[0], []).append(one)
    return folders


def _volume_of(folder: str) -> str:
    return f"secret-{folder.rpartition('/')[2]}"


def _ports(launch: Launch) -> list[dict[str, Any]]:
    """Told once each; a Service needs none of them. FTP's passive ports are left to the Service's list."""
    named = {port.target: port.name for port in reversed(launch.plan.ports) if not port.name.startswith("passive-")}
    return [{"name": name, "containerPort": target} for target, name in sorted(named.items())]


def _probes(ready: Ready, launch: Launch) -> dict[str, Any]:
    """Each second until it serves, then every five. No liveness probe: a program that cannot go on ends by itself,
    and one that waits for a slow object store must not be killed for it."""
    return {
        "startupProbe": {
            **_look(ready, launch),
            "periodSeconds": 1,
            "failureThreshold": ready.within_s,
            "timeoutSeconds": 5,
        },
        "readinessProbe": {**_look(ready, launch), "periodSeconds": 5, "failureThreshold": 3, "timeoutSeconds": 5},
    }


def _look(ready: Ready, launch: Launch) -> dict[str, Any]:
    # TCP only where nothing else is known: to an FTP server each one is a session that it logs, counts and answers.
    if ready.tcp:
        return {"tcpSocket": {"port": launch.plan.ports[0].target}}
    if ready.file is not None:
        return {"exec": {"command": ["test", "-e", ready.file]}}
    return {"httpGet": {"path": ready.http, "port": launch.plan.ports[0].target}}
