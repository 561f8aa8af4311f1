"""What a page tells of a kept home, whatever its Pod may have written."""

from __future__ import annotations

from typing import Any

import pytest

from config.models import ClusterNetworks, Site
from hub.portal.views.kept import home_text, home_view, stop_text
from tests.unit.spawners.worlds import launch, world

TOLD = {
    "state": "kept",
    "where": "data:physics-data/homes/jane/lab",
    "saved": "2026-11-21T17:05:09+00:00",
    "unsaved_files": 2,
    "unsaved_bytes": 1536,
    "unsaved": ["a.txt", "b.txt"],
    "conflicts": [{"path": "a.txt", "other": "a (other version).txt", "when": "x"}],
    "problems": {"c.txt": "it is being written"},
}


def test_unsaved_work_is_told_with_names_and_never_as_simply_kept() -> None:
    view = home_view(TOLD)
    assert view is not None
    assert view.badge.label == "Kept, with unsaved changes"
    assert view.unsaved == "2 files, 1.5 KiB"
    assert view.names == ("a.txt", "b.txt")
    assert view.conflicts == (("a.txt", "a (other version).txt"),)
    assert view.saved is not None and view.saved.hour == 17
    done = home_view({**TOLD, "unsaved_files": 0})
    assert done is not None and done.badge.label == "Kept" and done.unsaved == "" and done.names == ()
    lost = home_view({**TOLD, "state": "ended"})
    assert lost is not None and lost.badge.tone == "danger"


@pytest.mark.parametrize(
    "told",
    [{}, {"where": 3}, {"where": "x"}, {"where": "x", "state": ["a"], "conflicts": "no", "unsaved": 3, "saved": 5},
     {"where": "x", "unsaved_files": "many", "problems": ["a"], "not_kept": 3, "conflicts": [3, {}]}],
)  # fmt: skip
def test_a_person_may_write_anything_into_it(told: dict[str, Any]) -> None:
    view = home_view(told)
    assert (view is None) == (told.get("where") != "x")
    assert view is None or (view.unsaved, view.saved) == ("", None)


def text(home: str, *, on_cluster: bool, site: Site | None = None) -> tuple[str, str]:
    on = world()
    physics = on.tenants["physics"].model_copy(
        update={"remotes": tuple(one.model_copy(update={"type": "s3"}) for one in on.tenants["physics"].remotes)}
    )
    work = launch("physics-member", "notebook").model_copy(update={"options": {"size": "small", "home": home}})
    here = site or on.site
    return (
        home_text(work, physics, here, on_cluster=on_cluster),
        stop_text(work, physics, here, on_cluster=on_cluster),
    )


def test_where_it_is_kept_and_what_a_stop_means_are_said_in_the_forms_words() -> None:
    kept, stopped = text("auto", on_cluster=False)
    assert "on this machine" in kept and "Saved files stay" in stopped
    kept, stopped = text("auto", on_cluster=True)
    assert "bucket physics-data" in kept and "saved first" in stopped
    kept, stopped = text("none", on_cluster=True)
    assert "Not kept" in kept and "is lost" in stopped
    volumes = Site(cluster=ClusterNetworks.model_validate({"storage_classes": [{"name": "ceph"}]}))
    kept, stopped = text("auto", on_cluster=True, site=volumes)
    assert "volume (ceph" in kept and "Saved files stay" in stopped
