"""Start and end: settings, busy ports, SIGTERM, a second collector, rows that stay bounded."""

from __future__ import annotations

import ftplib
import json
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.images.collector.running import PASSWORD, Collector, begin
from tests.images.s3 import S3Server, wait_for


def test_all_wrong_settings_are_told_at_once(make_collector: Callable[..., Collector]) -> None:
    wrong = {"protocol": "gopher", "port": 70000, "destination": "nowhere", "password_file": "/nonexistent"}
    collector = make_collector(**wrong, colour="blue", encoding="klingon")
    process = collector.launch()
    assert process.wait(60) == 2
    lines = collector.log.read_text().splitlines()
    for field in (*wrong, "colour", "encoding"):
        assert any(line.startswith(f"settings: {field}: ") for line in lines), field
    assert "Traceback" not in collector.log.read_text()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"passive_ports": None}, "settings: passive_ports is missing"),
        ({"passive_ports": [30000, 30000]}, "settings: passive_ports: the second must be greater"),
        ({"destination": "other:bucket/folder"}, "settings: destination: no remote 'other' in"),
        ({"public_address": "2001:db8::1"}, "settings: public_address: must be of the same family"),
        ({"public_address": "lab.example.org"}, "settings: public_address: "),
        ({"rclone": "/nonexistent/rclone"}, "settings: rclone: /nonexistent/rclone: is no program"),
    ],
)
def test_a_wrong_setting(make_collector: Callable[..., Collector], change: dict[str, object], said: str) -> None:
    collector = make_collector(**change)
    assert collector.launch().wait(60) == 2
    assert said in collector.log.read_text()
    assert collector.ready == {}


@pytest.mark.parametrize(
    ("content", "mode", "said"), [("", 0o600, "holds no password"), ("x", 0o644, "can be read by others")]
)
def test_the_password_file(make_collector: Callable[..., Collector], content: str, mode: int, said: str) -> None:
    collector = make_collector()
    password = Path(collector.settings["password_file"])
    password.write_text(content)
    password.chmod(mode)
    assert collector.launch().wait(60) == 2
    assert said in collector.log.read_text()


def test_a_busy_port(make_collector: Callable[..., Collector]) -> None:
    collector = make_collector()
    with socket.create_server(("127.0.0.1", collector.port)):
        assert collector.launch().wait(60) == 1
    assert f"collector: port {collector.port} of 127.0.0.1: Address already in use" in collector.log.read_text()


def test_an_unwritable_state_folder(make_collector: Callable[..., Collector]) -> None:
    collector = make_collector(state_dir="/proc/nowhere")
    assert collector.launch().wait(60) == 1
    assert collector.log.read_text().startswith("collector: /proc/nowhere")
    assert "Traceback" not in collector.log.read_text()


def test_the_state_folder_is_for_one(make_collector: Callable[..., Collector]) -> None:
    collector = make_collector().start()
    second = make_collector(state_dir=str(collector.state))
    assert second.launch().wait(60) == 1
    assert "another collector uses this state folder" in second.log.read_text()
    assert collector.put("still.bin", b"x").startswith("226")


def test_a_clean_end(make_collector: Callable[..., Collector]) -> None:
    collector = make_collector().start()
    client = collector.client()
    rclone = collector.rclone()
    assert collector.stop() == 0
    assert collector.ready == {}
    assert not psutil.pid_exists(rclone.pid)
    client.close()
    assert "Traceback" not in collector.log.read_text()


def test_sigterm_lets_a_running_store_finish(own_s3: S3Server, make_collector: Callable[..., Collector]) -> None:
    collector = make_collector(own_s3, grace_s=60).start()
    client = collector.client()
    own_s3.freeze()
    begin(client, "last.bin", b"last").close()
    journal = collector.state / "spool" / "journal.jsonl"
    wait_for(lambda: '"event": "received"' in journal.read_text(), "the reception")
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(collector.stop()))
    thread.start()
    wait_for(lambda: collector.ready == {}, "it stops")
    wait_for(lambda: _refuses(collector), "no new connections")
    own_s3.thaw()
    assert client.voidresp().startswith("226")
    thread.join(60)
    assert codes == [0]
    assert collector.object("last.bin") == b"last"


def _refuses(collector: Collector) -> bool:
    try:
        socket.create_connection(("127.0.0.1", collector.port), 1).close()
    except OSError:
        return True
    return False


def test_after_the_grace_what_is_received_is_kept(own_s3: S3Server, make_collector: Callable[..., Collector]) -> None:
    collector = make_collector(own_s3, grace_s=0.2).start()
    client, other = collector.client(), collector.client()
    own_s3.freeze()
    begin(client, "kept.bin", b"kept").close()
    half = begin(other, "half.bin", b"half")
    journal = collector.state / "spool" / "journal.jsonl"
    wait_for(lambda: '"event": "received"' in journal.read_text(), "the reception")
    assert collector.stop() == 0
    own_s3.thaw()
    half.close()
    collector.start()
    wait_for(lambda: collector.object("kept.bin") == b"kept", "stored in the end")
    collector.row("half.bin", "incomplete")
    assert collector.object("half.bin") is None
    client.close()
    other.close()


def test_rows_do_not_grow_for_ever(make_collector: Callable[..., Collector]) -> None:
    collector = make_collector(uploads_max_bytes=2000).start()
    with collector.client() as client:
        for number in range(40):
            collector.put(f"row-{number}", b"x", client)
    kept = collector.state / "uploads.jsonl.1"
    assert kept.stat().st_size < 3000
    assert (collector.state / "uploads.jsonl").stat().st_size < 3000
    assert json.loads(kept.read_text().splitlines()[0])["outcome"] == "stored"


def test_nothing_secret_is_readable_by_others_or_on_a_command_line(make_collector: Callable[..., Collector]) -> None:
    collector = make_collector().start()
    collector.put("x.bin", b"x")
    for path in [collector.state, *collector.state.rglob("*")]:
        if path.is_socket() or path.suffix in (".json", ".jsonl") or "key" in path.name:
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert stat.S_IMODE(collector.state.stat().st_mode) & 0o077 == 0
    assert collector.process is not None
    for process in (psutil.Process(collector.process.pid), collector.rclone()):
        assert PASSWORD not in " ".join(process.cmdline())
        assert "tests-secret-key" not in " ".join(process.cmdline())
    assert PASSWORD not in collector.log.read_text()


def test_a_login_is_turned_away_while_it_stops(own_s3: S3Server, make_collector: Callable[..., Collector]) -> None:
    collector = make_collector(own_s3, grace_s=60).start()
    busy, idle = collector.client(), collector.client()
    own_s3.freeze()
    begin(busy, "busy.bin", b"busy").close()
    journal = collector.state / "spool" / "journal.jsonl"
    wait_for(lambda: '"event": "received"' in journal.read_text(), "the reception")
    assert collector.process is not None
    collector.process.terminate()
    wait_for(lambda: collector.ready == {}, "it stops")
    with pytest.raises(ftplib.error_temp, match="421 The service is stopping"):
        collector.put("new.bin", b"x", idle)
    own_s3.thaw()
    assert busy.voidresp().startswith("226")
    assert collector.process.wait(60) == 0
