"""What each kind becomes on a machine: goldens, and the programs' own models accept their settings."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from images.collector.settings import Settings as CollectorSettings
from images.crawler.settings import CrawlSettings
from images.transfer.settings import TransferSettings
from spawners.plan import LocalPlace, LocalPlan, Tools
from tests.unit.spawners.worlds import KINDS, launch, world

DATA = Path(__file__).parents[3] / "data" / "plans"
PLACE = LocalPlace(
    tools=Tools(python=Path("/py/bin/python"), rclone=Path("/py/bin/rclone"), code_server=("/cs/bin/code-server",)),
    folder=Path("/state/workloads/physics/owner/one"),
    home=Path("/state/homes/physics/owner"),
    address="127.20.0.2",
    shared_folder=Path("/state/shared/physics"),
)
CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "notebook": ("physics-member", "notebook", {"size": "large"}),
    "ide": ("physics-member", "vscode", {}),
    "app": ("physics-member", "own-app", {"command": "python -m http.server --bind 127.0.0.1 {port}"}),
    "collector-ftp": ("tenant-physics", "upload", {"remote": "data", "folder": "microscope/raw", "max_file_gib": 2}),
    "collector-sftp": ("tenant-physics", "upload", {"remote": "data", "folder": "x", "protocol": "sftp"}),
    "crawler": (
        "tenant-physics",
        "crawl",
        {"start_urls": ["https://example.org/a"], "remote": "data", "cron": "30 2 * * 1", "timezone": "Asia/Tokyo"},
    ),
    "transfer": (
        "tenant-physics",
        "transfer",
        {"source": "data:raw", "destination": "shared:copies", "dry_run": "first"},
    ),
    "transfer-rsync": (
        "tenant-physics",
        "transfer",
        {"source": "shared:a", "destination": "shared:b", "tool": "rsync"},
    ),
}


def plan_of(case: str) -> LocalPlan:
    owner, profile, options = CASES[case]
    workload = launch(owner, profile, options)
    here = world()
    return KINDS[workload.kind].local(workload, here.tenants["physics"], here.site, PLACE)


@pytest.mark.parametrize("case", CASES)
def test_plan_is_the_golden_one(case: str) -> None:
    text = json.dumps(plan_of(case).model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"
    golden = DATA / f"{case}.json"
    if os.environ.get("UPDATE_GOLDENS"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith(("collector", "crawler", "transfer"))])
def test_the_program_takes_its_settings(case: str) -> None:
    plan = plan_of(case)
    model = {"collector": CollectorSettings, "crawler": CrawlSettings, "transfer": TransferSettings}[case.split("-")[0]]
    run = {"run_id": "20261121T101500Z", "run_dir": "/state/runs/20261121T101500Z"} if plan.mode != "keep" else {}
    salvage = {"salvage_dirs": ["/state/runs/earlier"]} if plan.salvage else {}
    assert model.model_validate({**(plan.settings or {}), **run, **salvage})


@pytest.mark.parametrize("case", CASES)
def test_no_plan_holds_a_secret_or_a_shell(case: str) -> None:
    plan = plan_of(case)
    words = " ".join(plan.argv)
    assert "sh -c" not in words
    assert "secret_access_key" not in plan.model_dump_json()
