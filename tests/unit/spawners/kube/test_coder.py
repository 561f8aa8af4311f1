"""Coder: on a cluster with an address or behind an Ingress, on one machine refused in words."""

from __future__ import annotations

from typing import Any

import pytest

from config.models import ClusterNetworks
from spawners.kinds.coder import CoderKind
from spawners.kube.manifests import manifests, pod_of
from spawners.plan import LocalPlace, Tools
from spawners.refusal import Refusal
from tests.unit.spawners.kube.launches import CODER, DUAL, SITE, TENANT, cases, launch, tenant

KIND = CoderKind()
INGRESS = {**CODER, "reach": "ingress", "access_url": "https://coder.example.org"}


def variables(made: Any) -> dict[str, Any]:
    (pod,) = filter(None, map(pod_of, manifests(made)))
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in pod["spec"]["containers"][0]["env"]}


def test_one_machine_says_what_it_lacks(tmp_path: Any) -> None:
    tools = Tools(python=tmp_path, rclone=tmp_path)
    assert "Kubernetes cluster" in str(KIND.missing(tools))
    place = LocalPlace(tools=tools, folder=tmp_path, home=tmp_path)
    with pytest.raises(Refusal, match="Kubernetes cluster"):
        KIND.local(cases()["coder"].workload, tenant(), SITE, place)


def test_the_database_is_told_by_a_secret_alone() -> None:
    told = variables(cases()["coder"])
    assert told["CODER_PG_CONNECTION_URL"] == {"secretKeyRef": {"name": "coder-db", "key": "url"}}
    with pytest.raises(Refusal, match="database_secret"):
        launch(TENANT, "coder", {"database_secret": "postgres://coder:secret@db/coder"})
    with pytest.raises(Refusal, match="access_url"):
        launch(TENANT, "coder", {**CODER, "access_url": "https://user:secret@coder.example.org"})


def test_an_ingress_needs_no_address_and_its_url() -> None:
    alone = tenant(networks=[{**DUAL, "loadbalancer": []}])
    made = launch(TENANT, "coder", INGRESS, tenant=alone)
    (service,) = [one for one in manifests(made) if one["kind"] == "Service"]
    assert service["spec"]["type"] == "ClusterIP" and "annotations" not in service["metadata"]
    assert variables(made)["CODER_ACCESS_URL"] == "https://coder.example.org"
    with pytest.raises(Refusal, match="access_url"):
        launch(TENANT, "coder", {**CODER, "reach": "ingress"})


def test_it_listens_where_it_is_reached() -> None:
    assert variables(launch(TENANT, "coder", INGRESS))["CODER_HTTP_ADDRESS"] == "0.0.0.0:8080"
    networks = ClusterNetworks.model_validate({"pods": ["2001:db8:f::/64"]})
    six = SITE.model_copy(update={"cluster": networks})
    assert variables(launch(TENANT, "coder", INGRESS, site=six))["CODER_HTTP_ADDRESS"] == "[::]:8080"
    assert variables(cases()["coder-open-ipv6"])["CODER_ACCESS_URL"] == "http://[2001:db8:0:1::10]"


def test_who_may_connect() -> None:
    for case, limited in (("coder", True), ("coder-open-ipv6", False)):
        (service,) = [one for one in manifests(cases()[case]) if one["kind"] == "Service"]
        assert ("loadBalancerSourceRanges" in service["spec"]) is limited
