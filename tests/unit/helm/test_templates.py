"""What the chart makes: goldens of whole installations, and what holds for every one of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.load import load
from tests.unit.config.worlds import compare
from tests.unit.helm.chart import CHART, DATA, Object, hidden, objects, one, pods, run, secrets

CASES = sorted(path.name for path in DATA.iterdir() if path.is_dir())
EVERYTHING = {
    "publicUrl": "https://hub.example.org",
    "hub": {"pdb": {"enabled": True}, "extraConfig": "c.JupyterHub.log_level = 10"},
    "proxy": {"pdb": {"enabled": True}},
    "prePuller": {"enabled": True},
    "accounts": {"existingSecret": "people"},
    "networkPolicy": {"cilium": True},
    "ingress": {"enabled": True, "host": "hub.example.org"},
}
"""Every object that the chart can make."""


@pytest.fixture(scope="module")
def everything() -> list[Object]:
    return objects(EVERYTHING)


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str, pytestconfig: pytest.Config) -> None:
    compare(DATA / case / "expected.yaml", hidden(objects(files=[DATA / case / "values.yaml"])), pytestconfig)


@pytest.mark.parametrize("case", ["", *CASES])
def test_lint(case: str) -> None:
    values = ["--values", str(DATA / case / "values.yaml")] if case else []
    done = run("lint", "--strict", str(CHART), "--namespace", "tenanthub", *values)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_world_is_read_as_its_files_would_be(tmp_path: Path) -> None:
    """What the ConfigMaps hold, laid out as the hub's Pod does, is the declared world."""
    found = objects(files=[DATA / "ingress" / "values.yaml"])
    for folder in ("", "profiles", "tenants"):
        name = f"tenanthub-{folder or 'site'}"
        (tmp_path / folder).mkdir(exist_ok=True)
        for file, text in one(found, "ConfigMap", name)["data"].items():
            (tmp_path / folder / file).write_text(text)
    world = load(tmp_path)
    assert set(world.tenants) == {"physics", "history"}
    assert {"notebook", "vscode", "crawl"} <= set(world.profiles)
    assert world.site.label_domain == "edge.example.org"


def test_every_pod_is_restricted_and_reads_only_its_own_root(everything: list[Object]) -> None:
    """As Pod Security `restricted` has it (Kubernetes, "Pod Security Standards"); the cluster's tests ask admission."""
    found = dict(pods(everything))
    assert set(found) == {"hub", "proxy", "portal", "culler", "pre-puller"}
    for template in found.values():
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in (*spec.get("initContainers", ()), *spec["containers"]):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["requests"]
            assert container["resources"]["limits"]["memory"]


def test_only_hub_and_portal_have_a_token_of_the_api_server(everything: list[Object]) -> None:
    for name, template in pods(everything):
        has = name in ("hub", "portal")
        assert template["spec"]["automountServiceAccountToken"] is has
        assert template["spec"].get("serviceAccountName") == (name if has else None)


def test_each_pod_gets_its_own_secrets_and_no_other(everything: list[Object]) -> None:
    """As docs/hub-on-a-cluster.md lists them."""
    files: dict[str, set[str]] = {}
    for name, template in pods(everything):
        for volume in template["spec"].get("volumes", ()):
            if volume["name"] == "secrets":
                sources = volume["projected"]["sources"]
                files[name] = {item["path"] for source in sources for item in source["secret"]["items"]}
    assert files == {
        "hub": {
            "proxy-token",
            "cookie-secret",
            "crypt-key",
            "portal-token",
            "culler-token",
            "reviver-token",
            "cli-token",
        },
        "proxy": {"proxy-token"},
        "portal": {"portal-token", "portal-cookie-key"},
        "culler": {"culler-token"},
    }


def test_what_is_made_is_long_random_and_all_different() -> None:
    first, second = secrets(objects(EVERYTHING)), secrets(objects({**EVERYTHING, "prePuller": {"enabled": False}}))
    assert len(set(first.values()) | set(second.values())) == len(first) + len(second)
    assert all(re.fullmatch(r"[0-9a-f]{64}", value) for value in first.values())


def test_no_label_of_a_pod_changes_with_a_version(everything: list[Object]) -> None:
    """Else each upgrade would restart the proxy, and cut everybody's connections."""
    for _, template in pods(everything):
        assert set(template["metadata"]["labels"]) == {
            "app.kubernetes.io/name",
            "app.kubernetes.io/instance",
            "app.kubernetes.io/component",
        }


def _templates(values: dict[str, Any]) -> dict[str, str]:
    """By name, the Pods' templates as text."""
    found = objects({**values, "secrets": {"existingSecret": "made"}})
    return {name: yaml.safe_dump(template) for name, template in pods(found)}


def _restarted(change: dict[str, Any]) -> set[str]:
    before = _templates({"publicUrl": "https://hub.example.org"})
    after = _templates({"publicUrl": "https://hub.example.org", **change})
    return {name for name in before if before[name] != after[name]}


def test_a_changed_world_restarts_nothing() -> None:
    """The programs follow the files, and no tenant is named in a Pod."""
    tenant = {"admins": ["ada"], "networks": [{"name": "lab", "subnets": ["192.0.2.0/24"]}]}
    assert _restarted({"world": {"tenants": {"physics": tenant}}}) == set()
    assert _restarted({"world": {"site": {"title": "Another"}, "profiles": {"notebook": None}}}) == set()


def test_what_is_changed_restarts_those_that_read_it() -> None:
    assert _restarted({"hub": {"extraConfig": "c.JupyterHub.log_level = 10"}}) == {"hub"}
    assert _restarted({"images": {"kinds": {"notebook": {"tag": "2"}}}}) == {"hub"}
    assert _restarted({"culler": {"everySeconds": 120}}) == {"culler"}
    assert _restarted({"portal": {"replicas": 3}}) == set()
    assert _restarted({"proxy": {"service": {"type": "LoadBalancer"}}}) == set()
    pinned = {"images": {"hub": {"tag": "2"}}, "proxy": {"image": {"tag": "0.1.0"}}}
    assert _restarted(pinned) == {"hub", "portal", "culler"}


def test_nothing_of_ours_is_kept_beyond_an_uninstall_but_database_and_secrets(everything: list[Object]) -> None:
    kept = {
        (each["kind"], each["metadata"]["name"])
        for each in everything
        if (each["metadata"].get("annotations") or {}).get("helm.sh/resource-policy") == "keep"
    }
    assert kept == {("Secret", "tenanthub-secrets"), ("PersistentVolumeClaim", "tenanthub-state")}


def test_the_bindings_of_apply_name_the_charts_roles() -> None:
    """config/emit/hub.py binds by name what templates/rbac.yaml makes."""
    from config.emit import hub
    from tests.unit.config.emit.small import small

    found = objects({"publicUrl": "https://hub.example.org"})
    roles = {each["metadata"]["name"] for each in found if each["kind"] == "ClusterRole"}
    accounts = {each["metadata"]["name"] for each in found if each["kind"] == "ServiceAccount"}
    for binding in hub.emit(small({"name": "physics"})):
        assert binding["roleRef"]["name"] in roles
        assert binding["subjects"][0]["name"] in accounts


def test_cluster_wide_there_is_reading_of_what_is_watched_and_nothing_else(everything: list[Object]) -> None:
    from spawners.kube.watch import WATCHED

    bound = {each["roleRef"]["name"] for each in everything if each["kind"] == "ClusterRoleBinding"}
    assert bound == {"tenanthub:tenanthub:follow"}
    rules = one(everything, "ClusterRole", "tenanthub:tenanthub:follow")["rules"]
    assert {verb for rule in rules for verb in rule["verbs"]} == {"list", "watch"}
    resources = {f"{kind.lower()}s" for kind in WATCHED}
    assert {resource for rule in rules for resource in rule["resources"]} == resources


def test_the_hub_reads_the_secrets_of_remotes_and_no_other() -> None:
    remote = {"name": "data", "type": "s3", "bucket": "physics-data"}
    tenant = {"admins": ["ada"], "remotes": [{**remote, "credentials": "physics-s3"}]}
    values = {"publicUrl": "https://hub.example.org", "world": {"tenants": {"physics": tenant}}}
    (rule,) = one(objects(values), "Role", "hub")["rules"]
    assert rule == {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "resourceNames": ["physics-s3"]}
    assert one(objects({"publicUrl": "https://hub.example.org"}), "Role", "hub")["rules"] == []


def test_coders_rights_only_where_there_is_a_coder() -> None:
    def granted(values: dict[str, Any]) -> set[str]:
        role = one(
            objects({"publicUrl": "https://hub.example.org", **values}), "ClusterRole", "tenanthub:tenanthub:hub"
        )
        return {resource for rule in role["rules"] for resource in rule["resources"]}

    profile = {"kind": "coder", "title": "Coder", "sizes": [{"name": "small", "cpu": 1, "memory": "1Gi"}]}
    assert "roles" not in granted({})
    assert {"roles", "rolebindings", "serviceaccounts"} <= granted({"world": {"profiles": {"coder": profile}}})
    assert "roles" in granted({"rbac": {"coder": True}})


def test_the_hub_makes_volumes_only_where_homes_are_kept_on_them() -> None:
    def makes(values: dict[str, Any]) -> bool:
        found = objects({"publicUrl": "https://hub.example.org", **values})
        rules = one(found, "ClusterRole", "tenanthub:tenanthub:hub")["rules"]
        return any("persistentvolumeclaims" in rule["resources"] for rule in rules)

    classes = [{"name": "ceph-block"}]
    assert not makes({})
    assert makes({"world": {"site": {"cluster": {"storage_classes": classes}}}})
    assert makes({"world": {"existing": {"site": "ours"}}})


@pytest.mark.parametrize(
    ("addresses", "policy", "families"),
    [
        (None, "PreferDualStack", None),
        ("192.0.2.80", "SingleStack", ["IPv4"]),
        ("2001:db8::80", "SingleStack", ["IPv6"]),
        ("192.0.2.80,2001:db8::80", "RequireDualStack", None),
    ],
)
def test_the_proxys_families_are_those_of_its_addresses(
    addresses: str | None, policy: str, families: list[str] | None
) -> None:
    """MetalLB: "requested loadBalancer IP(s) does not match the ipFamily of the service", and the Service has none."""
    annotations = {"metallb.io/loadBalancerIPs": addresses} if addresses else {}
    service = {"type": "LoadBalancer", "annotations": annotations}
    spec = one(
        objects({"publicUrl": "https://hub.example.org", "proxy": {"service": service}}), "Service", "proxy-public"
    )
    assert (spec["spec"]["ipFamilyPolicy"], spec["spec"].get("ipFamilies")) == (policy, families)
