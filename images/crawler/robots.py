"""What a site's robots.txt says to us, after RFC 9309, with Crawl-delay and Request-rate on top (pure)."""

from __future__ import annotations

from dataclasses import dataclass

from protego import Protego

MOST_BYTES = 512 * 1024  # RFC 9309 2.5: at least 500 KiB must be read; what lies behind is not
FRESH_S = 86_400.0  # RFC 9309 2.4: not to be kept for longer than a day


@dataclass(frozen=True)
class Robots:
    """The rules of one host and port. With *closed* nothing may be fetched, and that text says why."""

    rules: Protego | None = None
    delay_s: float = 0.0
    closed: str | None = None

    def refusal(self, url: str, product: str) -> str | None:
        """Why *url* must not be fetched by the crawler called *product*, or None."""
        if self.closed is not None:
            return self.closed
        if self.rules is not None and not self.rules.can_fetch(url, product):
            return "robots.txt forbids it"
        return None


def product_token(user_agent: str) -> str:
    """The name that robots.txt groups are matched with (RFC 9309 2.2.1): “TenantHub” of “TenantHub/1.0 (+mailto:…)”."""
    return user_agent.split("/", 1)[0].split(None, 1)[0]


def answered(status: int, body: bytes, product: str, max_delay_s: float) -> Robots:
    """The rules that follow from an answer to GET /robots.txt.

    2xx: what it says. 4xx: there are no rules. 429 and 5xx, and a redirect that led nowhere: the site could not tell,
    so nothing is fetched (RFC 9309 2.3.1.4). A Crawl-delay above *max_delay_s* is not cut short: the host is left out.
    """
    if status == 429 or status >= 500:
        return Robots(closed=f"robots.txt could not be had (HTTP {status}), so the site must be left alone (RFC 9309)")
    if 300 <= status < 400:
        return Robots(closed=f"robots.txt redirects (HTTP {status}) to no file, so the site is left alone")
    if status >= 400:
        return Robots()
    rules = Protego.parse(body[:MOST_BYTES].decode("utf-8", "replace").removeprefix("\ufeff"))
    delay = _delay(rules, product)
    if delay > max_delay_s:
        return Robots(
            closed=f"robots.txt asks for {delay:g} s between requests, more than max_crawl_delay_s ({max_delay_s:g})"
        )
    return Robots(rules, delay)


def unreachable(reason: str) -> Robots:
    """The rules of a host whose robots.txt could not be fetched at all: nothing may be (RFC 9309 2.3.1.4)."""
    return Robots(closed=f"robots.txt could not be had: {reason}")


def _delay(rules: Protego, product: str) -> float:
    """Seconds between two requests as the site asks: the larger of Crawl-delay and Request-rate, 0 without either."""
    rate = rules.request_rate(product)
    spacing = rate.seconds / rate.requests if rate is not None and rate.requests else 0.0
    return max(float(rules.crawl_delay(product) or 0.0), spacing)
