"""TenantHub on a bed as an operator installs it: `tenanthub apply`, real helm with the real images, and its pages by an
address of MetalLB's. What the journeys and test_chart.py share."""

from __future__ import annotations

import base64
import json
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from config.load import load
from config.models import World
from tests.cluster import images
from tests.cluster.bed import Bed, metallb
from tests.cluster.bed.binaries import ALL, ensure
from tests.cluster.bed.needs import unbuilt
from tests.cluster.bed.processes import PATH
from tests.cluster.journeys import store, world
from tests.cluster.journeys.store import Store
from tests.cluster.kube import Kube, eventually
from tests.tiers import need

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "tenanthub"
RELEASE = "tenanthub"
PARTS = ("hub", "proxy", "portal", "culler")
PATIENCE_S = 300.0
_ADDRESS = 240
"""Host's part of the proxy's address in the machine room's network; nodes and laboratories are elsewhere."""


@dataclass(frozen=True)
class Installed:
    """One installation of the chart."""

    bed: Bed
    kube: Kube
    folder: Path
    """The declared world, as `tenanthub apply` reads it."""
    state: Path
    """Folder of the machine that the hub's volume lies in; nodes see it too."""
    namespace: str
    passwords: Mapping[str, str] = field(repr=False)
    stores: Mapping[str, Store] = field(default_factory=dict, repr=False)
    address: str = ""

    @property
    def url(self) -> str:
        """What people open, without a slash at its end."""
        return f"http://{self.address}"

    @property
    def world(self) -> World:
        """As it is declared now."""
        return load(self.folder)

    # -- the operator's commands ---------------------------------------------------------------------------------

    def helm(self, *args: str, values: Mapping[str, Any] | None = None) -> str:
        """Output of a helm that has to succeed; AssertionError with its words."""
        home = self.state / "helm"
        done = subprocess.run(
            [str(_helm()), "--namespace", self.namespace, *args, *(("--values", "-") if values is not None else ())],
            input=json.dumps(values) if values is not None else "",
            capture_output=True,
            text=True,
            env={"PATH": PATH, "HOME": str(home), "KUBECONFIG": str(self.bed.kubeconfig)},
            timeout=PATIENCE_S + 60,
            check=False,
        )
        assert done.returncode == 0, f"helm {' '.join(args)}: {done.stdout}{done.stderr}{self._why()}"
        return done.stdout

    def apply(self, *more: str) -> None:
        """`tenanthub apply` of the declared world."""
        argv = [sys.executable, "-m", "hub.cli", "apply", str(self.folder), "--kubeconfig", str(self.bed.kubeconfig)]
        argv += ["--yes", *more]
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def upgrade(self, **changes: Any) -> str:
        """`helm upgrade --install` with the values of this installation and *changes* at their top; waits until it is
        there."""
        values = {**self.values(), **changes}
        wait = ("--wait", "--timeout", f"{PATIENCE_S:.0f}s")
        return self.helm("upgrade", "--install", RELEASE, str(CHART), *wait, values=values)

    def hurry(self) -> None:
        """Have hub and portal given their new ConfigMaps now: the kubelet looks once a minute, and where anything of a
        Pod has changed."""
        chosen = f"--selector=app.kubernetes.io/instance={RELEASE}"
        mark = f"example.org/looked={secrets.token_hex(4)}"
        self.kube.must("annotate", "pods", chosen, f"--namespace={self.namespace}", "--overwrite", mark)

    def uninstall(self) -> str:
        """`helm uninstall`."""
        return self.helm("uninstall", RELEASE, "--wait", "--timeout", f"{PATIENCE_S:.0f}s")

    def values(self) -> dict[str, Any]:
        """What the chart is told: the images of the bed's registry, and the declared world as values."""
        refs = images.pushed(self.bed)
        return {
            "publicUrl": f"{self.url}/",
            "images": {"hub": _image(refs["hub"]), "kinds": _kinds(refs)},
            "world": _world_values(self.folder),
            "accounts": {"existingSecret": "accounts"},
            "hub": {"database": {"sqlite": {"storageClass": "", "volumeName": self._volume}}},
            "proxy": {
                "service": {
                    "type": "LoadBalancer",
                    "annotations": {"metallb.io/loadBalancerIPs": self.address},
                }
            },
            "networkPolicy": {"apiServer": {"ports": [443, 6443]}},
        }

    # -- looking -------------------------------------------------------------------------------------------------

    def get(self, *args: str) -> Any:
        """`kubectl get` in the installation's namespace, decoded."""
        return self.kube.get(*args, f"--namespace={self.namespace}")

    def pods(self, part: str) -> list[dict[str, Any]]:
        """The Pods of hub, proxy, portal or culler that are not going."""
        found = self.get("pods", f"--selector=app.kubernetes.io/component={part}")["items"]
        return [one for one in found if "deletionTimestamp" not in one["metadata"]]

    def uids(self, part: str) -> set[str]:
        """Their uids."""
        return {one["metadata"]["uid"] for one in self.pods(part)}

    def ready(self, part: str) -> bool:
        """Whether all of its Pods that are not going are ready."""
        conditions = [one for pod in self.pods(part) for one in pod["status"].get("conditions", ())]
        found = [one["status"] for one in conditions if one["type"] == "Ready"]
        return bool(found) and set(found) == {"True"}

    def answers(self) -> bool:
        """Whether the hub is reached through the proxy."""
        try:
            return httpx.get(f"{self.url}/hub/api/", timeout=5, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def wait(self) -> None:
        """Wait until hub and portal answer through the proxy."""
        eventually("the hub answers through the proxy", self.answers, patience_s=PATIENCE_S)

    def secrets(self) -> dict[str, str]:
        """What the chart has made, by the Secret's keys."""
        data = self.get("secret", "tenanthub-secrets")["data"]
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def token(self, user: str) -> str:
        """A token of *user*'s for the REST API, as `tenanthub token` asks for one. The account is made where it is new,
        as a first sign-in would."""
        cli = self.secrets()["cli-token"]
        self.api("POST", f"/users/{user}", cli)
        made = self.api("POST", f"/users/{user}/tokens", cli, {"expires_in": 86400})
        assert made.status_code == 201, made.text
        return str(made.json()["token"])

    def api(self, method: str, path: str, token: str, body: Any = None) -> httpx.Response:
        """A request to JupyterHub's REST API through the proxy."""
        return self.portal(method, f"/hub/api{path}", token, body)

    def portal(self, method: str, path: str, token: str, body: Any = None) -> httpx.Response:
        """A request to any path of the installation, e.g. /services/portal/api/v1/tenants."""
        headers = {"Authorization": f"token {token}"}
        return httpx.request(method, f"{self.url}{path}", json=body, headers=headers, timeout=60, trust_env=False)

    # -- making the ground -------------------------------------------------------------------------------------------

    @property
    def _volume(self) -> str:
        return f"{self.namespace}-state"

    def ground(self, *more: Mapping[str, Any]) -> None:
        """What an operator has before the chart: namespace, a volume by hand, an address, people's first passwords."""
        # The nodes see the machine's folders, so the hub finds its volume wherever it runs; a real site has a storage
        # class, or a claim of its own (hub.database.sqlite.existingClaim).
        volume = self.state / "volume"
        volume.mkdir(parents=True, exist_ok=True)
        volume.chmod(0o777)
        lines = "".join(f"{name} {password}\n" for name, password in self.passwords.items())
        name, space = f"hub-{self.namespace}", metallb.NAMESPACE
        self.kube.apply(
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {
                    "name": self.namespace,
                    "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
                },
            }
        )
        self.kube.apply(
            {
                "apiVersion": "v1",
                "kind": "PersistentVolume",
                "metadata": {"name": self._volume},
                "spec": {
                    "capacity": {"storage": "2Gi"},
                    "accessModes": ["ReadWriteOnce"],
                    "storageClassName": "",
                    "hostPath": {"path": str(volume)},
                },
            },
            {
                "apiVersion": "metallb.io/v1beta1",
                "kind": "IPAddressPool",
                "metadata": {"name": name, "namespace": space},
                "spec": {
                    "addresses": [f"{self.address}/32"],
                    "autoAssign": False,
                    "serviceAllocation": {"namespaces": [self.namespace]},
                },
            },
            {
                "apiVersion": "metallb.io/v1beta1",
                "kind": "L2Advertisement",
                "metadata": {"name": name, "namespace": space},
                "spec": {"ipAddressPools": [name]},
            },
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "accounts", "namespace": self.namespace},
                "data": {"accounts": base64.b64encode(lines.encode()).decode()},
            },
            *more,
        )

    def _why(self) -> str:
        """What the cluster says of the installation's Pods, for who reads a failure."""
        space = f"--namespace={self.namespace}"
        told = [self.kube.kubectl("get", "pods", "--output=wide", space).stdout]
        for part in PARTS:
            chosen = f"--selector=app.kubernetes.io/component={part}"
            told.append(self.kube.kubectl("logs", chosen, "--tail=30", "--all-containers", "--prefix", space).stdout)
        told.append(self.kube.kubectl("get", "events", "--sort-by=.lastTimestamp", space).stdout[-4000:])
        return "\n".join(["", *told])


def address_of(bed: Bed, number: int = 0) -> str:
    """An address of the machine room for the proxy of the installation of that *number*."""
    return str(bed.room[0][_ADDRESS + number])


_made: dict[str, Installed] = {}
"""By bed. A session fixture that two folders import is two to pytest; the second finds the first one's here."""


@pytest.fixture(scope="session")
def installed(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """The world of the journeys (physics and history) with its object storage, applied and installed; once a run."""
    if bed.name in _made:
        yield _made[bed.name]
        return
    reasons = unbuilt(ALL)
    need("cluster", not reasons, "; ".join(reasons))
    state = tmp_path_factory.mktemp("installed")
    for folder in (state, *list(state.parents)[:2]):
        folder.chmod(0o755)  # the hub's account on a node has to come through to its volume
    passwords = {name: f"first-{secrets.token_hex(8)}" for name in world.PEOPLE}
    with store.serving(bed, state / "objects") as stores:
        endpoints = {tenant: one.endpoint for tenant, one in stores.items()}
        folder = world.write(state / "world", world.files(bed, endpoints))
        made = Installed(
            bed, Kube(bed), folder, state, world.HUB_NAMESPACE, passwords, stores, address_of(bed)
        )  # fmt: skip
        made.ground(*(one.secret(made.namespace, world.DOMAIN) for one in stores.values()))
        made.apply()
        made.upgrade()
        made.wait()
        _made[bed.name] = made
        yield made
        del _made[bed.name]
        take_away(made)


def take_away(made: Installed) -> None:
    """All of it, tenants included, so that a bed that stays up can be used again."""
    made.helm("uninstall", RELEASE, "--ignore-not-found")
    tenants = list(made.world.tenants)
    for file in (made.folder / "tenants").glob("*.yaml"):
        file.unlink()
    made.apply(*(f"--remove-tenant={name}" for name in tenants))
    made.kube.kubectl("delete", "namespace", made.namespace, "--wait=true")
    made.kube.kubectl("delete", "persistentvolume", made._volume, "--wait=false")
    for kind in ("l2advertisement", "ipaddresspool"):
        made.kube.kubectl("delete", kind, f"hub-{made.namespace}", f"--namespace={metallb.NAMESPACE}")


def _helm() -> Path:
    return ensure(lambda _: None, ("helm",)).helm


def _image(reference: str) -> dict[str, str]:
    """As the chart's values have an image."""
    registry, _, rest = reference.partition("/")
    repository, _, tag = rest.rpartition(":")
    return {"registry": registry, "repository": repository, "tag": tag}


def _kinds(refs: Mapping[str, str]) -> dict[str, Any]:
    return {name: _image(reference) for name, reference in refs.items() if name not in ("hub", "base")}


def _world_values(folder: Path) -> dict[str, Any]:
    """The files of a world as the chart's values have them: by name, without it."""

    def named(files: Sequence[Path]) -> dict[str, Any]:
        found = [yaml.safe_load(file.read_text()) for file in sorted(files)]
        return {one.pop("name"): one for one in found}

    def gone(names: Mapping[str, Any]) -> dict[str, None]:
        """The chart's own profiles that this world has not."""
        ours = yaml.safe_load((CHART / "values.yaml").read_text())["world"]["profiles"]
        return {name: None for name in ours if name not in names}

    profiles = named(list((folder / "profiles").glob("*.yaml")))
    return {
        "site": yaml.safe_load((folder / "site.yaml").read_text()),
        "profiles": {**profiles, **gone(profiles)},
        "tenants": named(list((folder / "tenants").glob("*.yaml"))),
    }
