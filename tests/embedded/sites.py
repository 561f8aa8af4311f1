"""A small web site to crawl, that remembers what was asked of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PAGES = {
    "/robots.txt": ("text/plain", "User-agent: *\nDisallow: /private/\n"),
    "/": ("text/html", "<title>Front</title><a href=/one>1</a> <a href=/private/x>secret</a> <a href=/slow>slow</a>"),
    "/one": ("text/html", "<title>One</title><a href=/two>2</a>"),
    "/two": ("text/html", "<title>Two</title>"),
    "/private/x": ("text/html", "<title>Private</title>"),
}


class Site:
    """`hold` makes /slow wait until `release` is set, so that a run lasts as long as a test wants."""

    def __init__(self, host: str) -> None:
        self.asked: list[str] = []
        self.release = threading.Event()
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append(self.path)
                if self.path == "/slow":
                    site.release.wait(120)
                kind, text = PAGES.get(self.path, ("text/html", "<title>Other</title>"))
                body = text.encode()
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Quiet: `asked` is the log."""

        self.server = ThreadingHTTPServer((host, 0), Handler)
        self.url = f"http://{host}:{self.server.server_address[1]}"


@contextmanager
def web_site(*, hold: bool = False, host: str = "127.0.0.1") -> Iterator[Site]:
    """*host*: the IPv4 address that it listens at."""
    site = Site(host)
    if not hold:
        site.release.set()
    thread = threading.Thread(target=site.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        site.release.set()
        site.server.shutdown()
        site.server.server_close()
