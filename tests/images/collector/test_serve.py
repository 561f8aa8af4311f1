"""SFTP and WebDAV, by rclone serve: with OpenSSH's sftp and with curl."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.images.collector.running import PASSWORD, Collector
from tests.images.s3 import S3Server, wait_for
from tests.tiers import need

CONTENT = os.urandom(200_000)


@pytest.fixture
def sftp(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs sftp commands against a collector; without a terminal, OpenSSH takes the password from SSH_ASKPASS."""
    need("images", shutil.which("sftp"), "OpenSSH's sftp is not installed")
    ask = tmp_path / "ask"
    ask.write_text('#!/bin/sh\necho "$COLLECTOR_PASSWORD"\n')
    ask.chmod(0o700)

    def run(collector: Collector, commands: str, password: str = PASSWORD) -> subprocess.CompletedProcess[str]:
        options = ["StrictHostKeyChecking=no", f"UserKnownHostsFile={tmp_path / 'known'}", "BatchMode=no"]
        options += ["PreferredAuthentications=password", "NumberOfPasswordPrompts=1", "IdentityFile=/dev/null"]
        argv = ["sftp", *(f"-o{option}" for option in options), "-P", str(collector.port), "-b", "-"]
        environment = {**os.environ, "SSH_ASKPASS": str(ask), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":0"}
        return subprocess.run(
            [*argv, "microscope@127.0.0.1"],
            input=commands,
            text=True,
            capture_output=True,
            env={**environment, "COLLECTOR_PASSWORD": password},
            timeout=60,
            start_new_session=True,
            check=False,
        )

    return run


def _curl(collector: Collector, file: Path, name: str, *options: str, password: str = PASSWORD) -> str:
    scheme = "https" if "tls_fingerprint" in collector.ready else "http"
    argv = ["curl", "-sS", "-k", "-T", str(file), f"{scheme}://127.0.0.1:{collector.port}/{name}", "-w", "%{http_code}"]
    done = subprocess.run(
        [*argv, "-o", os.devnull, *options, "--config", "-"],
        input=f'user = "microscope:{password}"',
        text=True,
        capture_output=True,
        check=False,
    )
    return done.stdout


def test_sftp(make_collector: Callable[..., Collector], tmp_path: Path, sftp: Callable[..., object]) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    collector = make_collector(protocol="sftp", passive_ports=None).start()
    done = sftp(collector, f"put {tmp_path / 'file'} upload.bin\nmkdir sub\nput {tmp_path / 'file'} sub/b.bin\n")
    assert done.returncode == 0, done.stderr
    assert collector.object("upload.bin") == CONTENT
    assert collector.object("sub/b.bin") == CONTENT
    row = collector.row("upload.bin", "stored")
    assert row["bytes"] == len(CONTENT)
    assert row["source"] == "127.0.0.1"
    assert row["protocol"] == "sftp"
    fingerprint = collector.ready["host_key_fingerprint"]
    shown = subprocess.run(["ssh-keygen", "-lf", tmp_path / "known"], capture_output=True, text=True, check=True)
    assert fingerprint in shown.stdout
    for password in ("wrong", ""):
        assert sftp(collector, "ls\n", password).returncode != 0
    assert collector.stop() == 0
    assert collector.start().ready["host_key_fingerprint"] == fingerprint
    assert PASSWORD not in collector.log.read_text()
    assert (collector.state / "ssh-host-key").stat().st_mode & 0o077 == 0


def test_sftp_says_no_while_the_store_is_down(
    own_s3: S3Server, make_collector: Callable[..., Collector], tmp_path: Path, sftp: Callable[..., object]
) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    collector = make_collector(own_s3, protocol="sftp", passive_ports=None).start()
    file = tmp_path / "file"
    # The store dies between two commands: rclone has read the folder by then, and takes the file.
    done = sftp(collector, f"put {file} up.bin\n!kill -9 {own_s3.pid}\nput {file} down.bin\n")
    assert done.returncode != 0
    assert collector.object("up.bin") == CONTENT
    assert collector.row("down.bin", "waiting")["reason"]
    own_s3.kill()
    own_s3.start()
    collector.stop()
    collector.start()  # rclone looks through its cache when it starts
    wait_for(lambda: collector.object("down.bin") == CONTENT, "the upload after the restart")


@pytest.mark.parametrize("tls", [True, False])
def test_webdav(make_collector: Callable[..., Collector], tmp_path: Path, tls: bool) -> None:
    need("images", shutil.which("curl"), "curl is not installed")
    (tmp_path / "file").write_bytes(CONTENT)
    collector = make_collector(protocol="webdav", passive_ports=None, webdav_tls=tls).start()
    assert _curl(collector, tmp_path / "file", "upload.bin") == "201"
    assert collector.object("upload.bin") == CONTENT
    row = collector.row("upload.bin", "stored")
    assert (row["bytes"], row["source"], row["protocol"]) == (len(CONTENT), "127.0.0.1", "webdav")
    for password in ("wrong", ""):
        assert _curl(collector, tmp_path / "file", "other.bin", password=password) == "401"
    assert collector.object("other.bin") is None
    if tls:
        shown = ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(("127.0.0.1", collector.port)))
        assert hashlib.sha256(shown).digest().hex(":").upper() == collector.ready["tls_fingerprint"]
    assert PASSWORD not in collector.log.read_text()


def test_rclone_serve_is_started_again(make_collector: Callable[..., Collector], tmp_path: Path) -> None:
    need("images", shutil.which("curl"), "curl is not installed")
    (tmp_path / "file").write_bytes(CONTENT)
    collector = make_collector(protocol="webdav", passive_ports=None).start()
    # A child that dies within 2 s of the first start is taken for one that cannot run.
    wait_for(lambda: _curl(collector, tmp_path / "file", "before.bin") in ("201", "204"), "it serves")
    first = collector.rclone()
    wait_for(lambda: first.create_time() + 2.5 < time.time(), "two seconds of life")
    first.kill()
    first.wait(30)
    wait_for(lambda: _curl(collector, tmp_path / "file", "after.bin") in ("201", "204"), "it serves again")
    assert collector.object("after.bin") == CONTENT


def test_a_busy_port_is_one_line(make_collector: Callable[..., Collector]) -> None:
    collector = make_collector(protocol="webdav", passive_ports=None)
    with socket.create_server(("127.0.0.1", collector.port)):
        assert collector.launch().wait(60) == 1
    log = collector.log.read_text()
    assert "address already in use" in log
    assert "Traceback" not in log
