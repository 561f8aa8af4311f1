"""The bed's surroundings, by use: DNS, registry, the laboratories' networks, MetalLB's announcements on them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.bed import Bed, binaries, images, lab, metallb, processes, registry
from tests.cluster.bed.lab import Address, Instrument
from tests.cluster.kube import Kube, eventually

PORT = "8080"
IPV4, IPV6 = "192.0.2.190", "2001:db8:120::190"  # no other test takes these


@pytest.fixture(scope="session")
def programs() -> binaries.Binaries:
    return binaries.ensure(only=binaries.BED)


@pytest.fixture
def namespace(kube: Kube, unique: str) -> str:
    """A namespace under Pod Security `restricted`, as a tenant's is."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": unique, "labels": labels}})
    # the ServiceAccount that every pod needs comes a moment after its namespace
    eventually("the ServiceAccount", lambda: not kube.kubectl("get", "sa", "default", f"-n{unique}").returncode)
    return unique


def pod(namespace: str, name: str, *argv: str, image: str = images.TOOL, **spec: Any) -> dict[str, Any]:
    container = {
        "name": "tool",
        "image": image,
        "imagePullPolicy": "IfNotPresent" if image == images.TOOL else "Always",
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
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 1, "restartPolicy": "Never", **spec},
    }


def service(namespace: str, name: str, annotations: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    ports = [{"port": 80, "targetPort": int(PORT)}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "annotations": annotations or {}},
        "spec": {"selector": {"app": name}, "ports": ports, "ipFamilyPolicy": "RequireDualStack", **spec},
    }


def run_to_end(kube: Kube, wanted: dict[str, Any]) -> tuple[str, str]:
    """The phase in which the pod ended, and what it wrote."""
    where = (wanted["metadata"]["name"], f"--namespace={wanted['metadata']['namespace']}")
    kube.apply(wanted)

    def ended() -> str | None:
        phase = str(kube.get("pod", *where)["status"].get("phase"))
        return phase if phase in ("Succeeded", "Failed") else None

    return eventually(f"the end of pod {where[0]}", ended) or "", kube.must("logs", *where)


def serve(kube: Kube, namespace: str, name: str, node: str) -> None:
    """A pod with an HTTP server, on that node, when it is ready."""
    kube.apply(pod(namespace, name, "http", PORT, nodeName=node))
    kube.must("wait", "pod", name, f"--namespace={namespace}", "--for=condition=Ready", "--timeout=60s")


def test_pods_find_services_by_name(kube: Kube, namespace: str) -> None:
    kube.apply(service(namespace, "web"))
    serve(kube, namespace, "web", "n3")
    phase, text = run_to_end(kube, pod(namespace, "asks", "get", f"http://web.{namespace}/hello", nodeName="n1"))
    assert phase == "Succeeded", text
    assert (json.loads(text)["pod"], json.loads(text)["node"]) == ("web", "n3")

    _, text = run_to_end(kube, pod(namespace, "both", "dns", f"web.{namespace}.svc.cluster.local"))
    addresses = kube.get("service", "web", f"--namespace={namespace}")["spec"]["clusterIPs"]
    assert sorted(text.split()) == sorted(addresses)
    assert len(addresses) == 2  # IPv4 and IPv6


def test_a_name_that_is_not_there_is_denied(kube: Kube, namespace: str) -> None:
    phase, text = run_to_end(kube, pod(namespace, "asks", "dns", "nobody.example"))
    assert phase == "Failed"
    assert "no such host" in text  # an answer, and not the end of somebody's patience


def test_an_image_goes_through_the_registry(
    bed: Bed, kube: Kube, namespace: str, programs: binaries.Binaries, tmp_path: Path
) -> None:
    # Not the image that nodes have anyway: containerd would know its layers, and kubelet take the two for one.
    archive = tmp_path / "own.tar"
    images.write(archive, "any:1", programs.tool, "/bin/of-their-own", ["lines", "2", "0"])
    reference = registry.push(bed, archive, f"{namespace}/own:7")
    assert reference == f"{bed.registry}/{namespace}/own:7"
    assert f"{namespace}/own" in registry.catalogue(bed)
    assert run_to_end(kube, pod(namespace, "pulled", image=reference)) == ("Succeeded", "line 1\nline 2\n")


def test_an_image_that_nobody_has_pushed_is_not_found(bed: Bed, kube: Kube, namespace: str) -> None:
    kube.apply(pod(namespace, "waits", "id", image=f"{bed.registry}/{namespace}/none:1"))

    def reasons() -> bool:
        containers = kube.get("pod", "waits", f"--namespace={namespace}")["status"].get("containerStatuses", [])
        return any(each["state"].get("waiting", {}).get("reason") == "ErrImagePull" for each in containers)

    eventually("ErrImagePull", reasons)


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
                eventually(url, partial(fetch, other, programs, url))
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
def announced(kube: Kube, namespace: str) -> Iterator[str]:
    """A pool of VLAN a for the namespace alone, announced by n1 alone; a Service with it, whose pod is on n3."""
    label, meta = f"lb.test/{namespace}", {"name": namespace, "namespace": metallb.NAMESPACE}
    pool = {
        "addresses": [f"{IPV4}/32", f"{IPV6}/128"],
        "autoAssign": False,
        "serviceAllocation": {"namespaceSelectors": [{"matchLabels": {"kubernetes.io/metadata.name": namespace}}]},
    }
    advertisement = {
        "ipAddressPools": [namespace],
        "nodeSelectors": [{"matchLabels": {label: "true"}}],
        "interfaces": ["vlan120"],
    }
    kube.must("label", "node", "n1", f"{label}=true")
    try:
        for kind, spec in (("IPAddressPool", pool), ("L2Advertisement", advertisement)):
            kube.apply({"apiVersion": "metallb.io/v1beta1", "kind": kind, "metadata": meta, "spec": spec})
        asks = {"metallb.io/loadBalancerIPs": f"{IPV4},{IPV6}"}
        kube.apply(service(namespace, "web", asks, type="LoadBalancer", externalTrafficPolicy="Cluster"))
        serve(kube, namespace, "web", "n3")
        yield namespace
    finally:
        kube.must("delete", "service", "web", f"--namespace={namespace}", "--ignore-not-found")
        for kind in ("l2advertisement", "ipaddresspool"):
            kube.must("delete", kind, namespace, f"--namespace={metallb.NAMESPACE}", "--ignore-not-found")
        kube.must("label", "node", "n1", f"{label}-")


def test_metallb_announces_a_service_on_the_vlan(
    bed: Bed, kube: Kube, announced: str, on_a: Instrument, on_b: Instrument, programs: binaries.Binaries
) -> None:
    for address, url in ((IPV4, f"http://{IPV4}/"), (IPV6, f"http://[{IPV6}]/")):
        eventually(url, partial(fetch, on_a, programs, url))
        answer = fetch(on_a, programs, url)
        assert answer
        assert (answer["pod"], answer["node"]) == ("web", "n3")
        assert on_a.neighbour(address) == lab.hardware_address(bed, "n1", "a")
        on_b.look_for(address)  # n2 is on that network, too, but must not answer for it
        assert not answers(on_b, address, programs)

    def announcers() -> set[str]:
        items = kube.get("servicel2statuses", "--all-namespaces")["items"]
        return {item["status"]["node"] for item in items if item["status"].get("serviceNamespace") == announced}

    eventually("the ServiceL2Status", lambda: announcers() == {"n1"})
