"""What every request passes on its way out and every answer on its way in: the fence, robots.txt, the archive."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from scrapy import Request
from scrapy.http import Response
from scrapy.http.request import NO_CALLBACK

from images.crawler import robots
from images.crawler.archive import Exchange, Headers
from images.crawler.reasons import Refused, in_words
from images.crawler.state import CrawlState

if TYPE_CHECKING:
    from scrapy.crawler import Crawler
    from scrapy.http.headers import Headers as ScrapyHeaders

    from images.crawler.spider import ArchiveSpider

log = logging.getLogger("crawler")


def _spider(crawler: Crawler) -> ArchiveSpider:
    spider: Any = crawler.spider
    found: ArchiveSpider = spider
    return found


class FenceMiddleware:
    """Lets no request out of the allowed domains: a link's, a redirect's and a robots.txt's pass here alike.

    Scrapy's own OffsiteMiddleware lets a request with dont_filter pass, and its redirects with it.
    """

    def __init__(self, state: CrawlState) -> None:
        self._state = state

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Called by Scrapy."""
        return cls(_spider(crawler).state)

    def process_request(self, request: Request) -> None:
        """Refused, for what lies outside and for everything once the crawl has ended."""
        if self._state.reason is not None:
            raise Refused("the crawl has ended", "end")
        reason = self._state.scope.refusal(request.url)
        if reason is not None:
            hops = request.meta.get("redirect_urls")
            raise Refused(f"it redirects to {request.url}, and {reason}" if hops else reason, "scope")


class Pace:
    """The time between two requests to one host."""

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler

    def delay(self, host: str) -> float:
        """Seconds between two requests to *host* as of now."""
        paced = self._crawler.engine.downloader.per_slot_settings.get(host, {})
        return float(paced.get("delay", _spider(self._crawler).state.settings.delay_s))

    def slow_down(self, host: str, delay: float) -> None:
        """From now on one request at a time to *host*, *delay* seconds apart; never faster than it was."""
        downloader = self._crawler.engine.downloader
        delay = max(delay, self.delay(host))
        # Scrapy drops a slot (its queue of one host) that was idle for a minute, and makes the next one from these.
        downloader.per_slot_settings[host] = {"delay": delay, "concurrency": 1, "jitter": 0.0}
        slot = downloader.slots.get(host)
        if slot is not None:
            slot.delay, slot.concurrency, slot.jitter = delay, 1, 0.0


class RobotsMiddleware:
    """Holds a request until its host's robots.txt is known, then lets it pass or refuses it, and paces the host.

    Scrapy's own middleware fetches everything where robots.txt fails, and does not know Crawl-delay.
    """

    def __init__(self, crawler: Crawler) -> None:
        self._crawler, self._pace = crawler, Pace(crawler)
        self._state = _spider(crawler).state
        self._product = robots.product_token(self._state.settings.user_agent)
        # One task a host and port: the first request starts it, the others wait for the same answer.
        self._known: dict[str, tuple[float, asyncio.Task[robots.Robots]]] = {}

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Called by Scrapy."""
        return cls(crawler)

    async def process_request(self, request: Request) -> None:
        """Refused, where robots.txt says so or could not be had."""
        if request.meta.get("kind") == "robots":
            return
        rules = await self._rules(request)
        reason = rules.refusal(request.url, self._product)
        if reason is not None:
            raise Refused(reason, "robots")

    async def _rules(self, request: Request) -> robots.Robots:
        parts = urlsplit(request.url)
        origin = f"{parts.scheme}://{parts.netloc}"
        made, task = self._known.get(origin, (0.0, None))
        if task is None or monotonic() - made > robots.FRESH_S:
            task = asyncio.ensure_future(self._fetch(origin, parts.hostname or ""))
            self._known[origin] = monotonic(), task
        return await asyncio.shield(task)  # one that waits may be cancelled; the others still need the answer

    async def _fetch(self, origin: str, host: str) -> robots.Robots:
        request = Request(f"{origin}/robots.txt", priority=1000, meta={"kind": "robots"}, callback=NO_CALLBACK)
        try:
            response = await self._crawler.engine.download_async(request)
        except Exception as error:  # whatever went wrong: rules unknown, so the host is closed
            guard = _spider(self._crawler).guard
            rules = robots.unreachable(in_words(error, guard.refused.get(host) if guard else None))
        else:
            limit = self._state.settings.max_crawl_delay_s
            rules = robots.answered(response.status, response.body, self._product, limit)
        if rules.closed is not None and self._state.reason is None:
            log.warning("%s is left out: %s", origin, rules.closed)
        if rules.delay_s > self._pace.delay(host):
            log.info("%s asks for %g s between requests; so be it", origin, rules.delay_s)
            self._pace.slow_down(host, rules.delay_s)
        return rules


class BackoffMiddleware:
    """Slows down for a host that says it has too much to do. Before RetryMiddleware, which asks such a host again."""

    def __init__(self, crawler: Crawler) -> None:
        self._pace = Pace(crawler)
        self._settings = _spider(crawler).state.settings

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Called by Scrapy."""
        return cls(crawler)

    def process_response(self, request: Request, response: Response) -> Response:
        """After 429 and 503: twice the delay for the rest of the run, or Retry-After; at most max_crawl_delay_s."""
        if response.status in (429, 503):
            host = urlsplit(request.url).hostname or ""
            asked = (response.headers.get("Retry-After") or b"").decode("latin-1").strip()
            wanted = max(2 * self._pace.delay(host), float(asked) if asked.isdecimal() else 1.0)
            self._pace.slow_down(host, min(wanted, self._settings.max_crawl_delay_s))
        return response


class ArchiveMiddleware:
    """Nearest to the network: writes each answer as it came, before it is decompressed, redirected or tried again."""

    def __init__(self, state: CrawlState) -> None:
        self._state = state

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Called by Scrapy."""
        return cls(_spider(crawler).state)

    def process_request(self, request: Request) -> None:
        """Note what is being fetched."""
        self._state.current_url = request.url

    def process_response(self, request: Request, response: Response) -> Response:
        """Archive *response*. Refused, if a limit is reached by it: then it is neither counted nor written."""
        state, limits = self._state, self._state.settings
        if state.reason is not None:
            raise Refused("the crawl has ended", "end")
        if state.bytes + len(response.body) > limits.max_bytes:
            state.end("max_bytes")
            raise Refused("max_bytes is reached", "limit")
        state.bytes += len(response.body)
        request.meta.pop("place", None)  # a redirect's or an earlier try's
        exchange = _exchange(request, response)
        request.meta["received"] = (exchange.time, len(exchange.body), exchange.sha256)
        if self._kept(request, response):
            try:
                request.meta["place"] = state.archive.add(exchange)
            except OSError as error:
                state.end("failed", f"The archive could not be written: {error.strerror}")
                raise Refused("the archive could not be written", "end") from error
        return response

    def _kept(self, request: Request, response: Response) -> bool:
        wanted = self._state.settings.content_types
        if not wanted or request.meta.get("kind") == "robots" or not 200 <= response.status < 300:
            return True
        found = content_type(response)
        return found in wanted or f"{found.split('/', 1)[0]}/*" in wanted


def content_type(response: Response) -> str:
    """The media type of *response* without its parameters, lower case; empty where it names none."""
    raw = response.headers.get("Content-Type") or b""
    return raw.decode("latin-1").split(";", 1)[0].strip().lower()


def _exchange(request: Request, response: Response) -> Exchange:
    host = urlsplit(request.url).netloc.rpartition("@")[2]
    sent = (("Host", host), *_lines(request.headers))
    address = None if response.ip_address is None else str(response.ip_address)
    url = request.url.split("#", 1)[0]
    received = _lines(response.headers)
    return Exchange(url, request.method, sent, response.status, received, response.body, address, datetime.now(UTC))


def _lines(headers: ScrapyHeaders) -> Headers:
    return tuple(
        (name.decode("latin-1"), value.decode("latin-1")) for name in headers for value in headers.getlist(name)
    )
