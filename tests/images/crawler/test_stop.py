"""Runs that do not end by themselves: stopped, killed, or with an object store that is down."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path
from typing import Any

from tests.images.crawler.parts import Answer, Crawler, Site, Store, html, record_at, wait_for, warc_records


def stuck_after(site: Site, pages: int) -> None:
    """A site that answers / and /1 … as a chain, and hangs at the last."""
    for number in range(pages):
        site.pages["/" if number == 0 else f"/{number}"] = html(f"Page {number}", f"/{number + 1}")
    site.pages[f"/{pages}"] = Answer("late", hold=threading.Event())


def wait_until_stuck(site: Site, settings: dict[str, Any], pages: int) -> None:
    wait_for(lambda: f"/{pages}" in site.paths(), "the crawl to reach the page that hangs")
    lines = Path(settings["run_dir"]) / "files" / "pages.jsonl"
    assert len(lines.read_text().splitlines()) == pages


def test_sigterm_keeps_what_it_had(site: Site, crawler: Crawler) -> None:
    stuck_after(site, 4)
    settings = crawler.settings(f"{site.url}/", max_depth=9)
    process = crawler.start(settings)
    wait_until_stuck(site, settings, 4)
    process.send_signal(signal.SIGTERM)
    done = crawler.finish(process, settings)
    assert (done.code, done.result["outcome"], done.result["uploaded"]) == (143, "stopped", True)
    assert (done.manifest()["outcome"], done.manifest()["reason"]) == ("stopped", "stopped")
    assert len(done.rows()) == done.result["counts"]["pages"] == 4
    assert all(record_at(done.stored, row)[0] == row["url"] for row in done.rows())
    assert "Traceback" not in done.log


def test_sigterm_does_not_wait_for_a_crawl_delay(site: Site, crawler: Crawler) -> None:
    site.pages["/robots.txt"] = Answer("User-agent: *\nCrawl-delay: 250")
    settings = crawler.settings(*(f"{site.url}/{number}" for number in range(20)))
    process = crawler.start(settings)
    wait_for(lambda: site.seen, "robots.txt to be fetched")
    process.send_signal(signal.SIGTERM)
    done = crawler.finish(process, settings)  # fails by its time-out if the delay were waited for
    assert (done.code, done.result["outcome"]) == (143, "stopped")


def test_killed_then_salvaged(site: Site, crawler: Crawler, store: Store) -> None:
    stuck_after(site, 4)
    settings = crawler.settings(f"{site.url}/", max_depth=9)
    process = crawler.start(settings)
    wait_until_stuck(site, settings, 4)
    process.kill()
    process.wait()
    # and as if it had died in the middle of two writes
    files = Path(settings["run_dir"]) / "files"
    (warc,) = files.glob("*.warc.gz")
    whole = warc.read_bytes()
    warc.write_bytes(whole + whole[:100])
    with (files / "pages.jsonl").open("a") as lines:
        lines.write('{"url": "http://torn')
    stored = store.run(settings["run_id"])
    assert not stored.exists()

    site.pages["/4"] = html("Answers again")
    after = crawler.run(f"{site.url}/", max_depth=0, salvage_dirs=[settings["run_dir"]])

    assert after.code == 0
    manifest = json.loads((stored / "manifest.json").read_text())
    assert (manifest["outcome"], manifest["run_id"]) == ("interrupted", settings["run_id"])
    assert manifest["counts"]["pages"] == 4
    assert (stored / warc.name).read_bytes() == whole
    assert [kind for kind, *_ in warc_records(stored)].count("response") == 5  # robots.txt and four pages
    rows = [json.loads(line) for line in (stored / "pages.jsonl").read_text().splitlines()]
    assert [record_at(stored, row)[0] for row in rows] == [row["url"] for row in rows]
    assert len(rows) == 4
    assert not files.exists()


def test_a_living_run_is_not_salvaged(site: Site, crawler: Crawler, store: Store) -> None:
    stuck_after(site, 2)
    settings = crawler.settings(f"{site.url}/")
    living = crawler.start(settings)
    wait_until_stuck(site, settings, 2)
    other = crawler.run(f"{site.url}/", max_depth=0, salvage_dirs=[settings["run_dir"]])
    assert other.code == 0 and "still going on" in other.log
    assert not store.run(settings["run_id"]).exists()
    assert living.poll() is None and (Path(settings["run_dir"]) / "files").is_dir()


def test_store_down_at_the_end_then_back_for_the_next_run(site: Site, crawler: Crawler, store: Store) -> None:
    site.pages["/"] = html("Page")
    store.stop()
    kept = crawler.run(f"{site.url}/", upload_retry_s=2)
    assert (kept.code, kept.result["outcome"], kept.result["uploaded"]) == (1, "failed", False)
    assert "1 page" in kept.result["message"] and "kept" in kept.result["message"]
    assert "next try" in kept.log
    assert (kept.run_dir / "files" / "manifest.json").exists()

    store.start()
    after = crawler.run(f"{site.url}/", salvage_dirs=[str(kept.run_dir)])
    assert after.code == 0
    assert (kept.manifest()["outcome"], after.manifest()["outcome"]) == ("ok", "ok")
    assert kept.urls() == after.urls() == [f"{site.url}/"]
    assert json.loads((kept.run_dir / "result.json").read_text())["uploaded"] is True
    assert not (kept.run_dir / "files").exists()


def test_store_comes_back_while_it_is_waited_for(site: Site, crawler: Crawler, store: Store) -> None:
    site.pages["/"] = html("Page")
    store.stop()
    settings = crawler.settings(f"{site.url}/", upload_retry_s=60)
    process = crawler.start(settings)
    progress = Path(settings["run_dir"]) / "progress.json"
    wait_for(lambda: progress.exists() and '"uploading"' in progress.read_text(), "the upload to begin")
    store.start()
    done = crawler.finish(process, settings)
    assert (done.code, done.result["uploaded"]) == (0, True)
    assert done.urls() == [f"{site.url}/"]


def test_sigterm_while_the_store_is_down(site: Site, crawler: Crawler, store: Store) -> None:
    site.pages["/"] = html("Page")
    store.stop()
    settings = crawler.settings(f"{site.url}/", upload_retry_s=3600, stop_upload_s=1)
    process = crawler.start(settings)
    progress = Path(settings["run_dir"]) / "progress.json"
    wait_for(lambda: progress.exists() and '"uploading"' in progress.read_text(), "the upload to begin")
    process.send_signal(signal.SIGTERM)
    done = crawler.finish(process, settings)
    assert (done.code, done.result["outcome"], done.result["uploaded"]) == (143, "stopped", False)
    assert (done.run_dir / "files" / "manifest.json").exists()


def test_files_of_an_earlier_run_are_never_overwritten(site: Site, crawler: Crawler, store: Store) -> None:
    site.pages["/"] = html("Page")
    store.stop()
    settings = crawler.settings(f"{site.url}/")
    first = crawler.finish(crawler.start(settings), settings)
    before = {path.name: path.read_bytes() for path in (first.run_dir / "files").iterdir()}
    again = crawler.finish(crawler.start(settings), settings)
    assert again.code == 1 and "salvage_dirs" in again.log
    assert {path.name: path.read_bytes() for path in (first.run_dir / "files").iterdir()} == before
