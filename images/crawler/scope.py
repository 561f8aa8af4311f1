"""Where a crawl may go: one pure decision for each URL, asked for links, for redirects and for robots.txt alike."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from images.crawler.patterns import LONGEST_URL
from images.crawler.settings import CrawlSettings, host_within, normal_host


@dataclass(frozen=True)
class Scope:
    """The fence around a crawl: its domains, and the patterns that a followed link must match or miss."""

    domains: tuple[str, ...]
    include: tuple[re.Pattern[str], ...]
    exclude: tuple[re.Pattern[str], ...]

    @classmethod
    def of(cls, settings: CrawlSettings) -> Scope:
        """The scope that *settings* describe."""
        return cls(
            settings.allowed_domains,
            tuple(re.compile(pattern) for pattern in settings.include),
            tuple(re.compile(pattern) for pattern in settings.exclude),
        )

    def refusal(self, url: str) -> str | None:
        """Why *url* must not be requested by anyone for any reason, or None."""
        try:
            parts = urlsplit(url)
            host = normal_host(parts.hostname or "")
            _ = parts.port
        except ValueError:
            return "it is not a web address"
        if parts.scheme not in ("http", "https"):
            return f"{parts.scheme or 'an address without a scheme'} is not http or https"
        if parts.username is not None:
            return "it has a user name in it"
        if not any(host_within(host, domain) for domain in self.domains):
            return f"{host} is outside the allowed domains ({', '.join(self.domains)})"
        return None

    def follows(self, url: str) -> bool:
        """Whether a link to *url* is followed: inside the fence, not too long, and as include and exclude say."""
        if len(url) > LONGEST_URL or self.refusal(url) is not None:
            return False
        if any(pattern.search(url) for pattern in self.exclude):
            return False
        return not self.include or any(pattern.search(url) for pattern in self.include)
