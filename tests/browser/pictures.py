"""Takes the pictures of the README and the tutorial: a hub of its own, the day clicked in a real Chromium.

python -m tests.browser.pictures [folder]    (`make pictures`; the folder is docs/pictures unless named)
"""

from __future__ import annotations

import ftplib
import io
import re
import secrets
import socket
import struct
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from config.demo import write_demo
from tests.browser.people import Person, launch, new_context
from tests.embedded.harness import Hub
from tests.embedded.sites import PAGES, Site, web_site
from tests.tiers import chromium

TARGET = Path(__file__).parents[2] / "docs" / "pictures"
LARGEST_KB = 200
"""A README's pictures are loaded by everybody who looks at it."""
WINDOW = {"viewport": {"width": 1000, "height": 700}, "device_scale_factor": 1.1, "timezone_id": "Asia/Tokyo"}
PHONE = {
    "viewport": {"width": 360, "height": 740},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
    "timezone_id": "Asia/Tokyo",
}
CELL = """from math import sin
from IPython.display import SVG

wave = " ".join(f"{x},{60 - 50 * sin(x / 20)}" for x in range(300))
SVG(f'<svg xmlns="http://www.w3.org/2000/svg" height="120">'
    f'<path d="M {wave}" fill="none" stroke="teal"/></svg>')"""
NEWS = 30
"""Pages of the site that is crawled; each some kB, so that the counts look like those of a real one."""


class Camera:
    """Takes pictures of pages into a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def take(self, page: Page, name: str, *, height: int | None = None) -> None:
        """The top *height* CSS pixels of the page, or as much as the window shows."""
        page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
        page.mouse.move(0, 0)
        path = self.folder / f"{name}.png"
        size = page.viewport_size or {"width": 0, "height": 0}
        clip = {"x": 0, "y": 0, "width": size["width"], "height": height or size["height"]}
        page.screenshot(path=path, full_page=height is not None, clip=clip, animations="disabled")  # type: ignore[arg-type]
        kb = path.stat().st_size / 1000
        print(f"{name}.png: {kb:.0f} kB")
        if kb > LARGEST_KB:
            raise SystemExit(f"{path.name} has {kb:.0f} kB, more than {LARGEST_KB}")


@contextmanager
def hub_of_its_own() -> Iterator[Hub]:
    """The demo world as it is, in a folder that nobody minds to see in a picture."""
    with tempfile.TemporaryDirectory(prefix="tenanthub-") as folder:
        hub = Hub(Path(folder))
        write_demo(hub.world)
        network = next(number for number in range(20, 250, 2) if _is_free(f"127.{number}.0.2"))
        if network != 20:  # another hub on this machine has the demo's own addresses
            hub.edit_tenant("physics", lambda text: text.replace("127.20.", f"127.{network}."))
        try:
            yield hub.start()
        finally:
            hub.stop()


def _is_free(address: str) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((address, 2121))
        except OSError:
            return False
        return True


def main(folder: Path = TARGET) -> None:
    executable = chromium()
    if executable is None:
        raise SystemExit("there is no Chromium here (Debian: apt install chromium; or TENANTHUB_CHROMIUM=/path/to/it)")
    folder.mkdir(parents=True, exist_ok=True)
    camera = Camera(folder)
    fill_site()
    with hub_of_its_own() as hub, sync_playwright() as playwright, web_site() as site:
        browser = launch(playwright, executable)
        admin = _person(browser, hub, "physics-admin", WINDOW)
        member = _person(browser, hub, "physics-member", WINDOW)
        collector(admin, camera)
        crawl(admin, camera, site)
        notebook(member, camera)
        transfer(member, camera)
        homes(browser, member, camera)
        complaints = admin.complaints + member.complaints
        browser.close()
    if complaints:
        raise SystemExit("\n".join(["the pages gave the browser errors:", *complaints]))


def _person(browser: Browser, hub: Hub, name: str, window: dict[str, Any], **options: Any) -> Person:
    person = Person(hub, new_context(browser, **{**window, **options}), name)
    person.sign_in()
    expect(person.page.get_by_role("heading", name="Your groups")).to_be_visible()
    return person


def fill_site() -> None:
    """News on the test's web site."""
    links = "".join(f"<li><a href=/news/{number}>News {number}</a>" for number in range(NEWS))
    PAGES["/"] = ("text/html", f"<title>News of the institute</title><ul>{links}</ul> <a href=/private/x>staff</a>")
    for number in range(NEWS):
        PAGES[f"/news/{number}"] = (
            "text/html",
            f"<title>News {number}</title><p>{secrets.token_hex(4000 + 150 * number)}",
        )


def collector(person: Person, camera: Camera) -> None:
    """An instrument's address with some uploads, one of them broken off."""
    page = person.choose("Instrument upload", "Electron microscope")
    page.get_by_label("Remote").select_option("data")
    page.get_by_label("Folder").fill("microscope/raw")
    person.start()
    expect(person.status()).to_contain_text("Running")
    where, name = person.rows("Address"), person.name_in_url()
    with ftplib.FTP() as ftp:
        ftp.connect(where["Address"], int(where["Port"]), timeout=30)
        ftp.login(where["User"], person.hub.password("tenant-physics", name))
        for number, size in enumerate((4_194_304, 3_870_000, 4_100_000, 52_000), 1):
            ftp.storbinary(f"STOR sample-{number:04}.tif", io.BytesIO(secrets.token_bytes(size)))
        ftp.voidcmd("TYPE I")
        channel = ftp.transfercmd("STOR sample-0005.tif")
        channel.sendall(bytes(1_300_000))
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        channel.close()
        with suppress(ftplib.error_temp):
            ftp.voidresp()
    expect(person.panel("Last uploads").get_by_role("row")).to_have_count(6)
    camera.take(page, "collector", height=_below(person.panel("Last uploads")))


def crawl(person: Person, camera: Camera, site: Site) -> None:
    """The form while a schedule is typed; then a crawl that has run."""
    page = person.choose("Crawl", "News of the institute · 研究所ニュース")
    page.get_by_label("Start URLs").fill("https://www.example.org/news/\nhttps://www.example.org/press/")
    page.get_by_label("Allowed domains").fill("example.org")
    page.get_by_label("When").fill("30 3 * * 1")
    page.get_by_label("Time zone").fill("Asia/Tokyo")
    expect(page.locator(".preview")).to_contain_text("Monday")
    expect(page.locator(".preview li")).to_have_count(5)
    page.wait_for_load_state("networkidle")
    camera.take(page, "form-crawl", height=_below(page.locator(".mb-3", has=page.get_by_label("Time zone")).last))
    page.get_by_label("Start URLs").fill(f"{site.url}/")
    page.get_by_label("Allowed domains").fill("127.0.0.1")
    page.get_by_text("More", exact=True).click()
    page.get_by_label("Allow private addresses").check()
    page.get_by_label("Pause between requests").fill("0.1")
    person.start()
    expect(person.status()).to_contain_text("Waiting for its next run")
    for number in (1, 2):
        page.get_by_role("button", name="Run now").click()
        done = person.panel("Last runs").get_by_role("row").filter(has_text="Done")
        expect(done).to_have_count(number)
    person.go(page.url.removeprefix(person.hub.url).partition("?")[0])  # without the word that a run was asked for
    camera.take(page, "crawl", height=_below(person.panel("Last runs")))


def notebook(person: Person, camera: Camera) -> None:
    """A cell that has run."""
    page = person.choose("Notebook", "Laser study")
    person.start()
    page.wait_for_url(re.compile(r"/user/physics-member/[^/]+/lab"))
    page.get_by_role("button", name="No", exact=True).click()  # no news of JupyterLab's
    person.new_notebook()
    page.keyboard.insert_text(CELL)
    page.keyboard.press("Shift+Enter")
    expect(page.locator(".jp-OutputArea-output svg, .jp-OutputArea-output img").first).to_be_visible()
    page.keyboard.insert_text("6*7")
    page.keyboard.press("Shift+Enter")
    expect(page.locator(".jp-OutputArea-output").last).to_have_text("42")
    camera.take(page, "notebook")


def transfer(person: Person, camera: Camera) -> None:
    """A transfer in the middle of its work."""
    raw = person.hub.state / "shared" / "physics" / "laser" / "monday"
    raw.mkdir(parents=True)
    for number in range(24):
        (raw / f"frame-{number:03}.tif").write_bytes(secrets.token_bytes(1_000_000))
    page = person.choose("Transfer", "Frames of Monday")
    page.get_by_label("Source").fill("shared:laser/monday")
    page.get_by_label("Destination").fill("data:laser/monday")
    page.get_by_label("Dry run").select_option("first")
    page.get_by_text("More", exact=True).click()
    page.get_by_label("Speed at most").fill("2")
    person.start()
    bar = page.locator("progress[value]")
    expect(page.locator("main")).to_contain_text(re.compile(r"([3-9]\d) %"))
    expect(bar).to_be_visible()
    camera.take(page, "transfer", height=_below(person.panel("Last runs")))


def homes(browser: Browser, person: Person, camera: Camera) -> None:
    """The home page on a desk and on a phone, with one launch that failed."""
    page = person.choose("Own app", "Dashboard")
    page.get_by_label("Command").fill("python -c 'raise SystemExit(\"cannot read laser.csv\")' {port}")
    with person.may("^answer 422: POST"):
        person.start()
        expect(page.get_by_text("cannot read laser.csv").last).to_be_visible()
    person.home()
    expect(person.workload("Dashboard")).to_contain_text("Failed")
    camera.take(page, "home", height=_below(page.locator(".cards")))
    phone = _person(browser, person.hub, person.name, PHONE)
    camera.take(phone.page, "home-phone")


def _below(part: Locator) -> int:
    """Just below a part of the page, in CSS pixels from its top."""
    bottom: float = part.evaluate("one => one.getBoundingClientRect().bottom + scrollY")
    return round(bottom) + 10


if __name__ == "__main__":
    main(*(Path(word) for word in sys.argv[1:2]))
