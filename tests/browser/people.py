"""People at a real Chromium: what they click, and what their browsers complained about."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    Playwright,
    Request,
    Response,
    expect,
    sync_playwright,
)

from tests.embedded.harness import Hub

ARGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
"""No sandbox: CI runs as root. The rest keeps Chromium from asking the world for anything."""
OWN_PATHS = re.compile(r"https?://[^/]+/(hub|services/portal)(/|$)")
"""Our pages and the hub's. What runs inside a workload (JupyterLab, an app) is not ours to judge."""
ALLOWED = (
    # A poll or the stream of a start is cut off when the page is left: what a browser does, not a mistake of a page.
    (r"^request failed: .* net::ERR_ABORTED$", "the page was left while it asked"),
    # While a schedule is typed, the next question takes the place of the one before (hx-sync). htmx logs this name at
    # the end of such a request, and a second line with another name where a request went wrong.
    (r"^console error: .*/htmx\.min\.js htmx:(afterRequest|sendAbort), ", "a newer question took its place"),
    # On a cluster the tests open the proxy's address by plain HTTP; a site has TLS in front of it.
    (r"Cross-Origin-Opener-Policy header has been ignored, because the URL's origin was untrustworthy", "no TLS there"),
)
"""What is no complaint of a user's: a pattern and why."""
WATCH = """
selector => {
  const note = () => {
    const texts = JSON.parse(sessionStorage.getItem(selector) || "[]");
    for (const found of document.querySelectorAll(selector)) {
      const text = found.textContent.replace(/\\s+/g, " ").trim();
      if (text && !texts.includes(text)) texts.push(text);
    }
    sessionStorage.setItem(selector, JSON.stringify(texts));
  };
  new MutationObserver(note).observe(document, { subtree: true, childList: true, characterData: true });
}
"""
"""Runs in the page. The session's storage outlives the page that a start is left by."""
PATIENCE_MS = 60_000
"""How long a page may take. A safety net on a busy machine, no expectation."""


def launch(playwright: Playwright, executable: str) -> Browser:
    """A headless Chromium."""
    expect.set_options(timeout=PATIENCE_MS)
    return playwright.chromium.launch(executable_path=executable, args=list(ARGS))


@contextmanager
def browsing(executable: str) -> Iterator[Browser]:
    """A headless Chromium; the same one for all who ask while it is there.

    Playwright's synchronous interface can be started once in a thread, and the tests of two folders ask for it.
    """
    if _running:
        yield _running[0]
        return
    with sync_playwright() as playwright:
        _running.append(launch(playwright, executable))
        try:
            yield _running[0]
        finally:
            _running.pop().close()


_running: list[Browser] = []


class Person:
    """One account at one browser window. Every error that our pages give the browser is in `complaints`."""

    def __init__(self, hub: Hub, context: BrowserContext, name: str) -> None:
        self.hub = hub
        self.context = context
        self.name = name
        self.complaints: list[str] = []
        self._allowed: list[str] = [pattern for pattern, _ in ALLOWED]
        context.set_default_timeout(PATIENCE_MS)
        context.on("console", self._heard)
        context.on("weberror", lambda error: self._complain(f"error in a script: {error.error}", error.page))
        context.on("requestfailed", self._failed)
        context.on("response", self._answered)
        self.page = context.new_page()

    # -- what the browser complains about ------------------------------------------------------------------------

    @contextmanager
    def may(self, pattern: str) -> Iterator[None]:
        """Within: complaints that match *pattern* are what the test is about."""
        self._allowed.append(pattern)
        try:
            yield
            self.page.wait_for_timeout(0)  # events that have arrived are heard now, while they are allowed
        finally:
            self._allowed.remove(pattern)

    def watch(self, selector: str) -> None:
        """From the next page on, remember every text that *selector* shows: what comes and goes is seen for certain."""
        self.page.add_init_script(f"({WATCH})({selector!r})")

    def shown(self, selector: str) -> list[str]:
        """The texts that *selector* has shown since it is watched, in their order."""
        texts: list[str] = self.page.evaluate("key => JSON.parse(sessionStorage.getItem(key) || '[]')", selector)
        return texts

    def _complain(self, text: str, page: Page | None) -> None:
        if page is not None and OWN_PATHS.match(page.url) and not any(re.search(p, text) for p in self._allowed):
            self.complaints.append(f"{text} (on {page.url})")

    def _heard(self, message: ConsoleMessage) -> None:
        # A request that failed is heard twice; the request itself says which it was.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self._complain(f"console error: {message.location.get('url', '')} {message.text}", message.page)

    def _failed(self, request: Request) -> None:
        if OWN_PATHS.match(request.url):
            self._complain(f"request failed: {request.method} {request.url} {request.failure}", _page_of(request))

    def _answered(self, response: Response) -> None:
        if response.status >= 400 and OWN_PATHS.match(response.url):
            request = response.request
            self._complain(f"answer {response.status}: {request.method} {response.url}", _page_of(request))

    # -- what people do ------------------------------------------------------------------------------------------

    def go(self, path: str = "/services/portal/") -> Page:
        self.page.goto(f"{self.hub.url}{path}")
        return self.page

    def sign_in(self, password: str | None = None) -> Page:
        """Fill the sign-in form that any page leads to."""
        page = self.go()
        page.get_by_label("Username").fill(self.name)
        page.get_by_label("Password").fill(password or self.hub.account_password(self.name))
        page.get_by_role("button", name="Sign in").click()
        return page

    def home(self) -> Page:
        page = self.go()
        expect(page.get_by_role("heading", name="Your groups")).to_be_visible()
        return page

    def card(self, title: str, tenant: str = "Physics") -> Locator:
        """The card of a profile in the tenant's part of the home page."""
        return self.tenant(tenant).get_by_role("listitem").filter(has=self.page.get_by_role("heading", name=title))

    def tenant(self, title: str) -> Locator:
        return self.page.get_by_role("region", name=title)

    def choose(self, title: str, display_name: str, tenant: str = "Physics") -> Page:
        """Open a card's form and give the workload a name."""
        self.home()
        self.card(title, tenant).get_by_role("link").click()
        self.page.get_by_label("Name", exact=True).fill(display_name)
        return self.page

    def start(self) -> Page:
        self.page.get_by_role("button", name="Start", exact=True).click()
        return self.page

    def workload(self, display_name: str, tenant: str = "Physics") -> Locator:
        """The workload's row on the home page."""
        return self.tenant(tenant).get_by_role("listitem").filter(has_text=display_name)

    def stop(self) -> None:
        """On the page of a workload that runs."""
        self.page.get_by_role("link", name="Stop …").click()
        self.page.get_by_role("button", name="Stop", exact=True).click()
        expect(self.status()).to_contain_text("Stopped")

    def status(self) -> Locator:
        return self.page.locator(".status")

    def panel(self, title: str) -> Locator:
        return self.page.get_by_role("region", name=title, exact=True)

    def new_notebook(self) -> Locator:
        """In JupyterLab's launcher: a new notebook whose kernel is up; the text of its first cell, in focus."""
        self.page.get_by_text("Python 3 (ipykernel)").first.click()
        # Before the kernel is up the cell is drawn once more, and would lose what was typed.
        expect(self.page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible()
        cell = self.page.locator(".jp-Notebook .jp-Cell .cm-content").first
        cell.click()
        return cell

    def rows(self, panel: str) -> dict[str, str]:
        """Label and value of each row of a panel."""
        pairs: list[list[str]] = self.panel(panel).evaluate(
            """panel => [...panel.querySelectorAll("dl.rows > div")].map(row => [
                row.querySelector("dt").textContent.trim(),
                (row.querySelector("dd code") || row.querySelector("dd")).textContent.trim(),
            ])"""
        )
        return {pair[0]: pair[1] for pair in pairs}

    def name_in_url(self) -> str:
        """The workload's own name, on its page."""
        self.page.wait_for_url("**/services/portal/w/**")
        return self.page.url.partition("?")[0].rpartition("/")[2]

    def mark(self) -> None:
        """Remember this very document; `same_document` then says that nothing has loaded the page again."""
        self.page.evaluate("window.marked = true")

    def same_document(self) -> bool:
        same: bool = self.page.evaluate("window.marked === true")
        return same

    def all_text(self) -> str:
        """Title and body in lower case, with what a person does not see: attributes, addresses, hidden parts.

        Not the head: htmx' own settings there have words of their own (historyEnabled).
        """
        text: str = self.page.evaluate("document.title + document.body.outerHTML")
        return text.lower()

    def keep_evidence(self, folder: Path, stem: str) -> list[Path]:
        """What the window shows, as a picture and as HTML."""
        folder.mkdir(parents=True, exist_ok=True)
        made = []
        for number, page in enumerate(self.context.pages):
            base = folder / f"{stem}-{number}"
            picture, html = base.with_suffix(".png"), base.with_suffix(".html")
            page.screenshot(path=picture, full_page=True, timeout=10_000)
            html.write_text(f"<!-- {page.url} -->\n{page.content()}")
            made += [picture, html]
        return made


def _page_of(request: Request) -> Page | None:
    try:
        return request.frame.page
    except Exception:  # the frame is gone, or the request is a navigation whose page is not there yet
        return None


def new_context(browser: Browser, **options: Any) -> BrowserContext:
    """A browser window of its own, as of one person."""
    return browser.new_context(**{"locale": "en-GB", "timezone_id": "UTC", **options})
