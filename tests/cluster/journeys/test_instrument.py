"""Journey 2: physics' admin starts an Instrument upload; a camera on the laboratory's VLAN fills object storage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from ipaddress import ip_address
from pathlib import Path

import pytest
from playwright.sync_api import expect

from config.models.addresses import AddressRange
from tests.browser.people import Person
from tests.cluster.bed import binaries, lab
from tests.cluster.bed.lab import Instrument
from tests.cluster.journeys import camera, world
from tests.cluster.journeys.camera import Access
from tests.cluster.journeys.collecting import collector
from tests.cluster.journeys.place import Place
from tests.cluster.journeys.views import look, see_nothing
from tests.cluster.kube import eventually
from tests.cluster.laboratory import announcer

People = Callable[..., Person]
pytestmark = pytest.mark.timeout(900)  # a safety net on a busy machine; two minutes are usual
FOLDER = "camera/raw"
FILES = 1000
KUBE_PROXY_HEALTH = 10256
LARGE = 2**31 + 4097
"""Bytes: 2 GB, and beyond what a signed number of 32 bits holds."""


@pytest.fixture
def outsider(place: Place) -> Iterator[Instrument]:
    """An instrument of history's, on VLAN b."""
    with lab.instrument(place.bed, "b", "scanner", 61) as made:
        yield made


@pytest.fixture
def instrument(place: Place) -> Iterator[Instrument]:
    """The camera, on VLAN a."""
    with lab.instrument(place.bed, "a", "camera", 60) as made:
        yield made


def test_a_camera_uploads_to_physics_own_address(
    place: Place, people: People, instrument: Instrument, outsider: Instrument, tmp_path: Path
) -> None:
    person = people(place, world.ADMIN)
    name, accesses = collector(person, "Telescope camera", FOLDER)
    look(person, "page of a collector")
    _addressed(place, name, [access.host for access in accesses], instrument)
    _out_of_reach(outsider, accesses)
    see_nothing(place, people(place, world.STRANGER), "tenant-physics", name, "Telescope camera")

    made = camera.pictures(tmp_path / "tree", FILES)
    person.mark()
    plain_s = camera.mirror(instrument, accesses[0], tmp_path / "tree", "plain", tls=False)
    secure_s = camera.mirror(instrument, accesses[-1], tmp_path / "tree", "secure", tls=True)
    sent = camera.send_large(instrument, accesses[0], "whole night.fits", LARGE, tls=True)
    assert sent["reply"].startswith("226")
    print(
        f"{FILES} files: {plain_s:.0f} s by FTP, {secure_s:.0f} s by FTPS; {LARGE} bytes: {sent['seconds']} s by FTPS"
    )

    store = place.stores[world.PHYSICS]
    for folder in ("plain", "secure"):
        # 226 says that the object is there: nothing is waited for.
        assert {file: store.sha256(f"{FOLDER}/{folder}/{file}") for file in made} == made
        assert store.names(f"{FOLDER}/{folder}") == set(made)
    assert store.sha256(f"{FOLDER}/whole night.fits") == sent["sha256"]
    assert place.stores[world.HISTORY].names() == set()

    row = person.panel("Last uploads").get_by_role("row").filter(has_text="whole night.fits")
    expect(row).to_contain_text("Complete")
    expect(row).to_contain_text("2 GiB")
    assert person.same_document(), "the row came by loading the page again"
    look(person, "page of a collector after uploads")
    person.stop()
    assert place.pods(name) == []
    person.page.reload()
    # Its Pod, whose files these rows were, is gone.
    expect(row).to_contain_text("Complete", timeout=60_000)


def _addressed(place: Place, name: str, hosts: list[str], instrument: Instrument) -> None:
    """The Service is at physics' own addresses, announced by a gateway node of its VLAN; its Pod is on its worker."""
    [pod] = place.pods(name)
    place.placed(pod)
    [service] = place.objects("services", name)
    spec = service["spec"]
    assert spec["type"] == "LoadBalancer"
    assert spec["allocateLoadBalancerNodePorts"] is False
    assert not any(port.get("nodePort") for port in spec["ports"])
    given = {one["ip"] for one in service["status"]["loadBalancer"]["ingress"]}
    assert given == set(hosts), "the page says the addresses that the Service has"
    assert {ip_address(one).version for one in given} == {4, 6}
    ranges = [AddressRange.parse(text) for text in world.ADDRESSES[world.PHYSICS]]
    for one in given:
        assert any(ip_address(one) in addresses for addresses in ranges), one
        eventually(f"{one} is announced", partial(_announced, place, instrument, one))


def _announced(place: Place, instrument: Instrument, address: str) -> bool:
    """By one of the nodes that are in the VLAN."""
    tool = binaries.ensure(print, binaries.BED).tool
    return announcer(place.bed, instrument, address, tool) in instrument.vlan.nodes


def _out_of_reach(outsider: Instrument, accesses: list[Access]) -> None:
    """From the other VLAN: neither as a neighbour, nor by way of the node that is in both."""
    between = outsider.vlan.address("n2")
    assert camera.reaches(outsider, str(between[0]), KUBE_PROXY_HEALTH), "the control: it reaches that node itself"
    for access in accesses:
        gateway = between[1] if ":" in access.host else between[0]
        outsider.look_for(access.host)
        assert not camera.reaches(outsider, access.host, access.port)
        outsider.run(["ip", "route", "replace", access.host, "via", str(gateway)])
        assert not camera.reaches(outsider, access.host, access.port)
