"""What binds the hub's and the portal's service accounts: in tenants' namespaces, and nowhere else."""

from __future__ import annotations

from config.emit import hub
from tests.unit.config.emit.small import small


def test_two_bindings_a_tenant_to_the_charts_roles_of_that_installation() -> None:
    site = {"cluster": {"hub_namespace": "research"}}
    found = list(hub.emit(small({"name": "physics"}, {"name": "history"}, site=site)))
    assert {(one["metadata"]["namespace"], one["metadata"]["name"]) for one in found} == {
        (f"tenant-{tenant}", f"tenanthub-{account}")
        for tenant in ("physics", "history")
        for account in ("hub", "portal")
    }
    for one in found:
        account = one["metadata"]["name"].removeprefix("tenanthub-")
        assert one["roleRef"]["kind"] == "ClusterRole"
        assert one["roleRef"]["name"] == f"tenanthub:research:{account}"
        assert one["subjects"] == [{"kind": "ServiceAccount", "name": account, "namespace": "research"}]


def test_no_right_over_the_whole_cluster() -> None:
    assert {one["kind"] for one in hub.emit(small({"name": "physics"}))} == {"RoleBinding"}
