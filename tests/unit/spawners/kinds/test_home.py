"""Where a home is kept: what is offered where, what it means, and what it changes in a plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from config.models import ClusterNetworks, Site, Tenant, World
from images.ide.settings import IdeSettings
from images.lib.home_settings import HomeSettings
from spawners.form import Field, make_form
from spawners.kinds import home
from spawners.kube.plan import GIB, KubePlace, KubePlan
from spawners.plan import LocalPlan
from spawners.refusal import Refusal
from spawners.workload import Workload
from tests.unit.spawners.kinds.test_plans import PLACE
from tests.unit.spawners.worlds import KINDS, launch, profile, refusal, tenant, world

PERSON = "physics-member"
S3 = {"name": "data", "title": "Lab data", "type": "s3", "bucket": "physics-data"}
BUILTIN = {"name": "disk", "type": "builtin", "bucket": "physics-disk"}
VOLUMES = Site(
    cluster=ClusterNetworks.model_validate({"storage_classes": [{"name": "ceph", "title": "Fast", "home_size": "5Gi"}]})
)


def physics(*remotes: dict[str, Any]) -> Tenant:
    return tenant("physics", remotes=remotes)


def here(*remotes: dict[str, Any], site: Site | None = None, **of_profile: Any) -> World:
    found = world(tenants=[physics(*remotes)], **({"site": site} if site else {}))
    notebook = profile("notebook", "notebook", **of_profile)
    return World(found.site, {**found.profiles, "notebook": notebook}, found.tenants)


def asked(options: dict[str, Any] | None = None, which: str = "notebook", on: World | None = None) -> Workload:
    return launch(PERSON, which, options or {}, world=on or here(S3, BUILTIN))


def local(options: dict[str, Any] | None = None, which: str = "notebook", on: World | None = None) -> LocalPlan:
    on = on or here(S3, BUILTIN)
    work = asked(options, which, on)
    return KINDS[work.kind].local(work, on.tenants["physics"], on.site, PLACE)


def kube(options: dict[str, Any] | None = None, which: str = "notebook", on: World | None = None) -> KubePlan:
    on = on or here(S3, BUILTIN)
    work = asked(options, which, on)
    return KINDS[work.kind].kube(work, on.tenants["physics"], on.site, KubePlace(image="i:1"))


def field(on: World, *, on_cluster: bool, **more: Any) -> Field:
    found = on.profiles["notebook"]
    kind = KINDS["notebook"]
    form = make_form(kind, found, on.tenants["physics"], site=on.site, on_cluster=on_cluster, **more)
    return next(one for one in form.fields if one.name == "home")


def test_a_machine_keeps_homes_and_a_remote_can_too() -> None:
    shown = field(here(S3, BUILTIN), on_cluster=False)
    assert [value for value, _ in shown.choices] == ["machine", "remote:data", "remote:disk"]
    assert shown.value == "machine"
    assert "Kept on this machine" in shown.choices[0][1]
    assert "Lab data (bucket physics-data)" in shown.choices[1][1]


def test_a_cluster_offers_volumes_then_remotes_then_nothing() -> None:
    shown = field(here(S3, BUILTIN, site=VOLUMES), on_cluster=True)
    assert [value for value, _ in shown.choices] == ["class:ceph", "remote:data", "none"]  # no builtin one there
    assert shown.value == "class:ceph"
    assert "Fast, 5Gi" in shown.choices[0][1]
    assert "Nothing here can keep it" not in shown.help
    assert field(here(S3), on_cluster=True).value == "remote:data"


def test_where_nothing_keeps_it_the_form_warns() -> None:
    shown = field(here(BUILTIN), on_cluster=True)
    assert [value for value, _ in shown.choices] == ["none"]
    assert "lost when the server ends" in shown.choices[0][1]
    assert "Nothing here can keep it: save your work elsewhere" in shown.help


def test_a_profile_presets_narrows_fixes_and_hides_it() -> None:
    narrowed = here(S3, site=VOLUMES, choices={"home": ["remote", "none"]}, defaults={"home": "remote"})
    shown = field(narrowed, on_cluster=True)
    # The profile's own word, "remote", is what is sent back: the hub compares with it.
    assert [value for value, _ in shown.choices] == ["remote", "none"]
    assert shown.value == "remote"
    assert asked({"home": "remote"}, on=narrowed).options["home"] == "remote"
    assert [one.field for one in refusal(PERSON, "notebook", {"home": "class:ceph"}, world=narrowed).violations] == [
        "home"
    ]
    fixed = here(S3, site=VOLUMES, locked=["home"], defaults={"home": "remote"})
    assert field(fixed, on_cluster=True).locked
    assert "images.lib.home" in kube(on=fixed).argv
    assert refusal(PERSON, "notebook", {"home": "none"}, world=fixed).reason == "options"
    hidden = here(S3, hidden=["home", "home_name"])
    names = [one.name for one in make_form(KINDS["notebook"], hidden.profiles["notebook"], physics(S3)).fields]
    assert names == ["size"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"home": "remote:cold"}, "physics has no remote 'cold'; it has data, disk"),
        ({"home": "class:ceph"}, "there is no storage class 'ceph' for homes"),
        ({"home": "class"}, "there is no storage class for homes"),
        ({"home": "/etc"}, "must be auto, machine, none, remote:NAME or class:NAME"),
        ({"home": "remote:data/../x"}, "must be auto"),
        ({"home_name": "../jane"}, "must be lower-case letters"),
        ({"home_name": "a/b"}, "must be lower-case letters"),
        ({"home_name": "a--b"}, "must be lower-case letters"),
        ({"home_name": "Thesis"}, "must be lower-case letters"),
    ],
)
def test_what_is_not_there_is_refused_at_its_field(options: dict[str, Any], words: str) -> None:
    refused = refusal(PERSON, "notebook", options, world=here(S3, BUILTIN))
    assert [one.field for one in refused.violations] == list(options)
    assert words in str(refused)


def test_by_default_a_plan_on_one_machine_is_as_it_was() -> None:
    assert "images.lib.home" not in local().argv
    assert local({"home": "none"}) == local({"home": "machine"}) == local()


@pytest.mark.parametrize("which", ["notebook", "vscode"])
def test_a_home_kept_in_a_remote_has_a_folder_of_its_own_on_a_machine(which: str) -> None:
    plan = local({"home": "remote:disk"}, which)
    settings = HomeSettings.model_validate(plan.settings)
    assert plan.argv[1:] == ("-P", "-m", "images.lib.home", "{settings}")
    assert settings.remote == f"disk:physics-disk/homes/{PERSON}/one"
    assert settings.home == Path("/state/homes/physics/.kept/owner/one")
    assert settings.lasting
    assert plan.grace_s > settings.stop_program_s + settings.last_save_s
    if which == "vscode":
        assert IdeSettings.model_validate(settings.settings).folder == settings.home


@pytest.mark.parametrize("which", ["notebook", "vscode"])
def test_a_home_kept_in_a_remote_on_a_cluster(which: str) -> None:
    plan = kube({"home_name": "thesis"}, which)
    settings = HomeSettings.model_validate(plan.settings)
    assert plan.argv == ("python", "-P", "-m", "images.lib.home", "{settings}")
    assert settings.remote == f"data:physics-data/homes/{PERSON}/thesis"
    assert str(settings.home) == plan.home
    assert [one.secret for one in plan.secrets] == ["tenanthub.remotes"]
    assert not settings.lasting
    assert plan.grace_s >= settings.stop_program_s + settings.last_save_s
    assert not plan.claims


def test_a_home_on_a_volume_is_the_owners_and_by_its_name() -> None:
    on = here(S3, site=VOLUMES)
    plan = kube(on=on)
    (claim,) = plan.claims
    assert (claim.path, claim.storage_class, claim.size) == (plan.home, "ceph", 5 * GIB)
    assert claim.name == f"home-one--{PERSON}"
    assert plan.home not in [one.path for one in plan.scratch]
    assert "images.lib.home" not in plan.argv
    assert kube({"home_name": "thesis"}, on=on).claims[0].name == f"home-thesis--{PERSON}"


def test_what_a_place_cannot_give_is_refused_there() -> None:
    with pytest.raises(Refusal, match="a Pod has no machine of its own"):
        kube({"home": "machine"})
    with pytest.raises(Refusal, match="a cluster has none"):
        kube({"home": "remote:disk"})
    with pytest.raises(Refusal, match="storage classes are a cluster's"):
        local({"home": "class:ceph"}, on=here(S3, site=VOLUMES))
    assert "images.lib.home" not in kube({"home": "none"}).argv
    assert "images.lib.home" not in kube(on=here(BUILTIN)).argv


def test_a_workload_of_before_has_the_place_that_is_usual() -> None:
    """What an older release has recorded names no home."""
    work = asked().model_copy(update={"options": {"size": "small"}})
    on = here(S3)
    plan = KINDS["notebook"].kube(work, on.tenants["physics"], on.site, KubePlace(image="i:1"))
    assert "images.lib.home" in plan.argv


@pytest.mark.parametrize("owner", ["../jane", "jane/..", "Jane Doe", "..", ".hidden", "j:x", "jane..doe", ""])
def test_no_account_leaves_its_folder(owner: str) -> None:
    folder = home.owners_folder(asked().model_copy(update={"owner": owner}))
    assert "/" not in folder and ".." not in folder and ":" not in folder and folder.strip(".")
    assert folder != home.owners_folder(asked().model_copy(update={"owner": "jane"}))
