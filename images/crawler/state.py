"""What one crawl knows about itself while it runs: counters, the reason for its end, and what the start URLs gave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from images.crawler.archive import Archive, utc_text
from images.crawler.scope import Scope
from images.crawler.settings import CrawlSettings

Reason = Literal["finished", "max_pages", "max_bytes", "time_limit", "stopped", "failed"]


@dataclass
class CrawlState:
    """Shared by the middlewares and the spider; touched only in the reactor's thread.

    `reason` is None while the crawl goes on and is set once, by `end`; whoever sees it set lets go of its request.
    """

    settings: CrawlSettings
    scope: Scope
    archive: Archive
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    reason: Reason | None = None
    failure: str | None = None
    pages: int = 0  # page addresses answered with 2xx
    answered: int = 0  # page addresses answered with anything
    resources: int = 0
    bytes: int = 0
    errors: int = 0
    robots_refused: int = 0
    links_dropped: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    current_url: str | None = None
    queued: int = 0
    start_failures: dict[str, str] = field(default_factory=dict)
    on_end: Callable[[], None] = lambda: None

    def end(self, reason: Reason, failure: str | None = None) -> None:
        """End the crawl for *reason*; the first reason stays. *failure* is told to the user with “failed”."""
        if self.reason is None:
            self.reason, self.failure = reason, failure
            self.on_end()

    def counts(self) -> dict[str, int]:
        """The numbers of result.json and of the manifest."""
        return {
            "pages": self.pages,
            "resources": self.resources,
            "bytes": self.bytes,
            "errors": self.errors,
            "robots_refused": self.robots_refused,
            "links_dropped": self.links_dropped,
        }

    def progress(self) -> dict[str, object]:
        """The content of progress.json while crawling."""
        return {
            "phase": "crawling",
            "pages": self.pages,
            "bytes": self.bytes,
            "queued": self.queued,
            "errors": self.errors,
            "current_url": self.current_url,
            "started": utc_text(self.started),
        }


def empty_message(start_urls: tuple[str, ...], failures: dict[str, str], reason: Reason) -> str:
    """In words, why a crawl that ended for *reason* has no page at all."""
    if not failures:
        why = {
            "time_limit": "the time limit was reached before a first page came",
            "max_bytes": "the first answer is larger than max_bytes",
        }.get(reason, f"{start_urls[0]} gave no page (does it redirect to itself?)")
        return f"No page was fetched: {why}"
    url, first = next(iter(failures.items()))
    others = f" (and {len(failures) - 1} more start URLs failed)" if len(failures) > 1 else ""
    return f"No page was fetched: {url}: {first}{others}"
