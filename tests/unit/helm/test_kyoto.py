"""The example of the Kyoto paper: it is right, all of its add-ons are used, and the chart takes its values."""

from __future__ import annotations

from collections import Counter
from ipaddress import ip_address

import yaml

from config.compile import compile_world
from config.load import load
from config.models import World
from spawners.check import check_profiles
from spawners.kinds.registry import load_kinds
from tests.unit.helm.chart import ROOT, Object, objects, one

KYOTO = ROOT / "helm" / "examples" / "kyoto"


def _world() -> World:
    kinds = load_kinds()
    return load(KYOTO / "world", lambda world, sources: list(check_profiles(world, sources, kinds)))


def _objects() -> list[Object]:
    return list(compile_world(_world()))


def test_the_world_is_right_and_uses_every_addon_of_the_paper() -> None:
    kinds = Counter(each["kind"] for each in _objects())
    assert kinds["Tenant"] == kinds["Namespace"] == 3
    assert kinds["CiliumClusterwideNetworkPolicy"] == 4  # one a tenant, and what is closed to all of them
    assert kinds["IPAddressPool"] == kinds["L2Advertisement"] == kinds["EgressGateway"] == 4
    assert kinds["NetworkPolicy"] == 0  # Cilium holds the wall


def test_networks_are_dual_stack_or_ipv6_alone() -> None:
    for tenant in load(KYOTO / "world").tenants.values():
        for network in tenant.networks:
            versions = {subnet.version for subnet in network.subnets}
            assert versions == ({6} if network.name == "robots" else {4, 6})


def test_the_labels_are_the_papers() -> None:
    """Kyoto paper, table 2."""
    nodes = [each["metadata"]["labels"] for each in _objects() if each["kind"] == "Node"]
    names = {name for labels in nodes for name in labels}
    for sort in ("node", "lb", "eg"):
        assert f"edge.kudpc.kyoto-u.ac.jp/{sort}_astronomy" in names


def test_the_chart_takes_the_values_and_mounts_the_folder_of_the_world() -> None:
    found = objects(files=[KYOTO / "values.yaml"])
    values = yaml.safe_load((KYOTO / "values.yaml").read_text())
    hub = one(found, "Deployment", "hub")["spec"]["template"]["spec"]
    mounted = {volume["configMap"]["name"] for volume in hub["volumes"] if "configMap" in volume}
    assert mounted == set(values["world"]["existing"].values())
    assert not [each for each in found if each["kind"] in ("ConfigMap", "PersistentVolumeClaim")]
    assert one(found, "CiliumNetworkPolicy", "tenanthub-api-server")["spec"]["egress"] == [
        {"toEntities": ["kube-apiserver"]}
    ]


def test_the_proxys_address_is_no_tenants() -> None:
    service = one(objects(files=[KYOTO / "values.yaml"]), "Service", "proxy-public")
    own = [ip_address(text) for text in service["metadata"]["annotations"]["metallb.io/loadBalancerIPs"].split(",")]
    for tenant in load(KYOTO / "world").tenants.values():
        for network in tenant.networks:
            assert not [each for each in own for subnet in network.subnets if each in subnet]
