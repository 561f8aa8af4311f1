"""A run as a Pod has it: named, given its folder, and told at its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from images.lib.run import JOB, MESSAGE_LIMIT, run_id, run_id_of_job, summary
from tests.images.transfer.running import wait_for

REPOSITORY = Path(__file__).parents[3]
PROGRAM = """
import json, os, pathlib, signal, sys
settings = json.loads(pathlib.Path(sys.argv[1]).read_text())
folder = pathlib.Path(settings["run_dir"])
if settings.get("wait"):
    signal.signal(signal.SIGTERM, lambda *_: (folder / "told").touch() or sys.exit(143))
    (folder / "waits").touch()
    signal.pause()
if settings.get("die"):
    os.kill(os.getpid(), signal.SIGKILL)
result = {"outcome": "ok", "message": settings["run_id"], "counts": {"files": 3}}
(folder / "result.json").write_text(json.dumps(result))
print("done", file=sys.stderr)
sys.exit(settings.get("code", 0))
"""


class Run:
    """`python -P -m images.lib.run program settings runs`, with a termination message file as the kubelet mounts it."""

    def __init__(self, folder: Path, settings: Any) -> None:
        self.runs, self.message = folder / "runs", folder / "termination-log"
        self.message.touch()
        (folder / "program.py").write_text(PROGRAM)
        source = folder / "settings.json"
        source.write_text(settings if isinstance(settings, str) else json.dumps(settings))
        source.chmod(0o400)
        env = {
            **os.environ,
            "PYTHONPATH": f"{folder}{os.pathsep}{REPOSITORY}",
            "TENANTHUB_TERMINATION_LOG": str(self.message),
        }
        argv = [sys.executable, "-P", "-m", "images.lib.run", "program", str(source), str(self.runs)]
        self.inode = self.message.stat().st_ino
        self.process = subprocess.Popen(argv, env=env, stderr=subprocess.PIPE, text=True)

    def end(self) -> tuple[int, str]:
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said

    def file(self, name: str) -> Path | None:
        return next(iter(self.runs.glob(f"*/{name}")), None)


def test_a_run_is_named_and_told(tmp_path: Path) -> None:
    run = Run(tmp_path, {"name": "x", "code": 1})
    assert run.end() == (1, "done\n")
    told = json.loads(run.message.read_text())
    assert (told["outcome"], told["counts"]) == ("ok", {"files": 3})
    assert told["message"] == told["run_id"]  # the program was given the same
    (folder,) = run.runs.iterdir()
    assert folder.name == told["run_id"] and folder.stat().st_mode & 0o777 == 0o700
    assert json.loads((folder / "settings.json").read_text())["name"] == "x"
    assert datetime.fromisoformat(told["started"]) <= datetime.fromisoformat(told["ended"])
    assert run.message.stat().st_ino == run.inode  # written in place: a rename over a mounted file fails


def test_a_stop_reaches_the_program(tmp_path: Path) -> None:
    run = Run(tmp_path, {"wait": True})
    wait_for(lambda: run.file("waits"), "the program waits")
    run.process.send_signal(signal.SIGTERM)
    assert run.end()[0] == 143
    assert run.file("told")
    assert run.message.read_text() == ""  # the kubelet takes the log's last lines then


def test_a_program_that_is_killed(tmp_path: Path) -> None:
    run = Run(tmp_path, {"die": True})
    assert run.end()[0] == 137
    assert run.message.read_text() == ""


@pytest.mark.parametrize("settings", ["no JSON", "[]"])
def test_settings_that_cannot_be_read(tmp_path: Path, settings: str) -> None:
    run = Run(tmp_path, settings)
    code, said = run.end()
    assert code == 2
    assert said.count("\n") == 1 and "settings.json" in said


@pytest.mark.parametrize(
    "result",
    [
        {"outcome": "ok", "message": "fine", "counts": {"n": 1}},
        {"outcome": "ok", "message": "fine", "counts": {f"n{number}": 1 for number in range(1000)}},
        {"outcome": "failed", "message": "日本語" * 2000, "counts": {}},
        {"outcome": "x" * 9000, "message": "y" * 9000},
        None,
        "text",
    ],
)
def test_the_summary_always_fits_and_is_json(result: Any) -> None:
    text = summary(result, {"run_id": "20261121T020005Z-x7k2p"})
    assert len(text) <= MESSAGE_LIMIT
    told = json.loads(text)
    assert told["run_id"] == "20261121T020005Z-x7k2p"
    if isinstance(result, dict) and len(result["outcome"]) < 20:
        assert told["outcome"] == result["outcome"]
        assert result["message"].startswith(told["message"]) and told["message"]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("news--jane-29384-x7k2p", "20261121T020005Z-x7k2p"),
        ("laptop", "20261121T020005Z-laptop"),
        ("host.example.org", "20261121T020005Z"),
        ("", "20261121T020005Z"),
    ],
)
def test_run_ids(host: str, expected: str) -> None:
    assert run_id(datetime(2026, 11, 21, 2, 0, 5, tzinfo=UTC), host) == expected


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        ("news-29920935", "20261121T101500Z-29920935"),  # of a CronJob: the minute that it was due
        ("copy--jane-6a601234", "20260722T004332Z-6a601234"),
        ("copy-69206031", "20251121T125057Z-69206031"),  # only digits, and seconds all the same
        ("news-m6a601234", "20260722T004332Z-m6a601234"),  # by hand
        ("news-by-hand", None),
        ("news", None),
        ("news-299209351", None),
    ],
)
def test_the_run_of_a_job_is_known_by_the_jobs_name(job: str, expected: str | None) -> None:
    assert run_id_of_job(job) == expected


def test_every_try_of_a_job_has_the_same_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(JOB, "news-29920935")
    names = []
    for number in range(2):  # two Pods: each has a folder of its own, and calls its run by the same name
        settings, runs = tmp_path / f"{number}.json", tmp_path / f"runs{number}"
        settings.write_text("{}")
        subprocess.run([sys.executable, "-m", "images.lib.run", "this", str(settings), str(runs)], check=False)
        names += [path.name for path in runs.iterdir()]
    assert names == ["20261121T101500Z-29920935"] * 2
