"""How workloads end, on real processes; and whose port a new one is shown at."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from images.lib.files import replace_json
from spawners.local import ending, launch, process
from spawners.local.folder import ProcessRef, Record
from spawners.local.identity import with_environment
from spawners.local.keeper.mode import MARK
from spawners.local.state import StateFolder
from spawners.local.store import Store, allocate
from tests.unit.spawners.worlds import ASKED
from tests.unit.spawners.worlds import launch as workload
from tests.unit.spawners.worlds import tenant as a_tenant

CRAWL = {"start_urls": ["https://example.org/"], "remote": "data"}
Start = Callable[..., ProcessRef]


def until(look: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def direct(**more: Any) -> Record:
    wanted = {"wanted": "running", "phase": "running", "changed": ASKED, "port": 10_000, **more}
    return Record(workload=workload("physics-member", "notebook", name="lab"), **wanted)


def kept(**more: Any) -> Record:
    wanted = {"wanted": "running", "phase": "running", "changed": ASKED, **more}
    return Record(workload=workload("tenant-physics", "crawl", CRAWL, name="yearly"), **wanted)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    state = StateFolder(tmp_path)
    state.make()
    store = Store(state)
    for record in (direct(), kept()):
        store.folder(record.workload).path.mkdir(parents=True)
    return store


@pytest.fixture
def start(store: Store) -> Iterator[Start]:
    """Starts a program as one of the workload of a record; all are ended after the test."""
    started: list[ProcessRef] = []

    def begin(record: Record, *argv: str, env: Mapping[str, str] | None = None) -> ProcessRef:
        folder = store.folder(record.workload)
        marked = {"PATH": os.environ["PATH"], MARK: str(folder.path), **(env or {})}
        started.append(process.start(argv, env=marked, cwd=folder.path, log=folder.log))
        return started[-1]

    yield begin
    for ref in started:
        process.stop_now(ref)
    for record in (direct(), kept()):
        for ref in with_environment(MARK, str(store.folder(record.workload).path)):
            process.stop_now(ref)


def finished(store: Store, start: Start, script: str) -> Record:
    ref = start(direct(), "/bin/sh", "-c", script)
    until(lambda: not process.alive(ref))
    return direct(process=ref)


def test_the_reason_of_an_end_is_what_the_process_said_last(store: Store, start: Start) -> None:
    ended = ending.ended(store, finished(store, start, "echo no space left on device; exit 3"))
    assert (ended.wanted, ended.phase) == ("stopped", "failed")
    assert ended.reason == "ended with exit code 3: no space left on device"


def test_a_kill_is_told_as_one(store: Store, start: Start) -> None:
    ended = ending.ended(store, finished(store, start, "echo served a page; kill -9 $$"))
    assert ended.phase == "failed"
    assert "SIGKILL" in ended.reason
    assert "served" not in ended.reason


def test_an_end_without_an_error_is_no_failure(store: Store, start: Start) -> None:
    ended = ending.ended(store, finished(store, start, "exit 0"))
    assert (ended.phase, ended.reason) == ("stopped", "ended by itself")


@pytest.mark.parametrize(
    ("record", "while_away", "phase", "words"),
    [
        (direct(process={"pid": 2**22, "created": 0.0}), True, "stopped", "while the hub was away"),
        (direct(), True, "failed", "the hub was stopped while this was being started"),
        (direct(), False, "stopped", "it was stopped while it started"),
        (kept(), False, "stopped", "it was stopped while it started"),
    ],
)
def test_ends_that_nobody_saw(store: Store, record: Record, while_away: bool, phase: str, words: str) -> None:
    ended = ending.ended(store, record, while_away=while_away)
    assert (ended.wanted, ended.phase) == ("stopped", phase)
    assert words in ended.reason


@pytest.mark.parametrize(("said", "phase"), [("finished", "finished"), ("failed", "failed")])
def test_a_single_run_ended_as_its_keeper_says(store: Store, said: str, phase: str) -> None:
    keeper = {"pid": 1, "created": 0.0}
    state = {"keeper": keeper, "phase": said, "message": "3 of 5 files", "updated": ASKED.isoformat()}
    replace_json(store.folder(kept().workload).keeper, state)
    ended = ending.ended(store, kept())
    assert (ended.phase, ended.reason) == (phase, "3 of 5 files")


def test_a_process_that_was_never_noted_is_found(store: Store, start: Start) -> None:
    assert ending.unnoted(store, direct()) is None
    ref = start(direct(), "sleep", "600")
    assert ending.unnoted(store, direct()) == ref
    assert ending.unnoted(store, kept()) is None


def test_what_a_killed_server_left_in_a_session_of_its_own_ends_too(store: Store, start: Start) -> None:
    """As a kernel of a JupyterLab that was killed."""
    code = "import subprocess, time; subprocess.Popen(['sleep', '600'], start_new_session=True); time.sleep(600)"
    ref = start(direct(), sys.executable, "-c", code)
    folder = str(store.folder(direct().workload).path)
    until(lambda: "sleep" in _commands(ref))
    os.kill(ref.pid, 9)
    until(lambda: not process.alive(ref) and with_environment(MARK, folder))
    asyncio.run(ending.end_direct(store, direct(process=ref), 10))
    assert with_environment(MARK, folder) == []


def _commands(ref: ProcessRef) -> list[str]:
    import psutil

    return [child.name() for child in psutil.Process(ref.pid).children()]


def test_a_keeper_that_has_told_nothing_yet_is_stopped(store: Store, start: Start) -> None:
    """A stop right after a start: there is no keeper.json."""
    ref = start(kept(), "sleep", "600")
    asyncio.run(ending.end_kept(store, kept(process=ref), 5))
    assert not process.alive(ref)


def test_ending_twice_is_ending_once(store: Store, start: Start) -> None:
    ref = start(direct(), "sleep", "600")
    for _ in range(2):
        asyncio.run(ending.end_direct(store, direct(process=ref), 5))
        asyncio.run(ending.end_kept(store, kept(), 5))
    assert not process.alive(ref)


def test_another_programs_port_is_not_taken_for_the_workloads(store: Store, start: Start) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        ref = start(direct(), "sleep", "600")
        wrong = asyncio.run(launch.wait_listening(other.getsockname()[1], ref, 0.5))
    assert wrong == "did not answer in time"


def test_a_workload_that_listens_by_a_child_is_known(store: Store, start: Start) -> None:
    server = "import http.server as h; h.test(h.BaseHTTPRequestHandler, port=0, bind='127.0.0.1')"
    ref = start(direct(), "/bin/sh", "-c", f'{sys.executable} -u -c "{server}"; true')
    log = store.folder(direct().workload).log
    until(lambda: "port " in log.read_text())
    port = int(log.read_text().split("port ")[1].split()[0])
    assert asyncio.run(launch.wait_listening(port, ref, 30)) == ""


def test_an_ended_process_is_not_waited_for(store: Store, start: Start) -> None:
    record = finished(store, start, "exit 1")
    assert record.process is not None
    assert asyncio.run(launch.wait_listening(10_000, record.process, 3600)) == "ended"


# -- records ---------------------------------------------------------------------------------------------------------


def test_a_record_is_found_by_its_servers_name_in_any_tenant(store: Store) -> None:
    store.save(direct())
    (store.state.workloads / ".DS_Store").write_text("")
    (store.state.workloads / "README").write_text("")
    assert store.find("physics-member", "lab") == direct()
    for owner, name in (("*", "lab"), ("physics-member", "*"), ("..", "lab"), ("", "lab"), ("a/b", "lab")):
        assert store.find(owner, name) is None


def test_an_address_that_moved_to_another_tenant_is_not_given_while_it_is_held() -> None:
    """Its file says so since a moment ago; the workload of the tenant before still listens there."""
    history = a_tenant("history", networks=a_tenant("physics").networks, profiles=["upload"])
    uploads = workload("tenant-physics", "upload", {"remote": "data"}, name="camera")
    holder = Record(workload=uploads, wanted="running", phase="running", changed=ASKED, address="127.20.0.2")
    asked = uploads.model_copy(update={"tenant": "history", "owner": "tenant-history"})
    assert allocate(history.networks[0], history, asked, [holder]) == "127.20.0.3"
