"""Real code-server behind the launcher, and what it takes to be told why it is not there."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import psutil
import pytest

from images.app.activity import Clock, look
from images.ide import install
from images.ide.settings import IdeSettings, app_settings
from images.lib.foreground import jobs_on_terminals, pts
from tests.images.spawned import App, FakeHub, start_launcher, wait_for
from tests.tiers import need


@pytest.fixture
def ide(tmp_path: Path) -> Iterator[Callable[[], App]]:
    command = install.installed()
    need("ide", command, "code-server is not installed (make code-server)")
    hub = FakeHub()
    server = hub.start()
    apps: list[App] = []

    def begin() -> App:
        (tmp_path / "work").mkdir(exist_ok=True)
        settings = {"code_server": command, "folder": tmp_path / "work", "data_folder": tmp_path / "data"}
        apps.append(start_launcher("images.ide", hub, tmp_path, settings))
        return apps[-1]

    yield begin
    for app in apps:
        app.stop()
    server.shutdown()
    server.server_close()


def test_vs_code_is_served_behind_the_sign_in(ide: Callable[[], App], tmp_path: Path) -> None:
    app = ide()
    app.wait_until_ready()
    assert httpx.get(app.url).status_code == 302
    page = app.get(follow_redirects=True)
    assert page.status_code == 200
    assert "vscode-workbench-web-configuration" in page.text
    script = page.text.split('src="', 1)[1].split('"', 1)[0]
    assert app.get(script).status_code == 200
    # Only its socket can be reached, and that by its owner alone: no port is open.
    pid = json.loads((app.folder / "ready.json").read_text())["pid"]
    tree = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    assert [c for p in tree for c in p.net_connections("tcp") if c.status == psutil.CONN_LISTEN] == []
    settings = json.loads((tmp_path / "data" / "Machine" / "settings.json").read_text())
    assert settings["telemetry.telemetryLevel"] == "off"
    app.process.terminate()
    assert app.process.wait(30) == 143
    wait_for(lambda: not any(p.is_running() for p in tree), "nothing of it is left")


def test_programs_typing_and_edits_are_use() -> None:
    """The launcher's look at a process tree, with a real terminal in place of VS Code's."""
    jobs_on_terminals(os.getpid())  # an earlier look must not keep later terminals from being seen
    parent, child = pty.openpty()
    terminal = Path(os.ttyname(child))
    with subprocess.Popen(
        ["setsid", "-c", "env", "--default-signal=INT", "bash", "--norc"], stdin=child, stdout=child, stderr=child
    ) as shell:
        clock = Clock()
        os.write(parent, b"sleep 1000\n")
        own = psutil.Process()
        wait_for(lambda: "sleep" in [p.name() for p in own.children(recursive=True)], "sleep runs")
        before = clock.last
        look(clock, own.pid, None)
        assert clock.last > before
        os.write(parent, b"\x03")
        wait_for(lambda: "sleep" not in [p.name() for p in own.children(recursive=True)], "sleep ended")
        before = clock.last
        os.utime(terminal, (before.timestamp() - 60, before.timestamp() - 60))
        look(clock, own.pid, None)
        assert clock.last == before, "a waiting shell, typed into long ago, is no use"
        os.utime(terminal, (time.time(), time.time()))
        look(clock, own.pid, None)
        assert clock.last > before, "what was just typed is"
        shell.kill()
    os.close(parent)
    os.close(child)


@pytest.mark.parametrize(
    ("number", "device"),
    [(0, None), (34816, "/dev/pts/0"), (34823, "/dev/pts/7"), (1025, None), (35072, "/dev/pts/256")],
)
def test_terminals_by_number(number: int, device: str | None) -> None:
    assert pts(number) == device


def test_an_edit_is_use(tmp_path: Path) -> None:
    clock = Clock()
    clock.last -= timedelta(minutes=5)
    before = clock.last
    look(clock, os.getpid(), tmp_path / "not-there-yet")
    assert clock.last == before
    (tmp_path / "3fa1").mkdir()
    look(clock, os.getpid(), tmp_path)
    assert clock.last > before


def test_the_command_line() -> None:
    settings = IdeSettings.model_validate(
        {"run_dir": "/run/x", "code_server": ["code-server"], "folder": "/home/a", "data_folder": "/home/a/.vs"}
    )
    command = app_settings(settings).command
    assert command[0] == "code-server" and command[-1] == "/home/a"
    assert command[command.index("--socket") + 1] == "{unix_socket}"
    assert {"--disable-telemetry", "--disable-update-check"} <= set(command)


def test_an_archive_that_is_not_the_published_one_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "code-server.tgz"
    archive.write_bytes(b"something else")
    with pytest.raises(install.InstallError, match="hash differs"):
        install.check_integrity(archive)


def test_what_is_missing_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("TENANTHUB_CODE_SERVER", raising=False)
    assert install.installed() is None
    assert install.main() == 1
    assert capsys.readouterr().err == (
        "code-server cannot be installed: Building code-server needs make, g++, python3"
        " (Debian: apt install build-essential)\n"
    )
    assert list((tmp_path / "cache" / "tenanthub").glob("code-server-*")) == []


def test_another_code_server_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "my-code-server"
    monkeypatch.setenv("TENANTHUB_CODE_SERVER", str(other))
    assert install.installed() is None
    other.touch(0o755)
    assert install.installed() == [str(other)]
