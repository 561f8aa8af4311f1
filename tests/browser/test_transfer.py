"""A transfer: a dry run first, progress while it goes, and its outcome."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import expect

from tests.browser.people import Person
from tests.embedded.harness import Hub

Visit = Callable[..., Person]


def test_a_transfer_with_a_dry_run_first_shows_progress_and_outcome(visit: Visit, hub: Hub) -> None:
    raw = hub.state / "shared" / "physics" / "raw"
    raw.mkdir(parents=True)
    for number in range(3):
        (raw / f"frame-{number}.tif").write_bytes(secrets.token_bytes(2**21))
    person = visit("physics-member")
    page = person.choose("Transfer", "Frames of Monday")
    page.get_by_label("Source").fill("shared:raw")
    page.get_by_label("Destination").fill("data:frames")
    page.get_by_label("Dry run").select_option("first")
    page.get_by_text("More", exact=True).click()
    page.get_by_label("Speed at most").fill("1")  # 6 MiB at 1 MiB/s: it is seen while it goes
    person.watch("[aria-labelledby='h-progress'] .rows")
    person.start()
    row = person.panel("Last runs").get_by_role("row").nth(1)
    expect(row).to_contain_text("Done")
    expect(row).to_contain_text("6 MiB")
    told = person.shown("[aria-labelledby='h-progress'] .rows")
    assert any("of 6 MiB" in text for text in told), told
    expect(person.status()).to_contain_text("Finished")
    row.get_by_role("link", name="Log").click()
    log = page.get_by_role("region", name="Log of the run")
    expect(log).to_contain_text(
        re.compile("dry-run begins.*copying begins.*checking begins.*3 files verified", re.DOTALL)
    )
    copied = hub.objects() / "frames"
    assert _contents(copied) == _contents(raw)


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}
