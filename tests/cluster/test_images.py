"""The images on real nodes: pulled from the registry by the kubelet, started as the spawner's own Pods, restricted.

The Pods are those of the kinds' plans (spawners.kube.manifests); only what a hub would add to them is added here.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from config.emit.common import Manifest
from config.models import Site, Tenant
from config.names import keys, namespace
from spawners.kube import names
from spawners.kube.launch import Launch, launch_of
from spawners.kube.manifests import manifests, pod_of
from spawners.kube.names import object_name
from tests.cluster import images
from tests.cluster.bed import Bed
from tests.cluster.bed.images import TOOL
from tests.cluster.kube import Kube, eventually
from tests.unit.spawners.kube.launches import COMMAND, CRAWL, KINDS, UPLOAD, tenant, workload
from tests.unit.spawners.kube.launches import TENANT as EVERYBODY

PULLED_WITHIN_S = 240
PERSON = "jane"
# rclone's "alias" gives a folder of the Pod the name of the tenant's remote, so that no object store has to be here.
REMOTES = "[data]\ntype = alias\nremote = /tmp/data\n[cold]\ntype = alias\nremote = /tmp/cold\n"
HUB = """
import http.server, json
class Hub(http.server.BaseHTTPRequestHandler):
    def answer(self):
        body = json.dumps({"version": "6.1.1"}).encode()
        self.send_response(200); self.send_header("X-JupyterHub-Version", "6.1.1")
        self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    do_GET = do_POST = answer
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("", 8081), Hub).serve_forever()
"""
"""Stands for the hub's API, which a single-user server asks for its version before it serves."""


class Place:
    """A tenant's namespace, with one Pod of each image in it."""

    def __init__(self, bed: Bed) -> None:
        self.kube = Kube(bed)
        self.refs = images.pushed(bed)
        self.site = Site(contact="help@example.org")
        self.tenant: Tenant = tenant(members=[PERSON], workers={"dedicated": False}, networks=[]).model_copy(
            update={"name": f"img{secrets.token_hex(3)}"}
        )
        self.namespace = namespace(self.tenant)
        self._names: dict[str, str] = {}

    def prepare(self) -> None:
        """The namespace, which takes no Pod that is not restricted, and the Secrets that the kinds name."""
        level = {"pod-security.kubernetes.io/enforce": "restricted"}
        self.kube.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace, "labels": level}},
        )
        self.kube.apply(self._secret("tenanthub.remotes", **{"rclone.conf": REMOTES}))
        eventually("its service account", self._account)
        self.kube.apply(self._tool(), self._hub())
        eventually("the hub's stand-in", lambda: self.ready("hub"), patience_s=PULLED_WITHIN_S)
        for launch in self._launches():
            self._start(launch)

    def _account(self) -> bool:
        return self.kube.kubectl("get", "serviceaccount", "default", f"--namespace={self.namespace}").returncode == 0

    def _launches(self) -> Iterator[Launch]:
        target = f"http://{self.address('target')}:8080/"
        crawl = {**CRAWL, "start_urls": [target]}
        asked: tuple[tuple[str, str, dict[str, Any]], ...] = (
            (PERSON, "notebook", {"home": "none"}),
            (PERSON, "vscode", {"home": "none"}),
            (PERSON, "own-app", COMMAND),
            (EVERYBODY, "upload", UPLOAD),
            (EVERYBODY, "crawl", crawl),
            (EVERYBODY, "transfer", {"source": "data:raw", "destination": "cold:copies"}),
        )
        for owner, profile, options in asked:
            owner = owner if owner == PERSON else f"tenant-{self.tenant.name}"
            base = tenant(members=[PERSON], workers={"dedicated": False}, networks=[])
            wanted = workload(
                owner if owner == PERSON else EVERYBODY, profile, options, tenant=base, site=self.site, name=profile
            )
            mine = wanted.model_copy(update={"tenant": self.tenant.name, "owner": owner})
            yield launch_of(KINDS[mine.kind], mine, self.tenant, self.site, (), self.refs)

    def _start(self, launch: Launch) -> None:
        kind = launch.workload.kind
        found = next(pod for one in manifests(launch) if (pod := pod_of(one)) is not None)
        name = object_name(launch.workload)
        self._names[kind] = name
        if own := [one.key for one in launch.plan.secrets if one.secret is None]:
            self.kube.apply(self._secret(name, **dict.fromkeys(own, "swordfish-9" * 4)))
        meta = {**found["metadata"], "name": name, "namespace": self.namespace}
        spec = {**found["spec"], "restartPolicy": "Never"}
        if launch.plan.mode == "pod":
            (container,) = spec["containers"]
            spec["containers"] = [{**container, "env": [*container.get("env", []), *self._hub_env(kind)]}]
        if kind == "crawler":
            # the page to crawl is in the cluster's own network, which crawls stay out of
            setting = names.annotation_settings(keys(self.site))
            told = {**json.loads(meta["annotations"][setting]), "allow_private": True, "upload_retry_s": 5}
            meta["annotations"] = {**meta["annotations"], setting: json.dumps(told)}
        self.kube.apply({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})

    def _hub_env(self, kind: str) -> list[dict[str, str]]:
        prefix = f"/user/{PERSON}/{kind}/"
        return [
            {"name": name, "value": value}
            for name, value in {
                "JUPYTERHUB_API_TOKEN": "0" * 32,
                "JUPYTERHUB_API_URL": f"http://{self.address('hub')}:8081/hub/api",
                "JUPYTERHUB_ACTIVITY_URL": f"http://{self.address('hub')}:8081/hub/api/users/{PERSON}/activity",
                "JUPYTERHUB_BASE_URL": "/",
                "JUPYTERHUB_CLIENT_ID": f"jupyterhub-user-{PERSON}",
                "JUPYTERHUB_HOST": "",
                "JUPYTERHUB_OAUTH_CALLBACK_URL": f"{prefix}oauth_callback",
                "JUPYTERHUB_OAUTH_SCOPES": json.dumps(["access:servers"]),
                "JUPYTERHUB_OAUTH_ACCESS_SCOPES": json.dumps(["access:servers"]),
                "JUPYTERHUB_USER": PERSON,
                "JUPYTERHUB_SERVER_NAME": kind,
                "JUPYTERHUB_SERVICE_PREFIX": prefix,
                "JUPYTERHUB_SERVICE_URL": f"http://0.0.0.0:8888{prefix}",
            }.items()
        ]

    def _secret(self, name: str, **texts: str) -> Manifest:
        data = {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": self.namespace},
            "data": data,
        }

    def _tool(self) -> Manifest:
        return self._plain("target", {"image": TOOL, "imagePullPolicy": "Never", "args": ["http", "8080"]}, 65532)

    def _hub(self) -> Manifest:
        argv = ["python", "-c", HUB]
        ready = {"httpGet": {"port": 8081, "path": "/hub/api"}, "periodSeconds": 1, "timeoutSeconds": 10}
        return self._plain("hub", {"image": self.refs["hub"], "command": argv, "readinessProbe": ready}, 1000)

    def _plain(self, name: str, container: dict[str, Any], uid: int) -> Manifest:
        """A Pod that is not of a kind: what the chart's Pods look like, with /tmp to write to."""
        security = {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
        mount = {"name": "tmp", "mountPath": "/tmp"}
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {
                "automountServiceAccountToken": False,
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": uid,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "volumes": [{"name": "tmp", "emptyDir": {}}],
                "terminationGracePeriodSeconds": 1,
                "containers": [{"name": "main", "securityContext": security, "volumeMounts": [mount], **container}],
            },
        }

    def pod(self, kind: str) -> dict[str, Any]:
        """The Pod of a kind (or hub, target) as it is now."""
        name = self._names.get(kind, kind)
        found: dict[str, Any] = self.kube.get("pod", name, f"--namespace={self.namespace}")
        return found

    def address(self, kind: str) -> str:
        """Its IPv4 address, once it has one."""
        return str(
            eventually(
                f"an address of {kind}", lambda: self.pod(kind)["status"].get("podIP"), patience_s=PULLED_WITHIN_S
            )
        )

    def ready(self, kind: str) -> bool:
        """Whether it serves; AssertionError as soon as it has ended."""
        status = self.pod(kind)["status"]
        assert status["phase"] not in ("Failed", "Succeeded"), f"{kind} has ended: {self.log(kind)}"
        return any(one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions", []))

    def end(self, kind: str) -> dict[str, Any]:
        """How its container ended, once it has."""

        def ended() -> Any:
            states = self.pod(kind)["status"].get("containerStatuses", [])
            return states and states[0]["state"].get("terminated")

        found: dict[str, Any] = eventually(f"the end of {kind}", ended, patience_s=PULLED_WITHIN_S)
        return found

    def log(self, kind: str) -> str:
        """What it has said."""
        name = self._names.get(kind, kind)
        return self.kube.kubectl("logs", name, f"--namespace={self.namespace}", "--tail=20").stdout

    def run(self, kind: str, *argv: str) -> str:
        """The output of a command in its container."""
        name = self._names.get(kind, kind)
        return self.kube.must("exec", name, f"--namespace={self.namespace}", "--", *argv)

    def fetch(self, kind: str, path: str, port: int = 8888) -> tuple[int, str]:
        """Status and text of an HTTP GET, from the hub's Pod, which follows no redirection."""
        url = f"http://{self.address(kind)}:{port}{path}"
        script = (
            "import http.client, sys, urllib.parse as p; u = p.urlsplit(sys.argv[1]); "
            "c = http.client.HTTPConnection(u.netloc, timeout=10); c.request('GET', u.path); a = c.getresponse(); "
            "print(a.status); print(a.read().decode(errors='replace')[:2000])"
        )
        done = self.kube.kubectl("exec", "hub", f"--namespace={self.namespace}", "--", "python", "-c", script, url)
        status, _, text = done.stdout.partition("\n")
        return (int(status), text) if done.returncode == 0 else (0, done.stderr)


@pytest.fixture(scope="module")
def place(bed: Bed) -> Iterator[Place]:
    found = Place(bed)
    try:
        found.prepare()
        yield found
    finally:
        found.kube.kubectl("delete", "namespace", found.namespace, "--wait=false")


def test_the_notebook_serves(place: Place) -> None:
    path = f"/user/{PERSON}/notebook/api"
    eventually("JupyterLab", lambda: place.fetch("notebook", path)[0] == 200, patience_s=PULLED_WITHIN_S)
    assert "version" in json.loads(place.fetch("notebook", path)[1])


def test_people_can_install_what_they_need_into_their_home(place: Place) -> None:
    place.run("notebook", "sh", "-c", "mkdir -p /tmp/own && printf 'x = 7\\n' >/tmp/own/mine.py && printf "
              "'[project]\\nname = \"mine\"\\nversion = \"1\"\\n' >/tmp/own/pyproject.toml")  # fmt: skip
    found = place.run(
        "notebook", "python", "-c", "import site; print(site.ENABLE_USER_SITE, site.getusersitepackages())"
    )
    assert found.split()[0] == "True" and found.split()[1].startswith("/home/jovyan/")
    assert "pip" in place.run("notebook", "python", "-m", "pip", "--version")


@pytest.mark.parametrize("kind", ["ide", "app"])
def test_the_door_stands_in_front_of(place: Place, kind: str) -> None:
    eventually(
        f"the door of {kind}", lambda: place.fetch(kind, f"/user/{PERSON}/{kind}/")[0], patience_s=PULLED_WITHIN_S
    )
    assert place.fetch(kind, f"/user/{PERSON}/{kind}/")[0] in (302, 403)


def test_code_server_runs_in_its_image(place: Place) -> None:
    eventually("the door of ide", lambda: place.fetch("ide", f"/user/{PERSON}/ide/")[0], patience_s=PULLED_WITHIN_S)
    # what it says of its configuration file comes first
    assert place.run("ide", "code-server", "--version").splitlines()[-1].split(".")[0].isdigit()
    running = place.run("ide", "sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    assert "/opt/node /opt/code-server/out/node/entry.js" in running


def test_the_collector_serves(place: Place) -> None:
    eventually("the collector", lambda: place.ready("collector"), patience_s=PULLED_WITHIN_S)
    script = "import socket, sys; s = socket.create_connection((sys.argv[1], 2121), 10); print(s.recv(200).decode())"
    assert place.run("hub", "python", "-c", script, place.address("collector")).startswith("220")


@pytest.mark.parametrize("kind", ["crawler", "transfer"])
def test_a_run_comes_to_its_end(place: Place, kind: str) -> None:
    end = place.end(kind)
    assert json.loads(end["message"]), end["message"]
    if kind == "crawler":
        assert end["exitCode"] == 0, place.log(kind)
    else:  # the folder it is told to copy is not there, which the program itself has to find out and to say
        assert "outcome" in json.loads(end["message"])


def test_the_hubs_commands_are_there(place: Place) -> None:
    assert "usage: tenanthub" in place.run("hub", "tenanthub", "--help")
    assert place.run("hub", "configurable-http-proxy", "--version").strip()
    place.run("hub", "test", "-s", "/opt/tenanthub/node_modules/htmx.org/dist/htmx.min.js")
    modules = ["hub.cluster.main", "hub.portal.app", "spawners.kube.spawner", "psycopg", "oauthenticator"]
    script = f"import importlib; [importlib.import_module(name) for name in {modules}]"
    place.run("hub", "python", "-P", "-c", script)


def test_all_were_pulled_from_the_registry_and_nobody_is_root(place: Place) -> None:
    for kind in ("hub", "notebook", "ide", "app", "collector", "crawler", "transfer"):
        pod = place.pod(kind)
        (container,) = pod["spec"]["containers"]
        assert container["image"] == place.refs[kind]
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        (status,) = pod["status"]["containerStatuses"]
        assert "@sha256:" in status["imageID"] and place.refs[kind].partition("/")[0] in status["imageID"]
    for kind in ("hub", "notebook", "ide", "app", "collector"):
        assert place.run(kind, "id", "-u").strip() != "0"
