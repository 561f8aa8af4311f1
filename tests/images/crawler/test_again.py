"""A run that is tried again, in a Pod that has nothing of the first try's: the same folder, and no work done twice."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.images.crawler.parts import Crawler, Site, Store, html, rclone_program


def _rclone(store: Store, *words: str) -> None:
    argv = [str(rclone_program()), "--config", str(store.config), *words]
    subprocess.run(argv, input=b"of a longer try", check=True, timeout=60)


def test_what_an_earlier_try_brought_in_whole_is_not_crawled_again(
    site: Site, crawler: Crawler, tmp_path: Path
) -> None:
    site.pages["/"] = html("Start")
    first = crawler.run(f"{site.url}/", run_id="same", may_be_again=True)
    asked = len(site.paths())
    manifest = (first.stored / "manifest.json").read_bytes()
    again = crawler.run(f"{site.url}/", run_id="same", may_be_again=True, run_dir=str(tmp_path / "other-pod"))
    assert (again.code, len(site.paths())) == (0, asked), again.log
    assert (first.stored / "manifest.json").read_bytes() == manifest
    for name in ("outcome", "message", "counts", "destination", "uploaded"):
        assert again.result[name] == first.result[name]


def test_what_an_earlier_try_brought_in_by_half_is_replaced(
    site: Site, crawler: Crawler, store: Store, tmp_path: Path
) -> None:
    site.pages["/"] = html("Start")
    first = crawler.run(f"{site.url}/", run_id="half", may_be_again=True)
    # through the store, which keeps its own list of what it has
    _rclone(store, "deletefile", "archive:bucket/web/half/manifest.json")
    _rclone(store, "rcat", "archive:bucket/web/half/demo-half-00007.warc.gz")
    assert len(list(first.stored.iterdir())) > 1
    again = crawler.run(f"{site.url}/", run_id="half", may_be_again=True, run_dir=str(tmp_path / "other-pod"))
    assert again.code == 0, again.log
    names = {path.name for path in again.stored.iterdir()}
    assert names == {one["name"] for one in again.manifest()["files"]} | {"manifest.json"}
