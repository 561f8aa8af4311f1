"""The bed's surroundings, by use: DNS, registry, the laboratories' networks, MetalLB's announcements on them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tests.cluster.bed import binaries, images, lab, metallb, processes, registry
from tests.cluster.bed.lab import Address, Instrument
from tests.cluster.bed.names import Bed

PORT = "8080"
IPV4, IPV6 = "192.0.2.190", "2001:db8:120::190"  # no other test takes these
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


@pytest.fixture(scope="session")
def programs() -> binaries.Binaries:
    return binaries.ensure()


@pytest.fixture
def namespace(kube: Any, unique: str) -> str:
    """A namespace under Pod Security `restricted`, as a tenant's is."""
    kube.kubectl("create", "namespace", unique)
    kube.kubectl("label", "namespace", unique, *(f"{key}={value}" for key, value in RESTRICTED.items()))
    return unique


def pod(name: str, *argv: str, image: str = images.TOOL, **spec: Any) -> dict[str, Any]:
    container = {
        "name": "tool",
        "image": image,
        "args": list(argv),
        "env": [{"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 1, "restartPolicy": "Never", **spec},
    }


def service(name: str, **spec: Any) -> dict[str, Any]:
    ports = [{"port": 80, "targetPort": int(PORT)}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": ports, "ipFamilyPolicy": "PreferDualStack", **spec},
    }


def apply(kube: Any, namespace: str, *objects: dict[str, Any]) -> None:
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
    kube.kubectl("apply", "--server-side", f"--namespace={namespace}", "--filename=-", input=text)


def run_to_end(kube: Any, bed: Bed, namespace: str, wanted: dict[str, Any]) -> tuple[str, str]:
    """The phase in which the pod ended, and what it wrote."""
    name = wanted["metadata"]["name"]
    apply(kube, namespace, wanted)

    def phase() -> str:
        return str(
            kube.kubectl("get", "pod", name, f"--namespace={namespace}", "--output=jsonpath={.status.phase}").stdout
        )

    processes.wait(bed, f"the end of pod {name}", lambda: phase() in ("Succeeded", "Failed"))
    return phase(), kube.kubectl("logs", name, f"--namespace={namespace}").stdout


def serve(kube: Any, namespace: str, name: str, node: str, **service_spec: Any) -> None:
    """An HTTP server on a node, behind a Service of the same name."""
    apply(kube, namespace, pod(name, "http", PORT, nodeName=node), service(name, **service_spec))
    kube.kubectl("wait", "pod", name, f"--namespace={namespace}", "--for=condition=Ready", "--timeout=60s")


def test_pods_find_services_by_name(bed: Bed, kube: Any, namespace: str) -> None:
    serve(kube, namespace, "web", "n3")
    phase, text = run_to_end(kube, bed, namespace, pod("asks", "get", f"http://web.{namespace}/hello", nodeName="n1"))
    assert phase == "Succeeded", text
    assert json.loads(text)["pod"] == "web"
    assert json.loads(text)["node"] == "n3"

    phase, text = run_to_end(kube, bed, namespace, pod("both", "dns", f"web.{namespace}.svc.cluster.local"))
    families = kube.kubectl("get", "service", "web", f"--namespace={namespace}", "--output=jsonpath={.spec.clusterIPs}")
    assert sorted(text.split()) == sorted(json.loads(families.stdout))
    assert len(text.split()) == 2  # IPv4 and IPv6


def test_a_name_that_is_not_there_is_denied(bed: Bed, kube: Any, namespace: str) -> None:
    phase, text = run_to_end(kube, bed, namespace, pod("asks", "dns", "nobody.example"))
    assert phase == "Failed"
    assert "no such host" in text  # an answer, and not the end of somebody's patience


def test_an_image_goes_through_the_registry(bed: Bed, kube: Any, namespace: str, programs: binaries.Binaries) -> None:
    reference = registry.push(bed, programs.tool_image, f"{namespace}/tool:7")
    assert reference == f"{bed.registry}/{namespace}/tool:7"
    assert f"{namespace}/tool" in registry.catalogue(bed)

    wanted = pod("pulled", "id", image=reference)
    wanted["spec"]["containers"][0]["imagePullPolicy"] = "Always"
    phase, text = run_to_end(kube, bed, namespace, wanted)
    assert (phase, text) == ("Succeeded", "uid=65532 gid=65532\n")


@pytest.fixture
def on_a(bed: Bed) -> Iterator[Instrument]:
    with lab.instrument(bed, "a", "cam-a", 60) as made:
        yield made


@pytest.fixture
def on_b(bed: Bed) -> Iterator[Instrument]:
    with lab.instrument(bed, "b", "cam-b", 60) as made:
        yield made


def fetch(instrument: Instrument, programs: binaries.Binaries, url: str) -> dict[str, str] | None:
    """What an HTTP server of ours says to the instrument; None when it gets no answer."""
    result = instrument.run([str(programs.tool), "get", url])
    return dict(json.loads(result.stdout)) if result.returncode == 0 else None


def answers(instrument: Instrument, address: Address, programs: binaries.Binaries) -> bool:
    """Whether somebody has the address on the instrument's network, if only to refuse a connection."""
    instrument.run([str(programs.tool), "tcp", str(address), "1"])
    return instrument.neighbour(address) is not None


def test_a_vlan_reaches_the_nodes_that_join_it(
    bed: Bed, on_a: Instrument, on_b: Instrument, programs: binaries.Binaries
) -> None:
    for instrument, nodes in ((on_a, {"n1", "n2"}), (on_b, {"n2", "n3"})):
        for family in (0, 1):
            reached = {
                node.name
                for node in bed.nodes
                if answers(instrument, instrument.vlan.address(node.name)[family], programs)
            }
            assert reached == nodes


def test_instruments_meet_only_on_their_own_vlan(
    bed: Bed, on_a: Instrument, on_b: Instrument, programs: binaries.Binaries
) -> None:
    server = on_a.start([str(programs.tool), "http", PORT])
    try:
        with lab.instrument(bed, "a", "scanner", 61) as other:
            for host in (str(on_a.ipv4), f"[{on_a.ipv6}]"):
                url = f"http://{host}:{PORT}/"
                processes.wait(bed, url, partial(fetch, other, programs, url))
        for address in (on_a.ipv4, on_a.ipv6):
            on_b.look_for(address)
            assert not answers(on_b, address, programs)
    finally:
        server.terminate()
        server.communicate()


def test_the_host_is_on_no_vlan(bed: Bed) -> None:
    for vlan in bed.vlans:
        addresses = json.loads(processes.run(bed.name, ["ip", "-json", "addr", "show", "dev", vlan.bridge]))
        assert addresses[0]["addr_info"] == []


@pytest.fixture
def announced(kube: Any, namespace: str) -> Iterator[str]:
    """A pool of VLAN a for the namespace alone, announced by n1 alone; a Service with it, whose pod is on n3."""
    kube.kubectl("label", "node", "n1", f"lb.test/{namespace}=true")
    pool = {
        "apiVersion": "metallb.io/v1beta1",
        "kind": "IPAddressPool",
        "metadata": {"name": namespace},
        "spec": {
            "addresses": [f"{IPV4}/32", f"{IPV6}/128"],
            "autoAssign": False,
            "serviceAllocation": {"namespaceSelectors": [{"matchLabels": {"kubernetes.io/metadata.name": namespace}}]},
        },
    }
    advertisement = {
        "apiVersion": "metallb.io/v1beta1",
        "kind": "L2Advertisement",
        "metadata": {"name": namespace},
        "spec": {
            "ipAddressPools": [namespace],
            "nodeSelectors": [{"matchLabels": {f"lb.test/{namespace}": "true"}}],
            "interfaces": ["vlan120"],
        },
    }
    try:
        apply(kube, metallb.NAMESPACE, pool, advertisement)
        apply(kube, namespace, pod("web", "http", PORT, nodeName="n3"))
        balanced = service(
            "web", type="LoadBalancer", externalTrafficPolicy="Cluster", ipFamilyPolicy="RequireDualStack"
        )
        balanced["metadata"]["annotations"] = {"metallb.io/loadBalancerIPs": f"{IPV4},{IPV6}"}
        apply(kube, namespace, balanced)
        kube.kubectl("wait", "pod", "web", f"--namespace={namespace}", "--for=condition=Ready", "--timeout=60s")
        yield namespace
    finally:
        kube.kubectl("delete", "service", "web", f"--namespace={namespace}", "--ignore-not-found")
        for kind in ("l2advertisement", "ipaddresspool"):
            kube.kubectl("delete", kind, namespace, f"--namespace={metallb.NAMESPACE}", "--ignore-not-found")
        kube.kubectl("label", "node", "n1", f"lb.test/{namespace}-")


def test_metallb_announces_a_service_on_the_vlan(
    bed: Bed, kube: Any, announced: str, on_a: Instrument, on_b: Instrument, programs: binaries.Binaries
) -> None:
    for address, url in ((IPV4, f"http://{IPV4}/"), (IPV6, f"http://[{IPV6}]/")):
        processes.wait(bed, url, partial(fetch, on_a, programs, url))
        answer = fetch(on_a, programs, url)
        assert answer
        assert (answer["pod"], answer["node"]) == ("web", "n3")
        assert on_a.neighbour(address) == lab.hardware_address(bed, "n1", "a")
        on_b.look_for(address)  # n2 is on that network, too, but must not answer for it
        assert not answers(on_b, address, programs)

    def announcers() -> set[str]:
        items = json.loads(kube.kubectl("get", "servicel2statuses", "--all-namespaces", "--output=json").stdout)[
            "items"
        ]
        return {item["status"]["node"] for item in items if item["status"].get("serviceNamespace") == announced}

    processes.wait(bed, "the ServiceL2Status", lambda: announcers() == {"n1"})
