"""From a request to a workload: what form and REST share."""

from __future__ import annotations

import pytest

from config.models import Tenant
from spawners.kinds.base import Kind
from spawners.refusal import Refusal
from spawners.request import parse
from spawners.resolve import resolve_options
from tests.unit.spawners.worlds import KINDS, fields, launch, profile, refusal, tenant, world

CRAWL = {"start_urls": ["https://example.org/"], "remote": "data"}


def test_a_member_gets_a_notebook_of_the_default_size() -> None:
    workload = launch("physics-member", "notebook")
    assert (workload.tenant, workload.owner, workload.size.name) == ("physics", "physics-member", "small")
    assert workload.network == "lab-a"
    assert workload.options == {"size": "small", "home": "auto", "home_name": None}


def test_the_chosen_size_is_taken() -> None:
    assert launch("physics-member", "notebook", {"size": "large"}).size.cpu == 4.0


@pytest.mark.parametrize(
    ("sent", "named"),
    [
        (None, [""]),
        ([], [""]),
        ({}, ["tenant", "profile"]),
        ({"tenant": "physics", "profile": 3}, ["profile"]),
        ({"tenant": "physics", "profile": "notebook", "options": [1]}, ["options"]),
        (
            {"tenant": "physics", "profile": "notebook", "image": "evil", "namespace": "kube-system"},
            ["image", "namespace"],
        ),
    ],
)
def test_user_options_of_another_shape_are_refused_with_every_field(sent: object, named: list[str]) -> None:
    with pytest.raises(Refusal) as caught:
        parse(sent)
    assert fields(caught.value) == named


@pytest.mark.parametrize(
    ("owner", "sent"),
    [
        ("history-member", {"tenant": "physics", "profile": "notebook"}),
        ("nobody", {"tenant": "physics", "profile": "notebook"}),
        ("tenant-history", {"tenant": "physics", "profile": "upload"}),
        ("physics-member", {"tenant": "chemistry", "profile": "notebook"}),
    ],
)
def test_another_tenant_and_one_that_does_not_exist_are_refused_alike(owner: str, sent: dict[str, str]) -> None:
    refused = refusal(owner, "", user_options=sent)
    assert refused.reason == "access"
    assert str(refused) == f"tenant: {owner} does not belong to a tenant called {sent['tenant']!r}"


def test_a_profile_that_the_tenant_may_not_use_is_refused_and_the_allowed_ones_are_told() -> None:
    refused = refusal("history-member", "", user_options={"tenant": "history", "profile": "upload"})
    assert "it may use: notebook" in str(refused)


def test_what_runs_unattended_belongs_to_the_tenant_and_what_is_interactive_to_a_person() -> None:
    assert "tenant-physics" in str(refusal("physics-member", "crawl", CRAWL))
    assert launch("tenant-physics", "crawl", CRAWL).tenant_owned
    assert "belongs to a person" in str(refusal("tenant-physics", "notebook"))


def test_the_default_server_is_refused_with_the_way_to_a_named_one() -> None:
    assert "POST /users/physics-member/servers/NAME" in str(refusal("physics-member", "notebook", name=""))


def test_everything_wrong_is_told_at_once() -> None:
    wrong = {"start_urls": ["ftp://x"], "remote": "nowhere", "max_pages": 0, "cron": "61 * * * *", "colour": "red"}
    assert set(fields(refusal("tenant-physics", "crawl", wrong))) >= {"start_urls", "max_pages", "cron", "colour"}


def test_a_remote_of_another_tenant_is_refused() -> None:
    refused = refusal("tenant-physics", "crawl", {**CRAWL, "remote": "history-data"})
    assert fields(refused) == ["remote"]
    assert "it has data" in str(refused)


def test_a_locked_option_keeps_its_value() -> None:
    assert launch("tenant-physics", "locked-crawl", CRAWL).options["delay_s"] == 5.0
    assert launch("tenant-physics", "locked-crawl", {**CRAWL, "delay_s": 5.0}).options["delay_s"] == 5.0
    assert fields(refusal("tenant-physics", "locked-crawl", {**CRAWL, "delay_s": 0.1})) == ["delay_s"]


def test_a_value_that_is_not_offered_is_refused() -> None:
    assert launch("tenant-physics", "locked-crawl", {**CRAWL, "max_pages": 20}).options["max_pages"] == 20
    assert fields(refusal("tenant-physics", "locked-crawl", {**CRAWL, "max_pages": 15})) == ["max_pages"]


def test_a_hidden_option_that_is_not_locked_may_be_sent_over_rest() -> None:
    assert launch("tenant-physics", "locked-crawl", {**CRAWL, "exclude": ["/private/"]}).options["exclude"] == [
        "/private/"
    ]


def test_an_unknown_size_is_refused_with_the_sizes_there_are() -> None:
    assert "choose one of small, large" in str(refusal("physics-member", "notebook", {"size": "huge"}))


@pytest.mark.parametrize("folder", ["../other", "a/../../b", "a\\b", "data:x", "a\nb"])
def test_a_folder_cannot_leave_its_bucket(folder: str) -> None:
    assert "folder" in fields(refusal("tenant-physics", "upload", {"remote": "data", "folder": folder}))


@pytest.mark.parametrize("place", ["/etc/passwd", ":local:/etc", "shared:../x", "data", "data,type=local:/etc:x"])
def test_a_transfer_cannot_name_a_place_that_is_not_the_tenants(place: str) -> None:
    refused = refusal("tenant-physics", "transfer", {"source": place, "destination": "shared:copies"})
    assert "source" in fields(refused)


def test_options_survive_a_second_resolution_unchanged() -> None:
    """A card's "start again" sends back the options that it was started with."""
    first = launch("tenant-physics", "locked-crawl", CRAWL).options
    assert launch("tenant-physics", "locked-crawl", first).options == first


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: str(kind.name))
def test_options_of_every_kind_are_plain_json_and_described(kind: Kind) -> None:
    schema = kind.options.model_json_schema()
    undescribed = [name for name, item in schema["properties"].items() if not item.get("description")]
    assert undescribed == []


def test_a_tenant_without_remotes_is_told_so() -> None:
    bare: Tenant = tenant("physics", remotes=[])
    with pytest.raises(Refusal) as caught:
        resolve_options(KINDS["collector"], profile("upload", "collector"), bare, world(), {"remote": "data"})
    assert "declares no remotes" in str(caught.value)


def test_a_form_never_shows_a_regular_expression() -> None:
    """The same words as for files: what would be right."""
    with pytest.raises(Refusal) as refused:
        launch("physics-member", "own-app", {"image": "not an image!!"})
    wrong = {one.field: one.message for one in refused.value.violations}
    assert wrong["image"] == "does not match: write an image by tag or digest, e.g. registry.example.org/lab/viewer:1.2"
