"""The form shows what the kind, the profile and the tenant say, and reads back what REST would get."""

from __future__ import annotations

from typing import Any

from spawners.form import Form, make_form, read_form
from spawners.refusal import Violation
from tests.unit.spawners.worlds import KINDS, launch, world


def form(profile: str, **more: Any) -> Form:
    here = world()
    found = here.profiles[profile]
    return make_form(KINDS[found.kind], found, here.tenants["physics"], **more)


def test_a_notebook_form_offers_the_sizes_of_the_profile() -> None:
    size = form("notebook").fields[0]
    assert [value for value, _ in size.choices] == ["small", "large"]
    assert size.value == "small"
    assert "500m CPU, 1Gi memory" in size.choices[0][1]


def test_remotes_are_the_tenants_own() -> None:
    field = next(f for f in form("upload").fields if f.name == "remote")
    assert field.choices == (("data", "data (bucket physics-data)"),)
    assert field.value == "data"


def test_hidden_options_are_not_shown_and_locked_ones_are_marked() -> None:
    fields = {f.name: f for f in form("locked-crawl").fields}
    assert "exclude" not in fields
    assert fields["delay_s"].locked
    assert fields["delay_s"].value == 5.0
    assert [value for value, _ in fields["max_pages"].choices] == [10, 20]


def test_typed_values_and_errors_come_back_at_their_fields() -> None:
    shown = form("crawl", values={"max_pages": "many"}, violations=[Violation("max_pages", "no"), Violation("", "all")])
    field = next(f for f in shown.fields if f.name == "max_pages")
    assert (field.value, field.errors, shown.errors) == ("many", ("no",), ("all",))


def test_a_submitted_form_gives_the_options_that_rest_would_take() -> None:
    here = world()
    found = here.profiles["crawl"]
    sent = {
        "start_urls": ["https://example.org/\r\n\r\nhttps://example.net/\r\n"],
        "remote": ["data"],
        "max_pages": ["50"],
        "delay_s": ["0.5"],
        "folder": ["  "],
        "not_an_option": ["x"],
    }
    options = read_form(KINDS["crawler"], found, sent)
    assert options["start_urls"] == ["https://example.org/", "https://example.net/"]
    assert (options["max_pages"], options["delay_s"], options["allow_private"]) == (50, 0.5, False)
    assert "folder" not in options
    workload = launch("tenant-physics", "crawl", options)
    assert workload.options["folder"] == "crawls"
