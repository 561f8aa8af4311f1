"""Profiles against their kinds, with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.errors import WorldError
from config.load import load
from spawners.check import check_profiles
from spawners.kinds.registry import load_kinds

GOOD = """
name: crawl
kind: crawler
title: Crawl
sizes: [{name: small, cpu: 1, memory: 1Gi}]
"""


def problems(tmp_path: Path, more: str) -> list[str]:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "crawl.yaml").write_text(GOOD + more)
    kinds = load_kinds()
    with pytest.raises(WorldError) as caught:
        load(tmp_path, extra_check=lambda world, sources: check_profiles(world, sources, kinds))
    return [f"{Path(p.file).name}:{p.line}: {p.field}: {p.message}" for p in caught.value.problems if "crawl" in p.file]


def test_an_unknown_option_in_each_place_is_told_with_its_line(tmp_path: Path) -> None:
    found = problems(tmp_path, "defaults:\n  colour: red\nlocked:\n  - depth\nhidden: [x]\nchoices: {y: [1]}\n")
    texts = "\n".join(found)
    assert "crawl.yaml:7: defaults.colour: crawler has no option 'colour'" in texts
    assert "crawl.yaml:9: locked.0: crawler has no option 'depth'" in texts
    assert "'x'" in texts
    assert "'y'" in texts


def test_a_wrong_preset_is_told_in_the_words_of_the_form(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, "defaults:\n  cron: 99 * * * *\n")
    assert found.startswith("crawl.yaml:7: defaults.cron: '99 * * * *'")


def test_a_lock_on_an_option_that_nobody_could_give_is_refused(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, "locked: [start_urls]\n")
    assert "nobody could give it" in found


def test_an_unknown_kind_names_those_there_are(tmp_path: Path) -> None:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "a.yaml").write_text(
        GOOD.replace("crawler", "crawlr").replace("name: crawl\n", "name: a\n")
    )
    kinds = load_kinds()
    with pytest.raises(WorldError) as caught:
        load(tmp_path, extra_check=lambda world, sources: check_profiles(world, sources, kinds))
    assert any("collector, crawler, ide, notebook, transfer" in p.fix for p in caught.value.problems)
