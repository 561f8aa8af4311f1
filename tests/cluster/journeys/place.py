"""The installed TenantHub as the journeys find it: its address, its cluster, and what an onlooker with rights sees."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import APIResponse

from config.names import Keys, member_group, namespace
from tests.browser.people import Person
from tests.cluster.bed import Bed
from tests.cluster.journeys import world
from tests.cluster.journeys.store import Store
from tests.cluster.kube import Kube, eventually

PATIENCE_S = 180.0
"""How long something on the cluster may take. A safety net on a busy machine, no expectation."""


@dataclass(frozen=True)
class Place:
    """One installation. tests.browser.people.Person asks a hub for `url` and `account_password`."""

    url: str
    """What people open, without a slash at its end."""
    bed: Bed
    kube: Kube
    stores: Mapping[str, Store]
    passwords: Mapping[str, str]
    domain: str
    namespace: str
    """Of hub, proxy and portal."""

    def account_password(self, user: str) -> str:
        return self.passwords[user]

    @property
    def keys(self) -> Keys:
        return Keys(self.domain)

    # -- the cluster, as its administrator -----------------------------------------------------------------------

    def pods(self, name: str, tenant: str = world.PHYSICS) -> list[dict[str, Any]]:
        """The Pods of the workload of that name that have not ended."""
        found = self.objects("pods", name, tenant)
        return [one for one in found if one["status"].get("phase") in ("Pending", "Running")]

    def objects(self, kind: str, name: str, tenant: str = world.PHYSICS) -> list[dict[str, Any]]:
        """The workload's objects of one kind."""
        selector = f"--selector={self.keys.workload}={name}"
        items: list[dict[str, Any]] = self.kube.get(kind, f"--namespace={namespace(tenant)}", selector)["items"]
        return items

    def scale(self, deployment: str, replicas: int) -> None:
        """Bring a Deployment of the installation to so many Pods, and wait until it has them, ready."""
        self.kube.must("scale", f"deployment/{deployment}", f"--replicas={replicas}", f"--namespace={self.namespace}")
        self.settled(deployment)

    def settled(self, deployment: str) -> None:
        """Wait until the Deployment has exactly as many Pods as it says, all of its newest template and ready."""

        def look() -> bool:
            found = self.kube.get("deployment", deployment, f"--namespace={self.namespace}")
            status, wanted = found["status"], found["spec"]["replicas"]
            counts = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "readyReplicas")]
            current = status.get("observedGeneration") == found["metadata"]["generation"]
            return bool(current and counts == [wanted] * 3)

        eventually(f"{deployment} is settled", look, patience_s=PATIENCE_S)

    def ready(self, deployment: str) -> bool:
        """Whether one of its Pods is."""
        found = self.kube.get("deployment", deployment, f"--namespace={self.namespace}")
        return bool(found["status"].get("readyReplicas"))

    def placed(self, pod: Mapping[str, Any], tenant: str = world.PHYSICS) -> None:
        """A Pod of the tenant's: in its namespace, on its worker, under Pod Security `restricted`, without rights."""
        assert pod["metadata"]["namespace"] == namespace(tenant)
        assert pod["metadata"]["labels"][self.keys.tenant] == tenant
        assert pod["spec"]["nodeName"] == world.WORKER[tenant]
        # The API server lets no other Pod into such a namespace.
        labels = self.kube.get("namespace", namespace(tenant))["metadata"]["labels"]
        assert labels.get("pod-security.kubernetes.io/enforce") == "restricted", labels
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        for container in pod["spec"]["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, container["name"]
            mounts = [mount["mountPath"] for mount in container.get("volumeMounts", ())]
            assert not any(path.startswith("/var/run/secrets/kubernetes.io") for path in mounts), mounts

    def may_list_pods(self, user: str, of: str) -> bool:
        """Whether the Kubernetes API shows physics' Pods to that account, which is a member of the tenant *of*."""
        where = f"--namespace={namespace(world.PHYSICS)}"
        done = self.kube.kubectl("get", "pods", where, as_user=user, groups=[member_group(of)])
        assert done.returncode == 0 or "Forbidden" in done.stderr, done.stderr
        return done.returncode == 0


def asked(person: Person, path: str) -> APIResponse:
    """A GET with the cookies of somebody's browser, as a script in their page would send it."""
    xsrf = {cookie["name"]: cookie["value"] for cookie in person.context.cookies(f"{person.hub.url}/hub/")}
    headers = {"X-XSRFToken": xsrf.get("_xsrf", "")}
    return person.context.request.get(f"{person.hub.url}{path}", headers=headers, max_redirects=0)


def told(person: Person, path: str) -> Any:
    """The JSON that a GET gives; AssertionError with the answer where it gives none."""
    answer = asked(person, path)
    assert answer.ok, f"{path}: {answer.status} {answer.text()[:300]}"
    return json.loads(answer.text())
