"""Whole crawls of a real site into a real object store."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from tests.images.crawler.parts import KEY, SECRET, Answer, Crawler, Site, html, record_at, warc_records


def chain(site: Site, length: int) -> None:
    """/, /1, /2 … each with a link to the next."""
    for number in range(length):
        path = "/" if number == 0 else f"/{number}"
        site.pages[path] = html(f"Page {number}", f"/{number + 1}")


def fan(site: Site, width: int) -> None:
    """/ with links to /p0 … each of which answers 10,000 bytes."""
    site.pages["/"] = html("Start", *(f"/p{number}" for number in range(width)))
    for number in range(width):
        site.pages[f"/p{number}"] = Answer(b"x" * 10_000, headers={"Content-Type": "text/plain"})


def test_a_run_is_whole_in_the_store_and_gone_from_here(site: Site, crawler: Crawler) -> None:
    packed = gzip.compress(html("  Second\n page ", "/gone").encode())
    site.pages["/"] = html("First", "/second", "/moved", "/paper.pdf").replace("<p>", '<img src="/i.png"><p>')
    site.pages["/second"] = Answer(packed, headers={"Content-Encoding": "gzip"})
    site.pages["/moved"] = Answer("", 302, {"Location": "/target"})
    site.pages["/target"] = html("Target")
    site.pages["/paper.pdf"] = Answer(b"%PDF-1.4 ...", headers={"Content-Type": "application/pdf"})
    site.pages["/i.png"] = Answer(b"\x89PNG", headers={"Content-Type": "image/png"})

    done = crawler.run(f"{site.url}/")

    assert (done.code, done.result["outcome"], done.result["uploaded"]) == (0, "ok", True)
    assert done.result["destination"] == f"archive:bucket/web/{done.stored.name}"
    rows = {row["url"].removeprefix(site.url): row for row in done.rows()}
    assert set(rows) == {"/", "/second", "/target", "/paper.pdf", "/gone", "/i.png"}
    assert rows["/second"]["title"] == "Second page"
    assert rows["/second"]["sha256"] == hashlib.sha256(packed).hexdigest()
    assert rows["/second"]["referrer"] == f"{site.url}/" and rows["/second"]["depth"] == 1
    assert rows["/target"]["redirected_from"] == [f"{site.url}/moved"]
    assert (rows["/gone"]["status"], rows["/gone"]["depth"]) == (404, 2)
    assert rows["/i.png"]["kind"] == "resource"
    assert done.result["counts"]["pages"] == 4 and done.result["counts"]["errors"] == 1

    # every line leads to its record, byte for byte as the site sent it
    for row in done.rows():
        url, body = record_at(done.stored, row)
        assert (url, hashlib.sha256(body).hexdigest(), len(body)) == (row["url"], row["sha256"], row["bytes"])
    records = warc_records(done.stored)
    assert records[0][0] == "warcinfo"
    responses = [url for kind, url, _, _ in records if kind == "response"]
    requests = [url for kind, url, _, _ in records if kind == "request"]
    assert responses == requests
    assert {f"{site.url}/robots.txt", f"{site.url}/moved"} < set(responses)

    manifest = done.manifest()
    assert manifest["statuses"] == {"200": 5, "404": 1}
    assert (manifest["outcome"], manifest["reason"]) == ("ok", "finished")
    for listed in manifest["files"]:
        content = (done.stored / listed["name"]).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (listed["size"], listed["sha256"])
    stored = {path.name for path in done.stored.iterdir()}
    assert stored == {listed["name"] for listed in manifest["files"]} | {"manifest.json"}
    assert not (done.run_dir / "files").exists()
    assert {seen.user_agent for seen in site.seen} == {"TestCrawler/1.0 (+mailto:nobody@example.org)"}


def test_no_secret_is_written_anywhere(site: Site, crawler: Crawler) -> None:
    chain(site, 2)
    done = crawler.run(f"{site.url}/")
    written = [path.read_bytes() for folder in (done.run_dir, done.stored) for path in folder.iterdir()]
    assert done.code == 0 and len(written) > 5
    for secret in (KEY, SECRET, "rclone.conf"):
        assert secret not in done.log
        assert not any(secret.encode() in content for content in written)


def test_depth(site: Site, crawler: Crawler) -> None:
    chain(site, 9)
    done = crawler.run(f"{site.url}/", max_depth=2)
    assert done.urls() == [f"{site.url}/", f"{site.url}/1", f"{site.url}/2"]
    assert site.paths() == ["/", "/1", "/2"]


def test_number_of_pages(site: Site, crawler: Crawler) -> None:
    fan(site, 12)
    done = crawler.run(f"{site.url}/", max_pages=5, concurrency_per_host=4)
    assert (done.code, done.manifest()["reason"]) == (0, "max_pages")
    assert len(done.rows()) == done.result["counts"]["pages"] == 5


def test_number_of_bytes(site: Site, crawler: Crawler) -> None:
    fan(site, 12)
    done = crawler.run(f"{site.url}/", max_bytes=35_000)
    assert (done.code, done.manifest()["reason"]) == (0, "max_bytes")
    assert 30_000 < done.result["counts"]["bytes"] <= 35_000
    assert [row["bytes"] for row in done.rows()].count(10_000) == 3


def test_time_limit_ends_even_while_a_host_is_being_waited_for(site: Site, crawler: Crawler) -> None:
    chain(site, 5)
    site.pages["/robots.txt"] = Answer("User-agent: *\nCrawl-delay: 200")
    done = crawler.run(f"{site.url}/", f"{site.url}/1", f"{site.url}/2", time_limit_s=1)
    assert (done.code, done.manifest()["reason"]) == (1, "time_limit")
    assert "time limit" in done.result["message"]
    assert site.paths() == []


def test_an_answer_that_is_too_large_is_one_error(site: Site, crawler: Crawler) -> None:
    site.pages["/"] = html("Start", "/large", "/small")
    site.pages["/large"] = Answer(b"x" * 200_000)
    site.pages["/small"] = html("Small")
    done = crawler.run(f"{site.url}/", max_response_bytes=100_000)
    assert done.urls() == [f"{site.url}/", f"{site.url}/small"]
    assert [row["reason"] for row in done.rows("errors.jsonl")] == ["the answer is larger than max_response_bytes"]


def test_the_fence_holds_for_links_and_redirects(make_site: Callable[..., Site], crawler: Crawler) -> None:
    inside, outside = make_site("127.0.0.1"), make_site("127.0.0.2")
    inside.pages["/"] = html("Start", f"{outside.url}/link", "/leaves", "/stays", "ftp://127.0.0.1/x")
    inside.pages["/leaves"] = Answer("", 301, {"Location": f"{outside.url}/redirected"})
    inside.pages["/stays"] = html("Stays")
    outside.pages["/link"] = outside.pages["/redirected"] = html("Outside")
    done = crawler.run(f"{inside.url}/")
    assert done.urls() == [f"{inside.url}/", f"{inside.url}/stays"]
    assert outside.seen == []  # not even robots.txt
    (error,) = done.rows("errors.jsonl")
    assert "redirects" in error["reason"] and "outside the allowed domains" in error["reason"]


def test_the_fence_holds_for_a_start_url_and_for_robots_txt(make_site: Callable[..., Site], crawler: Crawler) -> None:
    inside, outside = make_site("127.0.0.1"), make_site("127.0.0.2")
    inside.pages["/"] = Answer("", 302, {"Location": f"{outside.url}/"})
    left = crawler.run(f"{inside.url}/")
    assert left.code == 1 and "outside the allowed domains" in left.result["message"]
    inside.pages["/robots.txt"] = Answer("", 302, {"Location": f"{outside.url}/robots.txt"})
    closed = crawler.run(f"{inside.url}/")
    assert closed.code == 1 and "robots.txt could not be had" in closed.result["message"]
    assert outside.seen == []


def test_two_hosts_in_one_crawl(make_site: Callable[..., Site], crawler: Crawler) -> None:
    one, two = make_site("127.0.0.1"), make_site("127.0.0.2")
    one.pages["/"] = html("One", f"{two.url}/")
    two.pages["/"] = html("Two")
    two.pages["/robots.txt"] = Answer("User-agent: *\nDisallow: /private")
    done = crawler.run(f"{one.url}/", allowed_domains=["127.0.0.1", "127.0.0.2"])
    assert done.urls() == [f"{one.url}/", f"{two.url}/"]
    assert [seen.path for seen in two.seen] == ["/robots.txt", "/"]


def test_robots_txt_is_obeyed(site: Site, crawler: Crawler) -> None:
    site.pages["/robots.txt"] = Answer("User-agent: TestCrawler\nDisallow: /no\n\nUser-agent: *\nDisallow: /")
    site.pages["/"] = html("Start", "/no/1", "/no/2", "/yes")
    site.pages["/yes"] = html("Yes")
    done = crawler.run(f"{site.url}/")
    assert [seen.path for seen in site.seen] == ["/robots.txt", "/", "/yes"]
    assert done.result["counts"]["robots_refused"] == done.manifest()["counts"]["robots_refused"] == 2
    assert {row["reason"] for row in done.rows("errors.jsonl")} == {"robots.txt forbids it"}


def test_crawl_delay_spaces_the_requests(site: Site, crawler: Crawler) -> None:
    site.pages["/robots.txt"] = Answer("User-agent: *\nCrawl-delay: 1")
    fan(site, 3)
    done = crawler.run(f"{site.url}/", delay_s=0, concurrency_per_host=8)
    assert done.code == 0 and len(site.paths()) == 4
    assert max(seen.at_once for seen in site.seen) == 1
    times = [seen.time for seen in site.seen]
    # The crawler's clock starts at the sending and ours at the arrival: some tenths may lie between.
    assert all(later - earlier > 0.6 for earlier, later in pairwise(times))
    assert times[-1] - times[0] > 0.9 * (len(times) - 1)


def test_a_site_that_asks_for_a_pause_gets_it(site: Site, crawler: Crawler) -> None:
    site.pages["/"] = Answer("busy", 503, {"Retry-After": "1"})
    done = crawler.run(f"{site.url}/")
    times = [seen.time for seen in site.seen if seen.path == "/"]
    assert len(times) == 3 and all(later - earlier > 0.6 for earlier, later in pairwise(times))
    assert done.code == 1 and "HTTP 503" in done.result["message"]


def test_patterns_choose_the_links(site: Site, crawler: Crawler) -> None:
    site.pages["/"] = html("Start", "/news/1", "/news/print/1", "/shop")
    site.pages["/news/1"] = site.pages["/news/print/1"] = site.pages["/shop"] = html("x")
    crawler.run(f"{site.url}/", include=["/news/"], exclude=["print"])
    assert site.paths() == ["/", "/news/1"]


def test_content_types_to_keep(site: Site, crawler: Crawler) -> None:
    site.pages["/"] = html("Start", "/p.pdf")
    site.pages["/p.pdf"] = Answer(b"%PDF", headers={"Content-Type": "application/pdf"})
    done = crawler.run(f"{site.url}/", content_types=["application/*"])
    kept = {row["url"].removeprefix(site.url): row["warc"] is not None for row in done.rows()}
    assert kept == {"/": False, "/p.pdf": True}


def test_warc_files_are_rotated(site: Site, crawler: Crawler) -> None:
    fan(site, 4)
    done = crawler.run(f"{site.url}/", warc_bytes=1)
    names = {row["warc"] for row in done.rows()}
    assert len(names) == 5 and len(list(done.stored.glob("*.warc.gz"))) == 6  # robots.txt has one too
    assert [kind for kind, *_ in warc_records(done.stored)].count("warcinfo") == 6


@pytest.mark.parametrize(
    ("pages", "words"),
    [
        ({}, "HTTP 404 (Not Found)"),
        ({"/robots.txt": Answer("User-agent: *\nDisallow: /")}, "robots.txt forbids it"),
        ({"/robots.txt": Answer("", 500)}, "robots.txt could not be had (HTTP 500)"),
        ({"/robots.txt": Answer("User-agent: *\nCrawl-delay: 999")}, "more than max_crawl_delay_s"),
        ({"/": Answer("", 302, {"Location": "http://169.254.169.254/latest/"})}, "link-local address"),
    ],
)
def test_a_start_that_fails_says_why(site: Site, crawler: Crawler, pages: dict[str, Answer], words: str) -> None:
    site.pages.update(pages)
    done = crawler.run(f"{site.url}/", allowed_domains=["127.0.0.1", "169.254.169.254"])
    assert (done.code, done.result["outcome"]) == (1, "failed")
    assert words in done.result["message"]
    assert done.manifest()["outcome"] == "failed"  # a run that found nothing is on record as well


@pytest.mark.parametrize(
    ("start", "words"),
    [
        ("http://no-such-host.invalid/", "no such host"),
        ("http://127.0.0.1:1/", "refused"),
    ],
)
def test_a_start_that_is_not_there(crawler: Crawler, start: str, words: str) -> None:
    done = crawler.run(start)
    assert done.code == 1 and words in done.result["message"]
    assert "Traceback" not in done.log


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f.1", "[::ffff:127.0.0.1]"])
def test_private_addresses_are_not_reached(site: Site, crawler: Crawler, host: str) -> None:
    site.pages["/"] = html("Secret")
    done = crawler.run(f"http://{host}:{site.port}/", allow_private=False)
    assert site.seen == []
    assert done.code == 1 and "private address" in done.result["message"]


def test_wrong_settings_are_told_line_by_line(crawler: Crawler) -> None:
    settings = crawler.settings("ftp://x/", max_depth=-1)
    process = crawler.start(settings)
    done = crawler.finish(process, settings)
    assert done.code == 1
    assert len(done.log.splitlines()) == 2 and "start_urls" in done.log and "max_depth" in done.log


def test_progress_names_what_the_page_shows(site: Site, crawler: Crawler) -> None:
    chain(site, 3)
    done = crawler.run(f"{site.url}/")
    progress = json.loads((done.run_dir / "progress.json").read_text())
    assert progress["pages"] == 3 and progress["current_url"] == f"{site.url}/3"
    assert {"bytes", "queued", "errors", "started"} < set(progress)
    assert (Path(done.run_dir) / "result.json").stat().st_mode & 0o777 == 0o600
