"""Runs Scrapy once, in this process, until the site is done, a limit is reached or we are told to stop."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

from scrapy.crawler import CrawlerRunner
from scrapy.settings import Settings
from scrapy.utils.defer import deferred_from_coro
from scrapy.utils.reactor import install_reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from images.crawler.guard import GuardedResolver
from images.crawler.reasons import Refused
from images.crawler.settings import CrawlSettings
from images.crawler.spider import ArchiveSpider
from images.crawler.state import CrawlState
from images.lib.files import replace_json

log = logging.getLogger("crawler")

TICK_S = 0.25  # how often limits of time and the stop flag are looked at
PROGRESS_S = 1.0  # progress.json is replaced at most this often
END_GRACE_S = 3.0  # how long answers that are under way may still take once the crawl ends


def scrapy_settings(settings: CrawlSettings) -> Settings:
    """Scrapy's settings for *settings*: nothing listens, nothing is read from a project folder or the environment."""
    middlewares = "scrapy.downloadermiddlewares"
    return Settings(
        {
            "TWISTED_REACTOR": "twisted.internet.asyncioreactor.AsyncioSelectorReactor",
            "TELNETCONSOLE_ENABLED": False,
            "REMOTE_CONTROL_ENABLED": False,
            "LOG_ENABLED": False,  # our own handler is in place
            "EXTENSIONS": {
                f"scrapy.extensions.{name}": None
                for name in (
                    "telnet.TelnetConsole",
                    "memusage.MemoryUsage",
                    "memdebug.MemoryDebugger",
                    "closespider.CloseSpider",
                    "feedexport.FeedExporter",
                    "logstats.LogStats",
                    "spiderstate.SpiderState",
                    "throttle.AutoThrottle",
                    "remote_control.RemoteControl",
                )
            },
            "DOWNLOAD_HANDLERS": {"file": None, "ftp": None, "s3": None, "data": None},
            "DOWNLOADER_MIDDLEWARES": {
                f"{middlewares}.offsite.OffsiteMiddleware": None,
                f"{middlewares}.robotstxt.RobotsTxtMiddleware": None,
                f"{middlewares}.httpauth.HttpAuthMiddleware": None,
                # A proxy from the environment would connect for us, past the guarded resolver.
                f"{middlewares}.httpproxy.HttpProxyMiddleware": None,
                f"{middlewares}.httpcache.HttpCacheMiddleware": None,
                "images.crawler.middlewares.FenceMiddleware": 50,
                "images.crawler.middlewares.RobotsMiddleware": 100,
                "images.crawler.middlewares.BackoffMiddleware": 940,
                "images.crawler.middlewares.ArchiveMiddleware": 950,
            },
            "SPIDER_MIDDLEWARES": {"scrapy.spidermiddlewares.depth.DepthMiddleware": None},
            "HTTPPROXY_ENABLED": False,
            "ROBOTSTXT_OBEY": False,  # RobotsMiddleware does
            "RETRY_GIVE_UP_LOG_LEVEL": "DEBUG",  # the spider tells it in plainer words
            "HTTPERROR_ALLOW_ALL": True,
            "SCHEDULER_MEMORY_QUEUE": "scrapy.squeues.FifoMemoryQueue",  # breadth first
            "USER_AGENT": settings.user_agent,
            "DEFAULT_REQUEST_HEADERS": {"Accept": "*/*"},
            "DOWNLOAD_DELAY": settings.delay_s,
            "DOWNLOAD_DELAY_JITTER": 0.0,  # never sooner than delay_s
            "CONCURRENT_REQUESTS_PER_DOMAIN": settings.concurrency_per_host,
            "DOWNLOAD_TIMEOUT": settings.request_timeout_s,
            "DOWNLOAD_MAXSIZE": min(settings.max_response_bytes, settings.max_bytes),
            "DOWNLOAD_WARNSIZE": 0,
            "DOWNLOAD_VERIFY_CERTIFICATES": settings.verify_tls,
        }
    )


class _Run:
    """One crawl in the reactor. `begin` once, then `reactor.run()` returns when it is over."""

    def __init__(self, state: CrawlState, progress: Path, stopping: Callable[[], bool]) -> None:
        self._state, self._progress, self._stopping = state, progress, stopping
        self._deadline = monotonic() + state.settings.time_limit_s
        self._written = 0.0
        self._crawler: Any = None
        self._ending = False

    def begin(self, reactor: Any) -> None:
        self._reactor = reactor
        guard = GuardedResolver(reactor.nameResolver, self._state.settings.allow_private)
        reactor.installNameResolver(guard)
        runner = CrawlerRunner(scrapy_settings(self._state.settings))
        self._crawler = runner.create_crawler(ArchiveSpider)
        self._state.on_end = lambda: reactor.callLater(0, self._end)
        self._ticking = LoopingCall(self._tick)
        self._ticking.start(TICK_S, now=False)
        crawl: Deferred[None] = runner.crawl(self._crawler, state=self._state, guard=guard)
        crawl.addCallbacks(lambda _: self._state.end("finished"), self._broke)
        crawl.addBoth(lambda _: self._leave())

    def _broke(self, failure: Failure) -> None:
        log.error("the crawl broke: %s", failure.getErrorMessage())
        self._state.end("failed", f"The crawl broke: {failure.getErrorMessage()}")

    def _tick(self) -> None:
        if self._stopping():
            self._state.end("stopped")
        elif monotonic() >= self._deadline:
            self._state.end("time_limit")
        engine = self._crawler._engine  # the public attribute raises before the crawl has an engine
        scheduler = engine and engine._slot and engine._slot.scheduler
        self._state.queued = len(scheduler) if scheduler else 0
        if monotonic() - self._written >= PROGRESS_S:
            self._written = monotonic()
            replace_json(self._progress, self._state.progress())

    def _end(self) -> None:
        """Let go of what waits for its turn, give what is under way a moment, and go.

        Scrapy's own stop waits for every request that it has taken on, which at a Crawl-delay of minutes takes an
        hour. Nothing is lost by leaving early: what was answered is written at once, in this thread.
        """
        if self._ending:
            return
        self._ending = True
        engine = self._crawler._engine
        if engine is not None:
            for slot in engine.downloader.slots.values():
                waiting, _ = list(slot.queue), slot.queue.clear()
                for _request, answer in waiting:
                    answer.errback(Refused("the crawl has ended", "end"))
            stop = deferred_from_coro(self._crawler.stop_async())
            stop.addErrback(lambda failure: log.debug("stop: %s", failure.getErrorMessage()))
        self._reactor.callLater(END_GRACE_S, self._leave)

    def _leave(self) -> None:
        if self._ticking.running:
            self._ticking.stop()
        # RuntimeError: someone stopped it before us
        with contextlib.suppress(RuntimeError):
            self._reactor.stop()


def crawl(state: CrawlState, progress: Path, stopping: Callable[[], bool]) -> None:
    """Crawl until `state.reason` is set, replacing the JSON file *progress* as it goes. Once a process (one reactor).

    *stopping* is asked four times a second; once true, the crawl ends within END_GRACE_S.
    """
    install_reactor("twisted.internet.asyncioreactor.AsyncioSelectorReactor")
    from twisted.internet import reactor

    run = _Run(state, progress, stopping)
    loop: Any = reactor
    loop.callWhenRunning(run.begin, loop)
    loop.run(installSignalHandlers=False)
    state.end("failed", "The crawl ended without a reason")  # keeps an earlier one
    replace_json(progress, state.progress())
