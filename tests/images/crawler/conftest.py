"""Fixtures: a site, an object store and the crawler, made of the real parts in parts.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.images.crawler.parts import Crawler, Site, Store


@pytest.fixture
def make_site() -> Iterator[Callable[..., Site]]:
    sites: list[Site] = []

    def make(address: str = "127.0.0.1") -> Site:
        sites.append(Site(address))
        return sites[-1]

    yield make
    for site in sites:
        site.close()


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    return make_site()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "objects")
    store.start()
    yield store
    store.stop()


@pytest.fixture
def crawler(tmp_path: Path, store: Store) -> Iterator[Crawler]:
    folder = tmp_path / "runs"
    folder.mkdir()
    crawler = Crawler(folder, store)
    yield crawler
    crawler.kill_all()
