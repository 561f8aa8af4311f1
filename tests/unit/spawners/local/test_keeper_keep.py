"""Mode keep on real processes: killed, adopted, restarted, stopped."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from images.lib.files import replace_json
from spawners.local import process, runs
from tests.unit.spawners.local.keeping import PYTHON, SERVER, Kept, until


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    kept = Kept(tmp_path / "workload")
    yield kept
    kept.stop()


def serve(kept: Kept, program: str = SERVER) -> None:
    kept.plan("keep", program, ready_file="ready.json")


def test_it_serves_until_it_is_stopped(kept: Kept) -> None:
    serve(kept)
    keeper = kept.start()
    state = kept.phase("running")
    assert state.child is not None and process.alive(state.child)
    assert runs.keeper_alive(kept.folder)
    assert runs.start_keeper(kept.folder, PYTHON) == keeper  # asked again: the same one
    for path in (kept.folder.keeper, kept.folder.log, kept.folder.lock):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    kept.stop()
    assert not process.alive(keeper) and not process.alive(state.child)
    assert (kept.state().phase, kept.state().child) == ("stopped", None)
    assert "bye" in kept.log()
    assert not (kept.folder.path / "ready.json").exists()


def test_a_second_keeper_leaves_at_once(kept: Kept) -> None:
    serve(kept)
    keeper = kept.start()
    child = kept.phase("running").child
    command = [str(PYTHON), "-m", "spawners.local.keeper", str(kept.folder.path)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (second.returncode, second.stdout, second.stderr) == (3, "", "")
    assert (kept.state().keeper, kept.state().child) == (keeper, child)


def test_the_keeper_is_killed_and_the_next_adopts_the_child(kept: Kept) -> None:
    serve(kept)
    first = kept.start()
    child = kept.phase("running").child
    kept.kill(first)
    assert child is not None and process.alive(child)
    assert not runs.keeper_alive(kept.folder)
    second = kept.start()
    assert second != first
    assert kept.phase("running").child == child
    until(lambda: "goes on with process" in kept.log(), "its word")
    assert kept.log().count("up ") == 1  # started once
    kept.kill(child)  # the adopted child is watched as an own one
    again = until(lambda: (s := kept.state()).phase == "running" and s.child != child and s, "another child")
    assert again and again.restarts == 1


def test_the_child_is_killed_and_started_again(kept: Kept) -> None:
    serve(kept)
    kept.start()
    child = kept.phase("running").child
    kept.kill(child)
    assert "killed by SIGKILL" in kept.phase("backoff").message
    state = kept.phase("running")
    assert state.child != child and state.restarts == 1 and state.message == ""


def test_both_are_killed(kept: Kept) -> None:
    serve(kept)
    first = kept.start()
    child = kept.phase("running").child
    kept.kill(first)
    kept.kill(child)
    assert (kept.folder.path / "ready.json").exists()  # stale: it must not count
    kept.start()
    state = until(lambda: (s := kept.state()).phase == "running" and s.child != child and s, "a new child")
    assert state and state.child and process.alive(state.child)


def test_a_child_that_no_keeper_could_note_is_not_doubled(kept: Kept) -> None:
    """Killed between the start of the child and the note of it; and: keeper.json removed before a fresh start."""
    serve(kept)
    first = kept.start()
    child = kept.phase("running").child
    kept.kill(first)
    kept.folder.keeper.unlink()
    kept.start()
    state = kept.phase("running")
    assert child is not None and not process.alive(child)
    assert state.child is not None and process.alive(state.child)


def test_a_child_of_other_settings_is_replaced(kept: Kept) -> None:
    serve(kept)
    first = kept.start()
    child = kept.phase("running").child
    kept.kill(first)
    replace_json(kept.folder.settings, {"other": True})
    kept.start()
    state = until(lambda: (s := kept.state()).phase == "running" and s.child != child and s, "a new child")
    assert state and child and not process.alive(child)


def test_what_the_child_left_behind_ends_before_the_next_start(kept: Kept) -> None:
    """A grandchild may hold the port."""
    serve(kept, "import subprocess; print('left', subprocess.Popen(['sleep', '60']).pid, flush=True)\n" + SERVER)
    kept.start()
    child = kept.phase("running").child
    grandchild = process.reference(int(kept.log().split("left ")[1].split()[0]))
    kept.kill(child)
    assert until(lambda: (s := kept.state()).child not in (None, child) and s, "the next child")
    assert grandchild is not None and not process.alive(grandchild)


def test_wrong_settings_are_not_tried_again_until_told(kept: Kept) -> None:
    program = "import sys; print('the port must be a number', file=sys.stderr); sys.exit(2)"
    kept.plan("keep", program, ready_file="ready.json", settings={})
    keeper = kept.start()
    state = kept.phase("failed")
    assert (state.message, state.restarts, state.child) == ("the port must be a number", 0, None)
    serve(kept)
    runs.reload_keeper(kept.folder)
    assert kept.phase("running").keeper == keeper


def test_a_program_without_settings_is_started_again_whatever_its_exit_code(kept: Kept) -> None:
    """A crash of a Go program (the object store) ends with 2 as well."""
    serve(kept, "import pathlib, sys; p = pathlib.Path('once'); p.exists() or sys.exit(p.touch() or 2)\n" + SERVER)
    kept.start()
    assert kept.phase("running").restarts == 1


def test_a_changed_plan_is_taken_over_on_request(kept: Kept) -> None:
    serve(kept)
    kept.start()
    child = kept.phase("running").child
    runs.reload_keeper(kept.folder)  # nothing has changed: left alone
    serve(kept, SERVER.replace('"up"', '"anew"'))
    runs.reload_keeper(kept.folder)
    state = until(lambda: (s := kept.state()).phase == "running" and s.child != child and s, "a new child")
    assert state and state.restarts == 0
    assert kept.log().count("up ") == 1 and "anew" in kept.log()


def test_a_program_that_is_not_there(kept: Kept) -> None:
    serve(kept)
    raw = kept.folder.plan.read_text().replace(str(PYTHON), "/no/such/program")
    kept.folder.plan.write_text(raw)
    kept.start()
    assert kept.phase("backoff").message == "cannot run /no/such/program: No such file or directory"


def test_a_missing_plan(kept: Kept) -> None:
    keeper = runs.start_keeper(kept.folder, PYTHON)
    until(lambda: not process.alive(keeper), "its end")
    assert process.exit_code(keeper) == 2
    state = kept.phase("failed")
    assert state.message.startswith("cannot read ") and state.message.endswith("plan.json: No such file or directory")
    assert "Traceback" not in kept.log()


def test_the_hubs_secrets_do_not_reach_the_child(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "very-secret")
    kept.plan("keep", "import os; print(sorted(os.environ.items()), flush=True)\n" + SERVER, env={"EXTRA": "yes"})
    keeper = kept.start()
    kept.phase("running")
    assert "'EXTRA', 'yes'" in kept.log() and "'PATH'" in kept.log()
    assert "very-secret" not in kept.log()
    environ = Path(f"/proc/{keeper.pid}/environ")
    if environ.exists():
        assert b"very-secret" not in environ.read_bytes()


def test_files_of_the_workload_are_no_modules_of_the_keeper(kept: Kept) -> None:
    """Users upload into the folder that the keeper works in."""
    (kept.folder.path / "json.py").write_text("raise SystemExit('taken over')")
    (kept.folder.path / "spawners").mkdir()
    kept.plan("keep", "import sys; sys.path.remove('')\n" + SERVER, ready_file="ready.json")
    kept.start()
    kept.phase("running")
    assert "taken over" not in kept.log()


def test_sighup_and_sigusr1_at_any_time_do_not_end_it(kept: Kept) -> None:
    serve(kept)
    keeper = kept.start()
    for number in (signal.SIGUSR1, signal.SIGHUP, signal.SIGUSR1):
        os.kill(keeper.pid, number)
    kept.phase("running")
    assert process.alive(keeper)


def test_a_stop_without_a_keeper_ends_the_child_too(kept: Kept) -> None:
    serve(kept)
    keeper = kept.start()
    child = kept.phase("running").child
    kept.kill(keeper)
    kept.stop()
    assert child is not None and not process.alive(child)
    kept.stop()
