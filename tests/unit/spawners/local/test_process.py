"""Real processes: started, known again, stopped with all that they started."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from spawners.local import identity, process
from spawners.local.process import ProcessRef

ENV = {"PATH": os.environ["PATH"]}


def until(condition: Callable[[], object], what: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.01)


def dead(ref: ProcessRef) -> None:
    until(lambda: not process.alive(ref), "its end")


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Callable[[str], ProcessRef]]:
    """Start a shell script; all are killed in the end."""
    started: list[ProcessRef] = []

    def start(script: str) -> ProcessRef:
        ref = process.start(["sh", "-c", script], env=ENV, cwd=tmp_path, log=tmp_path / "log.txt")
        started.append(ref)
        return ref

    yield start
    for ref in started:
        process.stop_now(ref)


Shell = Callable[[str], ProcessRef]


def test_output_goes_to_a_private_log_and_the_exit_code_is_kept(shell: Shell, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    for code in (3, 0):
        ref = shell(f"echo out; echo err >&2; exit {code}")
        dead(ref)
        assert process.exit_code(ref) == code
    assert log.read_text() == "out\nerr\n" * 2
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_it_is_detached(shell: Shell, tmp_path: Path) -> None:
    with (tmp_path / "held").open("w") as held:
        os.set_inheritable(held.fileno(), True)
        ref = shell("ls -l /proc/self/fd > fds 2>/dev/null; readlink /proc/self/fd/0; exec sleep 60")
        until(lambda: (tmp_path / "log.txt").read_text() or not Path("/proc/self/fd").exists(), "its first output")
    assert os.getsid(ref.pid) == ref.pid
    if Path("/proc/self/fd").exists():
        assert (tmp_path / "log.txt").read_text() == "/dev/null\n"
        assert "held" not in (tmp_path / "fds").read_text()


def test_only_the_given_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "secret")
    log = tmp_path / "log.txt"
    ref = process.start([sys.executable, "-c", "import os; print(sorted(os.environ))"], env=ENV, cwd=tmp_path, log=log)
    until(lambda: not process.alive(ref), "its end")
    assert "PATH" in log.read_text()
    assert "JUPYTERHUB" not in log.read_text()


@pytest.mark.parametrize(
    ("argv", "kind", "says"),
    [
        (["/no/such/program"], process.ProgramMissingError, "cannot run /no/such/program: No such file"),
        (["/etc/passwd"], process.ProgramMissingError, "cannot run /etc/passwd: Permission denied"),
        (["a\0b"], process.ProcessStartError, "null byte"),
    ],
)
def test_what_cannot_be_started(argv: list[str], kind: type[Exception], says: str, tmp_path: Path) -> None:
    with pytest.raises(kind, match=says):
        process.start(argv, env=ENV, cwd=tmp_path, log=tmp_path / "log.txt")


def test_a_missing_folder_is_not_told_as_a_missing_program(tmp_path: Path) -> None:
    with pytest.raises(process.ProcessStartError, match=r"folder .* is not there") as caught:
        process.start(["sleep", "1"], env=ENV, cwd=tmp_path / "gone", log=tmp_path / "log.txt")
    assert not isinstance(caught.value, process.ProgramMissingError)
    with pytest.raises(process.ProcessStartError, match="cannot write the log"):
        process.start(["sleep", "1"], env=ENV, cwd=tmp_path, log=tmp_path / "gone" / "log.txt")


def test_a_log_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log.txt").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(process.ProcessStartError, match="cannot write the log"):
        process.start(["sleep", "1"], env=ENV, cwd=tmp_path, log=tmp_path / "log.txt")


# -- identity ------------------------------------------------------------------------------------------------------


def test_the_start_time_is_psutils() -> None:
    ref = process.reference(os.getpid())
    assert ref is not None
    assert ref.created == pytest.approx(psutil.Process().create_time(), abs=1.5)
    assert process.alive(ref)


def test_a_reused_number_is_another_process(shell: Shell) -> None:
    ref = shell("exec sleep 60")
    assert process.alive(ref)
    earlier = replace(ref, created=ref.created - 100, mark=ref.mark and ref.mark + "0")
    assert not process.alive(earlier)
    assert not process.alive(ProcessRef(ref.pid, ref.created - 100))
    process.stop_now(earlier)
    assert process.alive(ref)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the mark is Linux's")
def test_setting_the_wall_clock_changes_nothing(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    noted = shell("exec sleep 60")
    ref = replace(noted)
    monkeypatch.setattr(process, "_own", {})  # as another process sees it
    monkeypatch.setattr(identity, "_boot_time", lambda: 0.0)
    assert process.alive(ref)


def test_a_process_of_an_earlier_boot_is_dead_and_nothing_is_killed_for_it(shell: Shell) -> None:
    ref = shell("sleep 60 & exec sleep 60")
    stale = ProcessRef(ref.pid, ref.created - 1e6, mark="another-boot:1")
    assert not process.alive(stale)
    process.stop_now(stale)
    assert process.alive(ref)


def test_a_zombie_is_dead(tmp_path: Path) -> None:
    child = subprocess.Popen(["true"])  # not ours: started by somebody else in this process, who has yet to wait
    try:
        ref = process.reference(child.pid)
        assert ref is not None
        until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE, "a zombie")
        assert not process.alive(ref)
        assert process.exit_code(ref) is None
        process.stop_now(ref)
    finally:
        assert child.wait() == 0  # its exit code was not stolen


def test_asyncios_children_keep_their_exit_codes(shell: Shell) -> None:
    async def scene() -> int:
        theirs = await asyncio.create_subprocess_exec("sh", "-c", "sleep 0.2; exit 7")
        ours = shell("exit 5")
        assert await process.ended(ours, 20)
        assert process.exit_code(ours) == 5
        return await theirs.wait()

    assert asyncio.run(scene()) == 7


def test_the_environment_finds_what_nobody_noted(tmp_path: Path) -> None:
    env = ENV | {"TENANTHUB_TEST_MARK": str(tmp_path)}
    own_session = [sys.executable, "-c", "import os,time; os.setsid(); print('up', flush=True); time.sleep(60)"]
    script = f"{sys.executable} -c '{own_session[2].replace(chr(39), chr(34))}' & sleep 60"
    ref = process.start(["sh", "-c", script], env=env, cwd=tmp_path, log=tmp_path / "log.txt")
    try:
        until(lambda: (tmp_path / "log.txt").read_text() == "up\n", "the grandchild with a session of its own")
        assert identity.with_environment("TENANTHUB_TEST_MARK", str(tmp_path)) == [ref]
        assert identity.with_environment("TENANTHUB_TEST_MARK", str(tmp_path.parent)) == []
    finally:
        children = psutil.Process(ref.pid).children(recursive=True)
        process.stop_now(ref)
        for child in children:
            if child.is_running():
                child.kill()


# -- the end -------------------------------------------------------------------------------------------------------


def test_it_survives_the_kill_of_its_parent(tmp_path: Path) -> None:
    """A parent that starts a child by `start`, and is killed with -9."""
    code = (
        "import sys, time; from pathlib import Path; from spawners.local import process\n"
        "folder = Path(sys.argv[1])\n"
        "ref = process.start(['sleep', '60'], env={'PATH': sys.argv[2]}, cwd=folder, log=folder / 'l')\n"
        "print(ref.pid, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path), os.environ["PATH"]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        ref = process.reference(int(parent.stdout.readline()))
        assert ref is not None
        parent.kill()
        parent.wait()
    assert process.alive(ref)
    assert process.exit_code(ref) is None
    descriptor = process.end_fd(ref)
    asyncio.run(process.stop(ref, 20))
    assert not process.alive(ref)
    if descriptor is not None:
        os.close(descriptor)


def test_a_polite_process_ends_politely(shell: Shell, tmp_path: Path) -> None:
    ref = shell("trap 'echo bye; exit 143' TERM; echo up; while :; do sleep 0.05; done")
    until(lambda: (tmp_path / "log.txt").read_text() == "up\n", "up")
    asyncio.run(process.stop(ref, 20))
    assert (tmp_path / "log.txt").read_text().endswith("bye\n")
    assert process.exit_code(ref) == 143
    asyncio.run(process.stop(ref, 20))  # again: nothing to do
    process.stop_now(ref, 20)


def test_one_that_ignores_sigterm_is_killed(shell: Shell, tmp_path: Path) -> None:
    ref = shell("trap '' TERM; echo up; while :; do sleep 0.05; done")
    until(lambda: (tmp_path / "log.txt").read_text() == "up\n", "up")
    asyncio.run(process.stop(ref, 0.3))
    assert not process.alive(ref)
    assert process.exit_code(ref) == -signal.SIGKILL


def test_children_get_the_grace_too_when_their_leader_has_ended(shell: Shell, tmp_path: Path) -> None:
    """As rclone that still uploads when the program around it has ended."""
    slow = "trap 'sleep 0.5; echo flushed; exit' TERM; echo up; while :; do sleep 0.05; done"
    ref = shell(f'sh -c "{slow}" & wait')
    until(lambda: (tmp_path / "log.txt").read_text() == "up\n", "up")
    asyncio.run(process.stop(ref, 20))
    assert (tmp_path / "log.txt").read_text().endswith("flushed\n")


def test_what_outlived_its_leader_is_found_and_ended(shell: Shell, tmp_path: Path) -> None:
    ref = shell("sleep 60 & echo $!")
    until(lambda: (tmp_path / "log.txt").read_text().endswith("\n"), "the pid of the left child")
    left = process.reference(int((tmp_path / "log.txt").read_text()))
    assert left is not None
    until(lambda: not process.alive(ref), "the end of the leader")
    assert process.alive(left)
    process.stop_now(ref, 20)
    assert not process.alive(left)


def test_a_stopped_process_is_woken_to_end(shell: Shell, tmp_path: Path) -> None:
    ref = shell("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done")
    until(lambda: (tmp_path / "log.txt").read_text() == "up\n", "up")
    os.killpg(ref.pid, signal.SIGSTOP)
    asyncio.run(process.stop(ref, 20))
    assert process.exit_code(ref) == 0


@pytest.mark.parametrize("pidfd", [True, False])
def test_waiting_with_and_without_pidfd(pidfd: bool, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    if not pidfd:
        monkeypatch.delattr(os, "pidfd_open", raising=False)
    ref = shell("exec sleep 60")
    assert asyncio.run(process.ended(ref, 0.1)) is False
    os.kill(ref.pid, signal.SIGKILL)
    assert asyncio.run(process.ended(ref, 20)) is True
    assert asyncio.run(process.ended(ref, None)) is True


def test_without_its_own_session_only_the_process_is_ended(tmp_path: Path) -> None:
    ref = process.start(["sleep", "60"], env=ENV, cwd=tmp_path, log=tmp_path / "l", new_session=False)
    assert os.getsid(ref.pid) == os.getsid(0)
    process.stop_now(ref, 20)  # must not end the group, which is ours
    assert process.exit_code(ref) == -signal.SIGTERM
