"""The spider: reads the links of each page, breadth first, and writes the page's line."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import urljoin, urlsplit

from scrapy import Request, Spider
from scrapy.http import HtmlResponse, Response
from scrapy.linkextractors import LinkExtractor
from scrapy.utils.response import get_base_url
from twisted.python.failure import Failure
from w3lib.url import safe_url_string

from images.crawler.archive import Page, Place, utc_text
from images.crawler.guard import GuardedResolver
from images.crawler.middlewares import content_type
from images.crawler.reasons import Refused, in_words, status_text
from images.crawler.state import CrawlState

log = logging.getLogger("crawler")

LONGEST_TITLE = 300  # characters
# What a browser loads by itself to show the page.
RESOURCES = (
    "img::attr(src), script::attr(src), source::attr(src), video::attr(src), audio::attr(src), embed::attr(src), "
    "link[rel~=stylesheet]::attr(href), link[rel~=icon]::attr(href)"
)


class ArchiveSpider(Spider):
    """Follows links inside the scope down to max_depth; a page's resources count as the page's own depth."""

    name = "crawler"
    state: CrawlState
    guard: GuardedResolver | None = None

    def __init__(self, state: CrawlState, guard: GuardedResolver | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.state, self.guard = state, guard
        # No extension is left out (Scrapy's default drops PDF, images, archives …): this is an archive.
        self._links = LinkExtractor(
            tags=("a", "area", "iframe", "frame"), attrs=("href", "src"), deny_extensions=[], strip=True
        )
        self._most_queued = max(10_000, 10 * state.settings.max_pages)

    async def start(self) -> AsyncIterator[Request]:
        """The start URLs, as Scrapy asks for them."""
        for url in self.state.settings.start_urls:
            yield self._request(url, "page", 0, start=url)

    def parse(self, response: Response) -> Iterator[Request]:
        """Write the line of an answered page and give the requests that follow from it."""
        state, kind = self.state, response.meta["kind"]
        # An answer that arrived together with the last page allowed is in the WARC, but is no page of this run. One
        # that was archived before the crawl ended for another reason still gets its line.
        if kind == "page" and state.answered >= state.settings.max_pages:
            return
        title = _title(response)
        if not self._count(response, title):
            return
        if kind == "page" and state.answered >= state.settings.max_pages:
            state.end("max_pages")
            return
        if isinstance(response, HtmlResponse) and 200 <= response.status < 300:
            yield from self._follow(response)

    def failed(self, failure: Failure) -> None:
        """Note a request that gave no answer, or was refused."""
        request: Request = failure.request  # type: ignore[attr-defined]  # Scrapy puts it there
        error: BaseException = failure.value  # type: ignore[assignment]  # set for every failure of a request
        if isinstance(error, Refused) and error.by in ("end", "limit"):
            return
        host = urlsplit(request.url).hostname or ""
        reason = in_words(error, self.guard.refused.get(host) if self.guard else None)
        if isinstance(error, Refused) and error.by == "robots":
            self.state.robots_refused += 1
        else:
            self.state.errors += 1
        if request.meta.get("start"):
            self.state.start_failures[request.meta["start"]] = reason
        log.warning("%s: %s", request.url, reason)
        try:
            self.state.archive.add_error(request.url, request.meta.get("referrer"), reason)
        except OSError as os_error:
            self.state.end("failed", f"The archive could not be written: {os_error.strerror}")

    def _count(self, response: Response, title: str | None) -> bool:
        """Write and count the answer; False if its line could not be written."""
        state, meta = self.state, response.meta
        place: Place | None = meta.get("place")
        time, size, sha256 = meta["received"]
        page = Page(
            url=response.url,
            status=response.status,
            time=utc_text(time),
            kind=meta["kind"],
            depth=meta["hops"],
            referrer=meta.get("referrer"),
            redirected_from=tuple(meta.get("redirect_urls", ())),
            content_type=content_type(response),
            bytes=size,
            sha256=sha256,
            title=title,
            warc=None if place is None else place.warc,
            offset=None if place is None else place.offset,
            length=None if place is None else place.length,
        )
        try:
            state.archive.add_page(page)
        except OSError as error:
            state.end("failed", f"The archive could not be written: {error.strerror}")
            return False
        log.info("%d %s (%d bytes)", response.status, response.url, size)
        state.statuses[response.status] += 1
        good = 200 <= response.status < 300
        if meta["kind"] == "page":
            state.answered += 1
            state.pages += good
        else:
            state.resources += good
        if response.status >= HTTPStatus.BAD_REQUEST:
            state.errors += 1
        if not good and meta.get("start"):
            state.start_failures[meta["start"]] = status_text(response.status)
        return True

    def _follow(self, response: HtmlResponse) -> Iterator[Request]:
        depth = response.meta["hops"]
        if self.state.settings.page_resources:
            base = get_base_url(response)
            for link in response.css(RESOURCES).getall():
                yield from self._inside(response, _joined(base, link), "resource", depth)
        if depth < self.state.settings.max_depth:
            for found in self._links.extract_links(response):
                yield from self._inside(response, found.url, "page", depth + 1)

    def _inside(self, response: Response, url: str, kind: str, depth: int) -> Iterator[Request]:
        inside = self.state.scope.follows(url) if kind == "page" else self.state.scope.refusal(url) is None
        if not inside:
            return
        # The queue lives in memory: a site with endless links must not fill it.
        if self.state.queued >= self._most_queued:
            self.state.links_dropped += 1
            return
        yield self._request(url, kind, depth, referrer=response.url)

    def _request(self, url: str, kind: str, hops: int, **more: str) -> Request:
        # “depth” belongs to Scrapy in a request's meta; “hops” is ours.
        meta = {"kind": kind, "hops": hops, **more}
        return Request(url, callback=self.parse, errback=self.failed, meta=meta)


def _title(response: Response) -> str | None:
    if not isinstance(response, HtmlResponse):
        return None
    found = response.css("head title::text, body > title::text").get()
    return " ".join(found.split())[:LONGEST_TITLE] if found else None


def _joined(base: str, link: str) -> str:
    """*link* as an absolute address; empty where it can't be one."""
    try:
        return safe_url_string(urljoin(base, link.strip()))
    except ValueError:
        return ""
