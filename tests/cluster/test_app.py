"""Own apps on real nodes: a foreign image behind the hub's sign-in, and one at an address without it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from config.names import slug
from spawners.kinds.app import AppKind
from spawners.kube.enforce import admit
from spawners.kube.manifests import manifests
from tests.cluster import images as ours
from tests.cluster.bed import Bed, binaries, images, lab
from tests.cluster.kube import eventually
from tests.cluster.kubehub import KubeHub
from tests.cluster.laboratory import fetched
from tests.cluster.room import Room, room

SIZES = [{"name": "small", "cpu": 0.2, "memory": "512Mi"}]


@pytest.fixture(scope="module")
def place(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    profile = {"name": "own-app", "kind": "app", "sizes": SIZES, "network": "lab-a"}
    site = {"image_registries": ["tenanthub.test", str(bed.registry)]}
    with room(bed, tmp_path_factory.mktemp("world"), [profile], 150, site=site) as made:
        yield made


def test_an_app_at_an_address_is_reached_by_its_network_and_by_nobody_else(place: Room, bed: Bed) -> None:
    options = {"image": images.TOOL, "command": f"{images.TOOL_PROGRAM} http {{port}}", "port": 8090}
    launch = place.launch(AppKind(), "own-app", "viewer", {**options, "reach": "address"}, {"app": "unused.test/x:1"})
    for one in manifests(launch):
        admit(one, launch)
        place.kube.apply(one)
    place.ready("viewer")
    tool = binaries.ensure(only=binaries.BED).tool
    with lab.instrument(bed, "a", "desk", 71) as desk:
        for address in launch.plan.addresses:
            said = eventually(f"an answer at {address}", lambda address=address: fetched(desk, address, tool))  # type: ignore[misc]
            assert said and said["pod"].startswith("viewer-")
        own = desk.run([str(tool), "get", f"http://{launch.plan.addresses[0]}:8090/"])
        assert own.returncode == 0, "and by the port that it has itself"
    with lab.instrument(bed, "b", "foreign", 72) as foreign:
        assert fetched(foreign, launch.plan.addresses[0], tool) is None
    (pod,) = place.pods(f"{place.operator.keys.workload}=viewer")
    assert pod["spec"]["nodeName"] == "n1" and len(pod["spec"]["containers"]) == 1
    assert pod["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True


def test_an_image_of_ones_own_answers_behind_the_hubs_sign_in_and_has_nothing_of_the_hubs(
    place: Room, bed: Bed, tmp_path: Path
) -> None:
    hub = AppHub(bed, place.operator.folder, tmp_path, place.tenant, place.operator.domain)
    hub.images = {"app": ours.pushed(bed)["app"]}
    hub.write()
    hub.start()
    try:
        command = f"{images.TOOL_PROGRAM} http {{port}}"
        answer = hub.launch("ada", "viewer", "own-app", image=images.TOOL, command=command, port=8090)
        assert answer.status_code in (201, 202), answer.text
        url = f"http://127.0.0.1:{hub.port}{hub.ready('ada', 'viewer')['url']}"
        unknown = httpx.get(url, timeout=30, trust_env=False)
        assert unknown.status_code == 302 and "/hub/api/oauth2/authorize" in unknown.headers["location"]
        said = _signed_in(hub).get(url + "some/page", timeout=30).json()
        assert said["path"] == "/some/page", "the hub's path is taken away"
        (pod,) = place.pods(f"{place.operator.keys.workload}=viewer,{place.operator.keys.owner}={slug('ada')}")
        (door,), (own,) = pod["spec"]["containers"], pod["spec"]["initContainers"]
        assert own["image"] == images.TOOL and door["image"] == hub.images["app"]
        assert not [one for one in own["env"] if "JUPYTER" in one["name"]]
        text = json.dumps(own)
        assert "secret" not in text.lower() and "/var/lib/tenanthub" not in text
        assert hub.api("DELETE", "/users/ada/servers/viewer").status_code in (202, 204)
        eventually("it is gone", lambda: not place.pods(f"{place.operator.keys.owner}={slug('ada')}"))
    finally:
        hub.stop()


def _signed_in(hub: KubeHub) -> httpx.Client:
    """A browser's session of ada's."""
    client = httpx.Client(base_url=f"http://127.0.0.1:{hub.port}", follow_redirects=True, trust_env=False)
    page = client.get("/hub/login", timeout=30)
    xsrf = re.search(r'name="_xsrf" value="([^"]+)"', page.text)
    assert xsrf, page.text[:500]
    form = {"username": "ada", "password": "x", "_xsrf": xsrf[1]}
    # not to the default server, which is refused here
    done = client.post("/hub/login?next=/hub/home", data=form, timeout=30)
    assert done.status_code == 200, done.text[:300]
    return client


class AppHub(KubeHub):
    """The hub with the kind of ours, whose Pods call it back at the host's address in the bed's machine room."""

    images: dict[str, Any]

    def write(self) -> None:
        text = self.config.read_text()
        text = text.replace("site_with_tools(Path", "(lambda *_: None)(Path")
        address = self.bed.host[0]
        text = text.replace(
            f'hub_bind_url = "http://127.0.0.1:{self.hub_port}"', f'hub_bind_url = "http://{address}:{self.hub_port}"'
        )
        text += f"\nc.TenantKubeSpawner.kind_images = {self.images!r}\n"
        text += f'c.JupyterHub.hub_connect_url = "http://{address}:{self.hub_port}"\n'
        self.config.write_text(text)
