"""A transfer that breaks off never replaces an earlier good object, leaves nothing behind, and has its row."""

from __future__ import annotations

import contextlib
import ftplib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.images.collector.running import PASSWORD, Collector, begin, reset
from tests.images.s3 import wait_for
from tests.tiers import need

HALF = os.urandom(300_000)
GOOD = b"the good earlier object"


def _reset_data(client: ftplib.FTP, data: socket.socket) -> None:
    reset(data)
    with pytest.raises(ftplib.error_temp, match="426 The data connection broke"):
        client.voidresp()


def _abort(client: ftplib.FTP, data: socket.socket) -> None:
    client.putcmd("ABOR")
    with pytest.raises(ftplib.error_temp, match="426 aborted"):
        client.voidresp()
    assert client.voidresp().startswith("226 ABOR")
    data.close()


def _abort_and_close(client: ftplib.FTP, data: socket.socket) -> None:
    # ABOR lies unread in the control connection when the data ends.
    client.sock.sendall(b"ABOR\r\n")
    data.close()
    with pytest.raises(ftplib.error_temp, match="426 aborted"):
        client.voidresp()


def _vanish(client: ftplib.FTP, data: socket.socket) -> None:
    client.close()
    data.close()


def _vanish_data_first(client: ftplib.FTP, data: socket.socket) -> None:
    data.close()
    client.close()


def _vanish_by_reset(client: ftplib.FTP, data: socket.socket) -> None:
    control = client.sock.dup()
    client.close()
    reset(control)
    data.close()


def _lose_control_only(client: ftplib.FTP, data: socket.socket) -> None:
    client.close()


def _new_pasv(client: ftplib.FTP, data: socket.socket) -> None:
    client.putcmd("EPSV")
    with pytest.raises(ftplib.error_temp, match="426 The data connection was closed"):
        client.voidresp()


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        (_reset_data, "data connection broke"),
        (_abort, "aborted by the client"),
        (_abort_and_close, "aborted by the client"),
        (_vanish, "control connection"),
        (_vanish_data_first, "control connection"),
        (_vanish_by_reset, "control connection"),
        (_lose_control_only, "control connection"),
        (_new_pasv, "data connection was closed"),
    ],
)
def test_it_does_not_replace_the_object(collector: Collector, way: Callable[..., None], reason: str) -> None:
    name = f"broken{way.__name__}.bin"
    collector.put(name, GOOD)
    client = collector.client()
    data = begin(client, name, HALF)
    wait_for(lambda: any((collector.state / "spool" / file).stat().st_size for file in collector.spooled()), "bytes")
    way(client, data)
    row = collector.row(name, "incomplete")
    assert reason in row["reason"]
    assert row["source"] == "127.0.0.1"
    assert row["bytes"] <= len(HALF)
    assert collector.object(name) == GOOD
    wait_for(lambda: collector.spooled() == [], "an empty spool")
    assert [row["outcome"] for row in collector.rows(name)] == ["stored", "incomplete"]
    client.close()
    data.close()


def test_quit_sent_before_226_is_no_break(collector: Collector) -> None:
    client = collector.client()
    data = begin(client, "quit.bin", HALF)
    client.sock.sendall(b"QUIT\r\n")
    data.close()
    client.close()
    assert collector.row("quit.bin", "stored")["bytes"] == len(HALF)
    assert collector.object("quit.bin") == HALF


def test_tls_data_without_close_notify(collector: Collector) -> None:
    collector.put("tls.bin", GOOD)
    client = collector.client(ftplib.FTP_TLS)
    data = begin(client, "tls.bin", HALF)
    # A plain FIN, as a firewall or a dying host makes it: under TLS it is not the end of the data.
    with socket.socket(fileno=os.dup(data.fileno())) as plain:
        plain.shutdown(socket.SHUT_WR)
    with pytest.raises(ftplib.error_temp, match=r"426 .*close_notify"):
        client.voidresp()
    assert "close_notify" in collector.row("tls.bin", "incomplete")["reason"]
    assert collector.object("tls.bin") == GOOD
    assert collector.put("tls-after.bin", GOOD, client).startswith("226")


def test_plain_data_where_tls_was_agreed(collector: Collector) -> None:
    client = collector.client(ftplib.FTP_TLS)
    client.voidcmd("TYPE I")
    with socket.create_connection(client.makepasv()) as data:
        client.sendcmd("STOR no-tls.bin")
        data.sendall(b"GET / HTTP/1.1\r\n\r\n" * 10)
        with pytest.raises(ftplib.error_perm, match="522"):
            client.voidresp()
    collector.row("no-tls.bin", "incomplete")
    assert collector.object("no-tls.bin") is None


@pytest.mark.parametrize("announced", [len(HALF) + 1, len(HALF) - 1, 0])
def test_allo_of_another_size(collector: Collector, announced: int) -> None:
    name = f"allo-{announced}.bin"
    with collector.client() as client:
        collector.put(name, GOOD, client)
        client.sendcmd(f"ALLO {announced}")
        begin(client, name, HALF).close()
        with pytest.raises(ftplib.error_temp, match="451 Received 300000 bytes, but ALLO announced"):
            client.voidresp()
        assert collector.object(name) == GOOD
        assert "ALLO" in collector.row(name, "incomplete")["reason"]
        client.sendcmd(f"ALLO {len(HALF)}")
        assert collector.put(name, HALF, client).startswith("226")
        # It was for one upload.
        assert collector.put(name, GOOD, client).startswith("226")


def test_allo_that_is_no_number(collector: Collector) -> None:
    with collector.client() as client, pytest.raises(ftplib.error_perm, match="501"):
        client.sendcmd("ALLO much")


def test_too_long(make_collector: Callable[..., Collector]) -> None:
    collector = make_collector(max_file_bytes=1000).start()
    with collector.client() as client:
        assert collector.put("fits.bin", b"x" * 1000, client).startswith("226")
        collector.put("long.bin", GOOD, client)
        client.voidcmd("TYPE I")
        data = client.transfercmd("STOR long.bin")
        data.sendall(b"x" * 1001)
        with pytest.raises(ftplib.error_perm, match=r"552 .*1000 bytes"):
            client.voidresp()
        data.close()
        assert collector.object("long.bin") == GOOD
        assert "1000 bytes" in collector.row("long.bin", "incomplete")["reason"]
        client.sendcmd("ALLO 1001")
        with pytest.raises(ftplib.error_perm, match="552"):
            client.transfercmd("STOR long.bin")
    assert collector.spooled() == []


def test_no_byte_for_the_idle_time(make_collector: Callable[..., Collector]) -> None:
    collector = make_collector(limits={"idle_timeout_s": 0.5}).start()
    collector.put("idle.bin", GOOD)
    client = collector.client()
    data = begin(client, "idle.bin", HALF)
    with pytest.raises(ftplib.error_temp, match=r"421 No data for 0\.5 s"):
        client.voidresp()
    data.close()
    assert "No data" in collector.row("idle.bin", "incomplete")["reason"]
    assert collector.object("idle.bin") == GOOD
    idle = collector.client()
    wait_for(lambda: _closed(idle), "an idle session is ended")


def _closed(client: ftplib.FTP) -> bool:
    client.sock.settimeout(0.1)
    with contextlib.suppress(TimeoutError):
        return b"421" in client.sock.recv(1000) or client.sock.recv(1000) == b""
    return False


def test_no_data_connection_at_all(collector: Collector) -> None:
    client = collector.client()
    client.voidcmd("TYPE I")
    client.makepasv()
    client.sendcmd("STOR nothing.bin")
    client.close()
    assert "no data connection" in collector.row("nothing.bin", "incomplete")["reason"]
    assert collector.object("nothing.bin") is None
    wait_for(lambda: collector.spooled() == [], "an empty spool")


def test_curl_killed_in_the_middle(collector: Collector, tmp_path: Path) -> None:
    need("images", shutil.which("curl"), "curl is not installed")
    collector.put("curl.bin", GOOD)
    (tmp_path / "big").write_bytes(HALF * 100)
    url = f"ftp://127.0.0.1:{collector.port}/curl.bin"
    argv = ["curl", "-sS", "--limit-rate", "1M", "-T", str(tmp_path / "big"), url, "--config", "-"]
    for _ in range(5):
        before = len(collector.rows("curl.bin"))
        curl = subprocess.Popen(argv, stdin=subprocess.PIPE, text=True)
        assert curl.stdin is not None
        curl.stdin.write(f'user = "microscope:{PASSWORD}"\n')
        curl.stdin.close()
        wait_for(
            lambda: any((collector.state / "spool" / name).stat().st_size for name in collector.spooled()), "bytes"
        )
        curl.send_signal(signal.SIGKILL)
        curl.wait()
        wait_for(lambda before=before: len(collector.rows("curl.bin")) > before, "its row")
        assert collector.rows("curl.bin")[-1]["outcome"] == "incomplete"
        assert collector.object("curl.bin") == GOOD


def test_python_killed_in_the_middle(collector: Collector) -> None:
    collector.put("python.bin", GOOD)
    program = (
        "import ftplib, sys, time\n"
        f"client = ftplib.FTP(); client.connect('127.0.0.1', {collector.port})\n"
        "client.login('microscope', sys.stdin.readline().strip()); client.voidcmd('TYPE I')\n"
        "data = client.transfercmd('STOR python.bin'); data.sendall(b'half' * 1000)\n"
        "print('sent', flush=True); time.sleep(60)\n"
    )
    client = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert client.stdin is not None
    assert client.stdout is not None
    client.stdin.write(PASSWORD + "\n")
    client.stdin.flush()
    assert client.stdout.readline() == "sent\n"
    client.kill()
    client.wait()
    assert collector.row("python.bin", "incomplete")["bytes"] <= 4000
    assert collector.object("python.bin") == GOOD


def test_the_spool_has_a_limit(make_collector: Callable[..., Collector]) -> None:
    collector = make_collector(max_spool_bytes=500_000).start()
    first, second = collector.client(), collector.client()
    data = begin(first, "first.bin", HALF)
    wait_for(lambda: any((collector.state / "spool" / name).stat().st_size for name in collector.spooled()), "bytes")
    other = begin(second, "second.bin", HALF)
    with pytest.raises(ftplib.error_temp, match="452 The spool is full"):
        second.voidresp()
    other.close()
    data.close()
    assert first.voidresp().startswith("226")
    # What was taken is given back.
    assert collector.put("second.bin", HALF, second).startswith("226")


def test_a_full_disk(make_collector: Callable[..., Collector]) -> None:
    need("images", Path("/dev/full").exists(), "no /dev/full here")
    need("images", shutil.which("prlimit"), "prlimit is not installed")
    collector = make_collector().start()
    collector.put("disk.bin", GOOD)
    # A limit on file sizes makes write() fail as a full disk does, without filling one.
    assert collector.process is not None
    subprocess.run(["prlimit", "--pid", str(collector.process.pid), "--fsize=100000"], check=True)
    with collector.client() as client:
        client.voidcmd("TYPE I")
        data = client.transfercmd("STOR disk.bin")
        with contextlib.suppress(OSError):
            data.sendall(HALF)
        with pytest.raises(ftplib.error_temp, match="452 The spool cannot take more"):
            client.voidresp()
        data.close()
        assert collector.put("small.bin", b"goes on", client).startswith("226")
    assert collector.object("disk.bin") == GOOD
    assert "spool" in collector.row("disk.bin", "incomplete")["reason"]
