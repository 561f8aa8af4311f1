"""The pure parts: which settings, addresses, links and robots.txt answers mean what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from images.crawler.addresses import refusal
from images.crawler.patterns import check_pattern
from images.crawler.robots import answered, product_token
from images.crawler.scope import Scope
from images.crawler.settings import CrawlSettings, SettingsError, host_within, load_settings
from images.crawler.upload import _last_complaint


def settings(**changes: Any) -> dict[str, Any]:
    return {
        "run_id": "r1",
        "name": "demo",
        "run_dir": "/nowhere/r1",
        "rclone": "/nowhere/rclone",
        "rclone_config": "/nowhere/rclone.conf",
        "destination": "archive:bucket/web",
        "start_urls": ["https://www.example.org/a"],
        "user_agent": "Demo/1.0 (+mailto:nobody@example.org)",
    } | changes


def test_polite_defaults() -> None:
    made = CrawlSettings.model_validate(settings())
    assert (made.delay_s, made.concurrency_per_host, made.allow_private, made.verify_tls) == (1.0, 1, False, True)
    assert made.allowed_domains == ("www.example.org",)
    assert made.run_destination == "archive:bucket/web/r1"


@pytest.mark.parametrize(
    ("changes", "place", "words"),
    [
        ({"start_urls": ["file:///etc/passwd"]}, "start_urls", "http:// or https://"),
        ({"start_urls": ["https://me:secret@example.org/"]}, "start_urls", "user name"),
        ({"start_urls": ["https://exa mple.org/"]}, "start_urls", "not a host name"),
        ({"start_urls": ["https://example.org:99999/"]}, "start_urls", "not a web address"),
        ({"start_urls": []}, "start_urls", "at least 1"),
        ({"allowed_domains": ["other.org"]}, "", "not in allowed_domains"),
        ({"user_agent": "Demo/1.0"}, "user_agent", "contact"),
        ({"user_agent": "Demo/1.0 (+mailto:a@b)\r\nCookie: x"}, "user_agent", "pattern"),
        ({"run_id": "../r1"}, "run_id", "pattern"),
        ({"destination": "/local/folder"}, "destination", "pattern"),
        ({"max_pages": 0}, "max_pages", "greater"),
        ({"delay_s": -1}, "delay_s", "greater"),
        ({"include": ["("]}, "include.0", "regular expression"),
        ({"exclude": ["(a+)+$"]}, "exclude.0", "repeat"),
        ({"content_types": ["pdf"]}, "content_types", "content type"),
        ({"obey_robots": False}, "obey_robots", "not permitted"),
    ],
)
def test_wrong_settings(tmp_path: Path, changes: dict[str, Any], place: str, words: str) -> None:
    path = tmp_path / "settings.json"
    path.write_text(json.dumps(settings(**changes)))
    with pytest.raises(SettingsError) as caught:
        load_settings(path)
    (line,) = str(caught.value).splitlines()
    assert place in line and words in line and "secret" not in line


@pytest.mark.parametrize("pattern", [r"/blog(/.*)?$", r"\.pdf$", r"^https://[^/]+/(en|ja)/", "(ab){3}", "a{2,}"])
def test_patterns_that_are_fine(pattern: str) -> None:
    assert check_pattern(pattern) == pattern


@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "((a+)b?)+", "(foo|bar)*", "(a{1,5})*", r"(a)\1", ".*.*.*.*", "[", "a" * 201]
)
def test_patterns_that_are_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        check_pattern(pattern)


@pytest.mark.parametrize(
    ("address", "private_allowed", "refused"),
    [
        ("93.184.216.34", False, False),
        ("2606:2800:220:1::1", False, False),
        ("10.1.2.3", False, True),
        ("10.1.2.3", True, False),
        ("127.0.0.1", False, True),
        ("127.0.0.1", True, False),
        ("::1", False, True),
        ("::1", True, False),
        ("fd00::1", False, True),
        ("100.64.0.1", False, True),
        ("0.0.0.0", True, True),
        ("224.0.0.1", True, True),
        ("169.254.169.254", True, True),
        ("fe80::1%eth0", True, True),
        ("fd00:ec2::254", True, True),
        ("100.100.100.200", True, True),
        ("168.63.129.16", False, True),
        ("::ffff:169.254.169.254", True, True),
        ("64:ff9b::a9fe:a9fe", True, True),
        ("2002:a9fe:a9fe::1", True, True),
        ("::ffff:10.0.0.1", False, True),
        ("::ffff:93.184.216.34", False, False),
    ],
)
def test_addresses(address: str, private_allowed: bool, refused: bool) -> None:
    assert (refusal(address, private_allowed) is not None) == refused


@pytest.mark.parametrize(
    ("host", "domain", "within"),
    [
        ("example.org", "example.org", True),
        ("www.example.org", "example.org", True),
        ("badexample.org", "example.org", False),
        ("example.org", "www.example.org", False),
        ("x.jp", "jp", False),
        ("1.127.0.0.1", "127.0.0.1", False),
    ],
)
def test_hosts_within_domains(host: str, domain: str, within: bool) -> None:
    assert host_within(host, domain) == within


@pytest.mark.parametrize(
    ("url", "follows"),
    [
        ("https://www.example.org/news/1", True),
        ("HTTPS://WWW.EXAMPLE.ORG./news/1", True),
        ("https://www.example.org/news/print/1", False),
        ("https://www.example.org/shop", False),
        ("https://example.com/news/", False),
        ("https://www.example.org@evil.example/news/", False),
        ("https://evil.example/#www.example.org/news/", False),
        ("file:///news/", False),
        ("javascript:alert('/news/')", False),
        ("https:///news/", False),
        ("https://www.example.org/news/" + "x" * 2100, False),
    ],
)
def test_links_to_follow(url: str, follows: bool) -> None:
    scope = Scope.of(CrawlSettings.model_validate(settings(include=["/news/"], exclude=["/print/"])))
    assert scope.follows(url) == follows


def test_robots_answers() -> None:
    rules = b"User-agent: demo\nDisallow: /no\nCrawl-delay: 7\n\nUser-agent: *\nDisallow: /\n"
    found = answered(200, rules, "Demo", 60)
    assert found.delay_s == 7
    assert found.refusal("http://h/yes", "Demo") is None
    assert found.refusal("http://h/no/1", "Demo") == "robots.txt forbids it"
    assert answered(200, rules, "Other", 60).refusal("http://h/yes", "Other") is not None
    assert answered(404, b"", "Demo", 60).refusal("http://h/", "Demo") is None
    for status in (429, 500, 503, 302):
        assert str(status) in (answered(status, b"", "Demo", 60).refusal("http://h/", "Demo") or "")
    assert "7 s" in (answered(200, rules, "Demo", 5).refusal("http://h/yes", "Demo") or "")
    assert answered(200, b"User-agent: *\nRequest-rate: 1/20", "Demo", 60).delay_s == 20
    assert answered(200, b"\xff\xfe\x00 junk", "Demo", 60).refusal("http://h/", "Demo") is None


def test_product_token() -> None:
    assert product_token("TenantHub/1.0 (+mailto:a@b.org)") == "TenantHub"
    assert product_token("Crawler of us@example.org") == "Crawler"


def test_rclone_complaints_are_one_readable_line() -> None:
    text = (
        "2026/11/21 10:00:00 ERROR : a: Failed\n2026/11/21 10:00:01 NOTICE: Failed to lsf: last error was: "
        "error in ListJSON: operation error S3: ListObjectsV2, exceeded maximum number of attempts, 1, https response "
        "error StatusCode: 0, RequestID: , HostID: , request send failed, dial tcp 127.0.0.1:9: connection refused\n"
    )
    assert _last_complaint(text) == (
        "error in ListJSON: operation error S3: ListObjectsV2, request send failed, "
        "dial tcp 127.0.0.1:9: connection refused"
    )
    assert _last_complaint("") == ""
