"""Two tenants, real kubelets, a real MetalLB: each has its own nodes and addresses, whatever it asks for.

Everything that a tenant does here, a member does with kubectl, by impersonation as the gateway will.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.bed import Bed, binaries, lab
from tests.cluster.bed.lab import Instrument
from tests.cluster.kube import eventually
from tests.cluster.laboratory import (
    Laboratory,
    announcer,
    fetched,
    kill,
    pod,
    raised,
    revive,
    service,
    workload,
)

WEB = ["192.0.2.205", "2001:db8:120::205"]
"""A's Service; MetalLB elects n2 for it among n1 and n2 (SHA-256 of node and address), so that n2 can die."""


@pytest.fixture(scope="module")
def programs() -> binaries.Binaries:
    return binaries.ensure(only=binaries.BED)


@pytest.fixture(scope="module")
def tool(programs: binaries.Binaries) -> Path:
    return programs.tool


@pytest.fixture(scope="module")
def laboratory(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    made = raised(bed, tmp_path_factory.mktemp("life") / "world", f"t{secrets.token_hex(3)}")
    try:
        yield made
    finally:
        made.take_down()


@pytest.fixture(scope="module")
def web(laboratory: Laboratory) -> Laboratory:
    """A's web server, two Pods, and its Service with an address of each family."""
    laboratory.created("a", workload("Deployment", "web", "http", "8080"))
    laboratory.created("a", service("web", "web", {"metallb.io/loadBalancerIPs": ",".join(WEB)}))
    eventually("an address for the Service", lambda: laboratory.addresses("a", "web") == WEB)
    return laboratory


@pytest.fixture(scope="module")
def on_a(bed: Bed) -> Iterator[Instrument]:
    with lab.instrument(bed, "a", "life-a", 71) as made:
        yield made


@pytest.fixture(scope="module")
def on_b(bed: Bed) -> Iterator[Instrument]:
    with lab.instrument(bed, "b", "life-b", 71) as made:
        yield made


def test_a_service_has_the_tenants_address_and_is_reached_from_its_vlan(
    web: Laboratory, on_a: Instrument, tool: Path
) -> None:
    for address in WEB:
        said = eventually(f"an answer from {address}", partial(fetched, on_a, address, tool))
        assert said is not None and said["pod"].startswith("web-") and said["node"] == "n1"
    assert announcer(web.bed, on_a, WEB[0], tool) == announcer(web.bed, on_a, WEB[1], tool) == "n2"


def test_it_is_not_reached_from_the_other_tenants_vlan(web: Laboratory, on_b: Instrument, tool: Path) -> None:
    for address in WEB:
        assert fetched(on_b, address, tool) is None
        # and nobody answers for it there, to one who looks for it on that network
        on_b.look_for(address_of(address))
        assert announcer(web.bed, on_b, address, tool) is None


def test_source_ranges_close_the_way_through_a_gateway_node_of_both(
    web: Laboratory, on_a: Instrument, on_b: Instrument, tool: Path
) -> None:
    """n2 is on both VLANs, and kube-proxy answers for every Service on every interface: B's need only add a route."""
    own = "192.0.2.207"
    ranges = {"loadBalancerSourceRanges": ["192.0.2.0/24"], "ipFamilyPolicy": "SingleStack"}
    web.created("a", service("fenced", "web", {"metallb.io/loadBalancerIPs": own}, **ranges))
    eventually("an address for the Service", lambda: web.addresses("a", "fenced") == [own])
    eventually("an answer on A's VLAN", partial(fetched, on_a, own, tool))
    through = str(on_b.vlan.address("n2")[0])
    try:
        for address in (own, WEB[0]):
            assert on_b.run(["ip", "route", "replace", f"{address}/32", "via", through]).returncode == 0
        # the way is there, as the Service without ranges shows; status tells of that one alone
        eventually("an answer through n2", partial(fetched, on_b, WEB[0], tool))
        assert fetched(on_b, own, tool) is None
        notes = web.status(web.name("a")).findings("note", web.name("a"))
        (note,) = [text for text in notes if "loadBalancerSourceRanges" in text]
        assert f"{web.room('a')}/web" in note and "fenced" not in note
    finally:
        for address in (own, WEB[0]):
            on_b.run(["ip", "route", "del", f"{address}/32"])
        web.member("a", "delete", "service", "fenced")


def address_of(text: str) -> Any:
    from ipaddress import ip_address

    return ip_address(text)


def test_status_says_who_serves(web: Laboratory) -> None:
    said = web.status(web.name("a"))
    assert said.code == 0, said.report
    tenant = said.tenant(web.name("a"))
    uses = tenant["networks"][0]["loadbalancer"]["services"]
    use = next(use for use in uses if use["service"] == f"{web.room('a')}/web")
    assert sorted(use["addresses"]) == WEB
    assert [(word["node"], word["interfaces"]) for word in use["announced_by"]] == [("n2", ["vlan120"])]
    assert {one["name"]: one["pods"] for one in tenant["workers"]["nodes"]} == {"n1": 1}
    assert tenant["workers"]["elsewhere"] == []
    assert {check["state"] for check in said.report["walls"]["checks"]} == {"up"}


def test_only_the_networks_own_gateway_nodes_announce(web: Laboratory, on_a: Instrument, tool: Path) -> None:
    """n2 is a gateway node of A and on the VLAN, but not one of this network."""
    own = ["192.0.2.230", "2001:db8:120:0:1::230"]
    web.created("a", service("narrow", "web", {"metallb.io/loadBalancerIPs": ",".join(own)}))
    eventually("an address for the Service", lambda: web.addresses("a", "narrow") == own)
    eventually("who announces it", lambda: announcer(web.bed, on_a, own[0], tool))
    assert announcer(web.bed, on_a, own[0], tool) == "n1"
    narrow = web.status(web.name("a")).tenant(web.name("a"))["networks"][1]
    (use,) = narrow["loadbalancer"]["services"]
    assert [word["node"] for word in use["announced_by"]] == ["n1"]


ASKS: dict[str, dict[str, Any]] = {
    "annotation": {"annotations": {"metallb.io/loadBalancerIPs": "192.0.2.206"}},
    "old annotation": {"annotations": {"metallb.universe.tf/loadBalancerIPs": "192.0.2.206"}},
    "IPv6": {"annotations": {"metallb.io/loadBalancerIPs": "2001:db8:120::206"}},
    "one of each": {"annotations": {"metallb.io/loadBalancerIPs": "198.51.100.206,2001:db8:120::206"}},
    "field": {"loadBalancerIP": "192.0.2.206"},
    "external": {"externalIPs": ["192.0.2.206"]},
    "pool": {"annotations": {"metallb.io/address-pool": "{pool}"}},
    "old pool": {"annotations": {"metallb.universe.tf/address-pool": "{pool}"}},
    "shared": {
        "annotations": {"metallb.io/allow-shared-ip": "x", "metallb.io/loadBalancerIPs": "192.0.2.205"},
    },
}


@pytest.mark.parametrize("ask", ASKS)
def test_another_tenant_gets_none_of_it(web: Laboratory, ask: str) -> None:
    pool = f"{web.room('a')}.lab-a"
    more = dict(ASKS[ask])
    notes = {name: value.format(pool=pool) for name, value in more.pop("annotations", {}).items()}
    single = {} if ask != "field" else {"ipFamilyPolicy": "SingleStack"}
    done = web.member("b", "create", "--filename=-", given=service("thief", "web", notes, **single, **more))
    assert done.returncode != 0 and "ValidatingAdmissionPolicy" in done.stderr, done.stdout + done.stderr

    done = web.member("b", "get", "service", "honest")
    if done.returncode:
        web.created("b", service("honest", "web"))
        eventually("B's own address", lambda: len(web.addresses("b", "honest")) == 2)
    before = web.addresses("b", "honest")
    assert all(address.startswith(("198.51.100.", "2001:db8:130:")) for address in before)
    patch = {"metadata": {"annotations": notes}, "spec": more}
    done = web.member("b", "patch", "service", "honest", "--type=merge", f"--patch={_json(patch)}")
    assert done.returncode != 0 and "ValidatingAdmissionPolicy" in done.stderr, done.stdout + done.stderr
    assert web.addresses("b", "honest") == before


def _json(value: object) -> str:
    import json

    return json.dumps(value)


def test_metallb_itself_gives_nothing_to_another_tenant(web: Laboratory) -> None:
    """The second wall: with admission out of the way, the pool's own serviceAllocation still says no."""
    notes = {"metallb.io/address-pool": f"{web.room('a')}.lab-a"}
    stranger = f"{web.unique}-stranger"
    web.kube.must("create", "namespace", stranger)
    try:
        wanted = service("thief", "web", notes)
        wanted["metadata"]["namespace"] = stranger
        web.kube.apply(wanted)

        def refused() -> bool:
            events = web.kube.get("events", f"--namespace={stranger}")["items"]
            return any(event["reason"] == "AllocationFailed" for event in events)

        eventually("MetalLB's refusal", refused)
        found = web.kube.get("service", "thief", f"--namespace={stranger}")
        assert not found["status"]["loadBalancer"]
    finally:
        web.kube.must("delete", "namespace", stranger)


ELSEWHERE = "kubernetes.io/hostname"
TO_N3 = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [{"key": ELSEWHERE, "operator": "In", "values": ["n3"]}]}]
        }
    }
}
EVERY_TAINT = [{"operator": "Exists"}]
PLACES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "nodeName": {"nodeName": "n3"},
    "tolerations": {"tolerations": EVERY_TAINT},
    "affinity": {"affinity": TO_N3},
    "selector": {"nodeSelector": {ELSEWHERE: "n3"}},
    "all but nodeName": {"tolerations": EVERY_TAINT, "affinity": TO_N3, "nodeSelector": {ELSEWHERE: "n3"}},
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", ["Pod", "Job", "Deployment"])
def test_a_pod_runs_on_its_tenants_workers_whatever_it_asks(laboratory: Laboratory, kind: str, place: str) -> None:
    name = f"{kind.lower()}-{secrets.token_hex(3)}"
    wanted = pod(name, **PLACES[place]) if kind == "Pod" else workload(kind, name, **PLACES[place])
    done = laboratory.member("a", "create", "--filename=-", given=wanted)
    refused = done.returncode != 0
    try:
        if refused:
            assert "ValidatingAdmissionPolicy" in done.stderr or "PodNodeSelector" in done.stderr, done.stderr
            assert laboratory.pods("a", f"app={name}") == []
            return
        assert place not in ("nodeName", "tolerations", "all but nodeName"), "these have to be refused"
        found = eventually("a word of the scheduler", lambda: _decided(laboratory, name))
        assert {one["spec"].get("nodeName", "") for one in found} <= {"n1", ""}
        assert place != "nothing" or {one["spec"].get("nodeName") for one in found} == {"n1"}
    finally:
        laboratory.member("a", "delete", kind.lower(), name, "--wait=false", "--ignore-not-found")
        eventually("its end", lambda: not laboratory.pods("a", f"app={name}"))


def _decided(laboratory: Laboratory, name: str) -> list[dict[str, Any]]:
    """The workload's Pods once the scheduler has placed each, or said that it cannot."""
    found = laboratory.pods("a", f"app={name}")
    told = [
        one
        for one in found
        if any(condition["type"] == "PodScheduled" for condition in one["status"].get("conditions", []))
    ]
    return told if len(told) == len(found) else []


def test_a_daemonset_of_the_operators_stays_on_the_workers_too(laboratory: Laboratory) -> None:
    """Members may make none; in the tenant's namespace not even the operator's gets further than n1.

    It names the tenant's own toleration: the controller looks at its template alone when it chooses nodes, and what
    admission adds comes later.
    """
    own = {"key": laboratory.keys.tenant, "value": laboratory.name("a"), "effect": "NoSchedule"}
    wanted = workload("DaemonSet", "everywhere", tolerations=[own])
    assert laboratory.member("a", "create", "--filename=-", given=wanted).returncode != 0
    wanted["metadata"]["namespace"] = laboratory.room("a")
    laboratory.kube.apply(wanted)
    try:
        eventually("a Pod on n1", lambda: "n1" in _nodes(laboratory, "everywhere"))
        found = eventually("a word of the scheduler on each", lambda: _decided(laboratory, "everywhere"))
        assert len(found) > 1, "n2 has no taint, so that one was made for it as well"
        assert _nodes(laboratory, "everywhere") == {"n1", ""}
        assert laboratory.status(laboratory.name("a")).findings("alarm", laboratory.name("a")) == []
    finally:
        laboratory.kube.must("delete", "daemonset", "everywhere", f"--namespace={laboratory.room('a')}")


def _nodes(laboratory: Laboratory, name: str) -> set[str]:
    return {one["spec"].get("nodeName", "") for one in laboratory.pods("a", f"app={name}")}


def test_nobody_elses_pod_gets_onto_a_dedicated_worker(laboratory: Laboratory) -> None:
    """A Pod outside the tenants that does not tolerate the taint: the scheduler leaves it n2 alone."""
    name = f"{laboratory.unique}-outsider"
    laboratory.kube.must("create", "namespace", name)
    try:
        eventually(
            "the ServiceAccount",
            lambda: not laboratory.kube.kubectl("get", "sa", "default", f"-n{name}").returncode,
        )
        wanted = workload("Deployment", "outsider")
        wanted["spec"]["replicas"] = 4
        wanted["metadata"]["namespace"] = name
        laboratory.kube.apply(wanted)

        def placed() -> list[str]:
            items = laboratory.kube.get("pods", f"--namespace={name}")["items"]
            nodes = [one["spec"].get("nodeName", "") for one in items]
            return nodes if len(nodes) == 4 and all(nodes) else []

        assert set(eventually("four placed Pods", placed)) == {"n2"}
    finally:
        laboratory.kube.must("delete", "namespace", name)


@pytest.mark.timeout(600)
def test_a_node_dies_the_announcement_moves_and_status_says_so(
    web: Laboratory, on_a: Instrument, tool: Path, programs: binaries.Binaries
) -> None:
    """Last, for n2 comes back as after a power cut. MetalLB 0.15 leaves a word of the dead node behind."""
    assert announcer(web.bed, on_a, WEB[0], tool) == "n2"
    kill(web.bed, "n2")
    try:
        eventually("the announcement by n1", lambda: announcer(web.bed, on_a, WEB[0], tool) == "n1", patience_s=90)
        for address in WEB:
            eventually(f"an answer from {address}", partial(fetched, on_a, address, tool))
        moved = eventually("a status that knows it", lambda: _announced(web, "n1"), patience_s=90)
        assert moved["announced_by"][0]["current"]
        assert all(not word["current"] for word in moved["announced_by"][1:])

        def noticed() -> bool:
            said = web.status(web.name("a"))
            return said.code == 2 and any("gateway node n2" in text for text in said.findings("wrong", web.name("a")))

        eventually("a status that misses n2", noticed, patience_s=120)
        assert _announced(web, "n1"), "still, now that n2 counts as not ready"
    finally:
        revive(web.bed, "n2", programs)
    eventually("n2 again", lambda: announcer(web.bed, on_a, WEB[0], tool) == "n2", patience_s=180)
    eventually("a status that knows it", lambda: _announced(web, "n2"), patience_s=90)
    eventually("all as declared", lambda: web.status(web.name("a")).code == 0, patience_s=90)


def _announced(web: Laboratory, node: str) -> dict[str, Any]:
    """A's Service as status tells it, if *node* is whom it believes."""
    uses = web.status(web.name("a")).tenant(web.name("a"))["networks"][0]["loadbalancer"]["services"]
    found: dict[str, Any] = next(use for use in uses if use["service"].endswith("/web"))
    return found if found["announced_by"][:1] and found["announced_by"][0]["node"] == node else {}
