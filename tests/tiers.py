"""The tiers of the tests, and what to do when this machine cannot carry one.

A test belongs to the tier that its folder names (tests/images, tests/embedded, tests/browser, tests/cluster); others
are unit tests. A test that lacks something (a program, a browser) says so with `need` and is skipped with that reason.
When its tier, or the part itself, is named in TENANTHUB_REQUIRE (comma separated), it fails instead; CI names all it
means to carry.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

TIERS: Mapping[str, str] = {
    "unit": "pure functions and single parts",
    "images": "the programs of images/, as processes",
    "embedded": "the whole embedded hub on real processes",
    "browser": "the pages in a real Chromium",
    "cluster": "a real Kubernetes on this machine",
}

OPTIONAL: Mapping[str, str] = {"crds": "the add-ons' own resource definitions, which no clone has"}
"""Parts that a machine may lack although it carries their tier; required only where TENANTHUB_REQUIRE names them."""


def tier_of(nodeid: str) -> str:
    """The tier of a test or test file by its pytest node id, e.g. `tests/browser/test_day.py::test_sign_in`."""
    parts = nodeid.split("::")[0].split("/")
    return parts[1] if len(parts) > 2 and parts[0] == "tests" and parts[1] in TIERS else "unit"


def required(environ: Mapping[str, str] | None = None) -> frozenset[str]:
    """The tiers and parts of TENANTHUB_REQUIRE: nothing of theirs may be skipped."""
    names = (os.environ if environ is None else environ).get("TENANTHUB_REQUIRE", "")
    return frozenset(name.strip() for name in names.split(",") if name.strip())


def need(tier: str, condition: object, reason: str) -> None:
    """Go on if the condition holds; else skip the test with the reason, or fail it where the tier is required."""
    __tracebackhide__ = True
    if condition:
        return
    if tier in required():
        pytest.fail(f"{tier} is required (TENANTHUB_REQUIRE), but {reason}", pytrace=False)
    pytest.skip(f"{tier}: {reason}" if tier in OPTIONAL else reason)


def optional(reason: str) -> bool:
    """Whether a test that was skipped for *reason* may be so in a tier that is required."""
    return reason.partition(":")[0] in OPTIONAL


def chromium() -> str | None:
    """The Chromium to drive: $TENANTHUB_CHROMIUM, the machine's, or one that Playwright has downloaded."""
    if named := os.environ.get("TENANTHUB_CHROMIUM"):
        return named if Path(named).exists() else None
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if found := shutil.which(name):
            return found
    downloads = Path.home() / ".cache" / "ms-playwright"
    return next((str(path) for path in sorted(downloads.glob("chromium-*/chrome-linux*/chrome"))), None)


def need_chromium() -> str:
    """The path of a Chromium; skips or fails like `need` where there is none."""
    found = chromium()
    need(
        "browser", found, "there is no Chromium here (Debian: apt install chromium; or TENANTHUB_CHROMIUM=/path/to/it)"
    )
    assert found
    return found
