"""Words, numbers and decisions of the view models."""

from __future__ import annotations

import asyncio
import re
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.models import Profile
from hub.portal.launch import NAME_LENGTH, Locks, new_name
from hub.portal.views.clients import client_help
from hub.portal.views.form import fit_of, form_page, free_title, tidy_name
from hub.portal.views.rights import access, tenant_of
from hub.portal.views.text import STATES, counts_text, duration_text, outcome, plain_log, size_text
from hub.portal.views.workload import notes, progress_view, stop_words, upload_row
from spawners.form import typed
from spawners.refusal import Violation
from tests.unit.hub.portal.parts import TOOLS, seen
from tests.unit.spawners.worlds import KINDS, tenant, world


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (None, "-"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (2**30, "1 GiB"),
        (2**60, "1024 PiB"),
    ],
)
def test_sizes(amount: int | None, text: str) -> None:
    assert size_text(amount) == text


@given(st.integers(min_value=0, max_value=2**70))
def test_a_size_never_shows_1024_of_a_unit_that_has_a_larger_one(amount: int) -> None:
    number, unit = size_text(amount).split()
    assert float(number) < 1024 or unit == "PiB"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (-3, "0 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
        (90000, "1 d 1 h"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert duration_text(seconds) == text


def test_counts_leave_out_most_zeros() -> None:
    counts = {"pages": 0, "bytes": 2048, "dropped": 0, "errors": 0, "per_host": {"a": 1}, "speed_bps": 1024}
    assert counts_text(counts) == "0 pages, 2 KiB, 0 errors, 1 KiB/s speed"
    assert counts_text({"sent_bytes": 1, "took_s": 61, "links": 3}) == "1 B sent, 1 min 1 s took, 3 links"


def test_a_log_is_plain_text() -> None:
    assert plain_log("\x1b[1;31mred\x1b[0m\r\n50%\r100%\nbell\x07") == "red\n100%\nbell\ufffd"


@given(st.text())
def test_no_control_character_survives_in_a_log(text: str) -> None:
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", plain_log(text))


def test_every_state_has_words_and_an_icon_of_its_own() -> None:
    assert len({badge.label for badge in STATES.values()}) == len(STATES)
    assert all(badge.icon for badge in STATES.values())
    assert outcome("made-up").label == "Made-up"


@given(st.from_regex(r"[a-z](-?[a-z0-9]){0,29}", fullmatch=True).filter(lambda name: len(name) <= 30))
def test_a_new_name_is_one_that_jupyterhub_takes(profile: str) -> None:
    name = new_name(profile)
    assert re.fullmatch(r"[a-z](-?[a-z0-9])*", name)
    assert len(name) <= NAME_LENGTH


@given(st.text(max_size=40))
def test_a_tidy_name_has_no_spaces_that_the_hub_refuses(text: str) -> None:
    tidy = tidy_name(text)
    assert "  " not in tidy
    assert tidy == tidy.strip(" ")


ROWS = (("Protocol", "FTP (plain, FTPS offered)"), ("Address", "127.20.0.2"), ("Port", "2121"), ("User", "instrument"))


@pytest.mark.parametrize(
    ("protocol", "first", "words"),
    [
        ("FTP (plain, FTPS offered)", "curl", ["--user", "instrument", "ftp://127.20.0.2:2121/"]),
        ("FTPS only (explicit TLS)", "curl", ["--ssl-reqd", "ftp://127.20.0.2:2121/"]),
        ("SFTP", "sftp", ["-P", "2121", "instrument@127.20.0.2"]),
        ("WebDAV", "curl", ["http://127.20.0.2:2121/"]),
    ],
)
def test_commands_for_each_protocol(protocol: str, first: str, words: list[str]) -> None:
    helps = client_help((("Protocol", protocol), *ROWS[1:]))
    assert helps[0].program == first
    assert set(words) <= set(shlex.split(helps[0].command))
    assert dict(helps[-1].rows)["Host name"] == "127.20.0.2"


def test_no_commands_without_an_address_and_none_that_a_shell_would_run() -> None:
    assert client_help((("Protocol", "FTP"), ("Address", "is being allocated"), *ROWS[2:])) == ()
    assert client_help((("Archive goes to", "data:x"),)) == ()
    (curl, *_) = client_help((*ROWS[:3], ("User", "a; rm -rf $HOME")))
    assert "a; rm -rf $HOME" in shlex.split(curl.command)


def test_ipv6_is_bracketed_in_urls() -> None:
    helps = client_help((ROWS[0], ("Address", "2001:db8::2"), *ROWS[2:]))
    assert "ftp://[2001:db8::2]:2121/" in shlex.split(helps[0].command)


def test_who_sees_what() -> None:
    physics = world().tenants["physics"]
    mine, theirs = seen(owner="physics-member").workload, seen(owner="both-member").workload
    assert access("physics-member", physics, seen().workload) == "own"
    assert access("physics-member", physics, mine) == "own"
    assert access("physics-member", physics, theirs) == "none"
    assert access("physics-admin", physics, theirs) == "look"
    assert tenant_of(world(), "physics-member", "history") is None
    assert tenant_of(world(), "physics-member", "nope") is None


def test_progress_in_words() -> None:
    told = progress_view(
        {"phase": "copying", "bytes": 512, "total_bytes": 1024, "files": 1, "total_files": 4, "speed_bps": 2048,
         "eta_s": 65, "current": ["a.tif"], "errors": 0, "run_id": "x"}
    )  # fmt: skip
    assert told is not None
    assert told.fraction == 0.5
    assert dict(told.rows) == {
        "Data": "512 B of 1 KiB", "Files": "1 of 4", "Speed": "2 KiB/s", "Time left": "1 min 5 s", "Errors": "0",
    }  # fmt: skip
    assert told.current == ("a.tif",)
    assert progress_view({}) is None
    assert progress_view({"bytes": 5, "total_bytes": 0}).fraction is None  # type: ignore[union-attr]


def test_an_upload_row_survives_whatever_is_missing() -> None:
    assert upload_row({}).badge.label == "Unknown"
    assert upload_row({"outcome": "incomplete", "bytes": None}).size == "-"


def test_a_changed_size_and_a_removed_profile_are_noted() -> None:
    here = world()
    physics = here.tenants["physics"]
    assert notes(here, physics, KINDS["collector"], seen()) == ()
    changed = seen(work={"size": here.profiles["upload"].sizes[0].model_copy(update={"cpu": 9.0})})
    assert "goes on with 9 CPU" in notes(here, physics, KINDS["collector"], changed)[0]
    assert "removed" in notes(here, physics, KINDS["collector"], seen(work={"profile": "gone"}))[0]
    assert "no longer installed" in notes(here, physics, None, seen())[0]


def test_a_stop_says_what_stops() -> None:
    assert "unsaved" in stop_words(("open",), True, seen())[0]
    assert "127.20.0.2" in stop_words(("uploads",), False, seen(address="127.20.0.2"))[0]
    assert "No run begins" in stop_words(("schedule",), False, seen())[0]


def test_owners_are_a_choice_only_where_the_kind_has_both() -> None:
    here = world()
    physics = here.tenants["physics"]

    def owners(profile: str) -> list[str]:
        found = here.profiles[profile]
        page = form_page(KINDS[found.kind], found, physics, "physics-member", [], TOOLS, name="n")
        return [choice.account for choice in page.owners]

    assert owners("own-app") == ["physics-member", "tenant-physics"]
    assert owners("notebook") == ["physics-member"]
    assert owners("crawl") == ["tenant-physics"]


def test_a_wrong_field_in_a_folded_group_opens_it() -> None:
    here = world()
    found = here.profiles["crawl"]
    wrong = [Violation("delay_s", "too small"), Violation("quota", "full"), Violation("gone", "x")]
    page = form_page(
        KINDS["crawler"], found, here.tenants["physics"], "physics-member", [], TOOLS, name="n", violations=wrong
    )
    more = page.groups[-1]
    assert (more.title, more.folded, more.opened) == ("More", True, True)
    assert [anchor for anchor, _ in page.errors] == ["f-delay_s", "f-size", ""]


def test_what_fits_leaves_out_the_one_that_is_replaced() -> None:
    here = world()
    physics, found = here.tenants["physics"], here.profiles["upload"]
    three = [seen(name=f"c{number}") for number in range(3)]
    assert not fit_of(physics, found, three, "small", "").ok
    assert fit_of(physics, found, three, "small", "physics/tenant-physics/c0").ok
    assert not fit_of(physics, found, [], "huge", "").ok


def test_a_title_that_is_taken_gets_a_number() -> None:
    assert free_title("Camera", []) == "Camera"
    taken = [seen(name="a", display_name="Camera"), seen(name="b", display_name="Camera 2")]
    assert free_title("Camera", taken) == "Camera 3"


def test_typed_keeps_what_was_emptied() -> None:
    profile: Profile = world().profiles["upload"]
    assert typed(KINDS["collector"], profile, {"folder": [" "], "remote": ["data"]})["folder"] is None
    assert "folder" not in typed(KINDS["collector"], profile, {"remote": ["data"]})
    assert tenant("physics").account == "tenant-physics"


def test_one_at_a_time_for_a_name_and_nothing_is_kept() -> None:
    async def run() -> tuple[list[str], int]:
        locks, order = Locks(), []

        async def hold(name: str) -> None:
            async with locks.holding("k"):
                order.append(f"{name} in")
                await asyncio.sleep(0)
                order.append(f"{name} out")

        await asyncio.gather(hold("a"), hold("b"), hold("c"))
        return order, len(locks._held)

    assert asyncio.run(run()) == (["a in", "a out", "b in", "b out", "c in", "c out"], 0)
