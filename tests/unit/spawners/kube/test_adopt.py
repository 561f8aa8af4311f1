"""Which objects a hub believes whose database is lost."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from config.names import keys
from spawners.kube import names
from spawners.kube.adopt import NotAdoptable, workload_of
from spawners.kube.manifests import manifests
from tests.unit.spawners.kube.launches import SITE, cases

DEPLOYMENT = manifests(cases()["collector-ipv4"])[-1]
RECORD = names.annotation_workload(keys(SITE))
Change = Callable[[dict[str, Any]], None]


def _set(part: str, key: str, value: str) -> Change:
    return lambda metadata: metadata[part].__setitem__(key, value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda metadata: metadata["annotations"].pop(RECORD), "has no record"),
        (lambda metadata: metadata.pop("annotations"), "has no record"),
        (_set("annotations", RECORD, "{}"), "cannot be read"),
        (_set("annotations", RECORD, "no JSON"), "cannot be read"),
        (lambda metadata: metadata.update(namespace="tenant-history"), "lies in namespace tenant-history"),
        (_set("labels", f"{SITE.label_domain}/owner", "jane"), "label .*/owner says 'jane'"),
        (_set("labels", f"{SITE.label_domain}/workload", "other"), "label .*/workload"),
        (lambda metadata: metadata.pop("labels"), "label .*/tenant says None"),
    ],
)
def test_what_contradicts_itself_is_not_believed(change: Change, said: str) -> None:
    manifest = deepcopy(DEPLOYMENT)
    workload_of(manifest, SITE)
    change(manifest["metadata"])
    with pytest.raises(NotAdoptable, match=said):
        workload_of(manifest, SITE)


def test_a_record_of_another_tenant_in_ones_own_namespace() -> None:
    """What a member of history would write to get a workload into physics' list."""
    manifest = deepcopy(DEPLOYMENT)
    manifest["metadata"]["namespace"] = "tenant-history"
    manifest["metadata"]["labels"][keys(SITE).tenant] = "history"
    with pytest.raises(NotAdoptable, match="its record says physics"):
        workload_of(manifest, SITE)
