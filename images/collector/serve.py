"""SFTP and WebDAV: ``rclone serve`` as a supervised child, and rows made from its log.

With ``--vfs-cache-mode writes --vfs-write-back 0`` rclone answers the client's close only after the upload, with an
error where that failed. What it does not do, unlike our FTP server: a transfer that breaks off is uploaded as far as
it came, over an earlier object too, and its log does not tell it from a whole one. docs/collector.md has the
measurements.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import os
import re
import secrets
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from images.collector import tls
from images.collector.ledger import Ledger, Outcome
from images.collector.settings import Settings, read_password
from images.lib.files import replace_json
from images.lib.rclone_rc import RcloneUnavailable, die_with_parent, plain_reason

_log = logging.getLogger("collector")
_START_S = 20.0
_SERVES = re.compile(r"SFTP server listening on|WebDav Server started on")
_TOLD_WITHIN_S = 2.0
_ESTABLISHED = "01"  # Linux, include/net/tcp_states.h


@dataclass(frozen=True)
class Event:
    """What one line of rclone's log says about *path*: begun, stored, waiting (in the cache, upload failed), or told
    (who sent it, WebDAV only).
    """

    kind: str
    path: str
    size: int | None = None
    source: str | None = None
    reason: str | None = None


def read_event(line: str) -> Event | None:
    """The event in one line of ``--use-json-log``; None for everything else. Messages as of rclone 1.75."""
    try:
        record = json.loads(line)
        message, path = str(record["msg"]), str(record.get("object", "")).lstrip("/")
    except (ValueError, KeyError, TypeError):
        return None
    if message.startswith("Copied ("):
        return Event("stored", path, size=int(record.get("size", 0)))
    if message.startswith("vfs cache: queuing for upload"):
        return Event("begun", path)
    if message.startswith("Failed to copy: "):
        return Event("waiting", path, reason=plain_reason(message.removeprefix("Failed to copy: ")))
    if message.startswith("PUT from "):
        return Event("told", path, source=message.removeprefix("PUT from ").rpartition(":")[0].strip("[]"))
    return None


@dataclass
class Rows:
    """Turns events into rows; *peers* tells the addresses connected now."""

    ledger: Ledger
    protocol: str
    peers: Any
    running: set[str] = field(default_factory=set)
    _waiting: set[str] = field(default_factory=set)
    _untold: dict[str, list[Event]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, event: Event) -> None:
        """One event; a WebDAV row is held until the line that tells its source, which follows within the request."""
        if event.kind == "begun":
            self.running.add(event.path)
            return
        if event.kind == "told":
            self._release(event.path, event.source)
            return
        self.running.discard(event.path)
        if self.protocol == "webdav":
            with self._lock:
                self._untold.setdefault(event.path, []).append(event)
            # What rclone uploads from its cache after a restart is nobody's request: no line will tell a source.
            timer = threading.Timer(_TOLD_WITHIN_S, self._release, (event.path, None))
            timer.daemon = True
            timer.start()
        else:
            connected = self.peers()
            self._write(event, next(iter(connected)) if len(connected) == 1 else None)

    def _release(self, path: str, source: str | None) -> None:
        with self._lock:
            held = self._untold.pop(path, [])
        for event in held:
            self._write(event, source)

    def _write(self, event: Event, source: str | None) -> None:
        outcome: Outcome = "waiting"
        reason = event.reason
        if event.kind == "stored":
            outcome = "late" if event.path in self._waiting else "stored"
            self._waiting.discard(event.path)
        else:
            self._waiting.add(event.path)
        if source is None and reason is None:
            reason = "source unknown: none or several clients were connected"
        self.ledger.write(
            id=secrets.token_hex(10),
            path=event.path,
            bytes=event.size,
            source=source,
            protocol=self.protocol,
            outcome=outcome,
            reason=reason,
        )


def connected_peers(port: int, tables: tuple[Path, ...] = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))) -> set[str]:
    """The addresses with an established connection to our *port*, from the kernel's tables (proc(5))."""
    found: set[str] = set()
    for table in tables:
        try:
            lines = table.read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            _, local, remote, state, *_ = line.split()
            if state == _ESTABLISHED and int(local.rpartition(":")[2], 16) == port:
                found.add(_address(remote.rpartition(":")[0]))
    return found


def serve_by_rclone(settings: Settings, lock: int, stop: threading.Event) -> None:
    """Serve until *stop*. RcloneUnavailable where rclone does not come up; OSError for the state folder."""
    state = settings.state_dir
    argv, ready = _command(settings)
    if not (settings.allow_delete and settings.allow_download and settings.allow_list):
        _log.warning("rclone serve %s cannot forbid deleting, downloading or listing", settings.protocol)
    rows = Rows(
        Ledger(state / "uploads.jsonl", settings.uploads_max_bytes),
        settings.protocol,
        lambda: connected_peers(settings.port),
    )
    child = _Child(argv, settings, lock, rows)
    child.start()
    try:
        if not child.wait_ready(_START_S):
            raise RcloneUnavailable(f"rclone serve {settings.protocol} did not start; its own words are above")
        replace_json(state / "ready.json", ready)
        _log.info("serving %s at %s port %d", settings.protocol, settings.told_address, settings.port)
        stop.wait()
        (state / "ready.json").unlink(missing_ok=True)
        _log.info("stopping")
        # rclone leaves at once on SIGTERM, whatever it is uploading.
        deadline = time.monotonic() + settings.grace_s
        while rows.running and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        child.stop()


def _command(settings: Settings) -> tuple[list[str], dict[str, Any]]:
    """The command line, without the password, and what ready.json says."""
    state = settings.state_dir.absolute()
    host = f"[{settings.address}]" if ":" in settings.address else settings.address
    argv = [str(settings.rclone.absolute()), "serve", settings.protocol, f"{settings.destination}/"]
    argv += ["--config", str(settings.rclone_config.absolute()), "--addr", f"{host}:{settings.port}"]
    argv += ["--user", settings.username, "--cache-dir", str(state / "cache")]
    argv += ["--vfs-cache-mode=writes", "--vfs-write-back=0", "--vfs-cache-max-age=1m", "--dir-cache-time=5s"]
    if settings.max_spool_bytes is not None:
        argv += [f"--vfs-cache-max-size={settings.max_spool_bytes}B"]
    # DEBUG would print the password that comes by the environment.
    argv += ["--s3-no-check-bucket", "--s3-upload-cutoff=1Gi", "--retries=1", "--low-level-retries=2"]
    argv += ["--contimeout=10s", "--timeout=60s", "--use-json-log", "--log-level=INFO"]
    ready = {"address": settings.told_address, "port": settings.port, "protocol": settings.protocol, "pid": os.getpid()}
    if settings.protocol == "sftp":
        key, fingerprint = tls.host_key(state, tls.read_seed(settings.seed_file))
        argv += ["--key", str(key), "--authorized-keys", ""]
        ready["host_key_fingerprint"] = fingerprint
    elif settings.webdav_tls:
        seed = tls.read_seed(settings.seed_file)
        certificate, key, fingerprint = tls.certificate(state, [settings.told_address, settings.address], seed)
        argv += ["--cert", str(certificate), "--key", str(key)]
        ready["tls_fingerprint"] = fingerprint
    return argv, ready


class _Child:
    """rclone serve, started again whenever it ends by itself; one thread starts it and reads its log."""

    def __init__(self, argv: list[str], settings: Settings, lock: int, rows: Rows) -> None:
        self._argv = argv
        self._settings = settings
        self._lock = lock
        self._rows = rows
        self._password = read_password(settings.password_file)
        self._stopping = threading.Event()
        self._serves = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._run, name="rclone-serve", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wait_ready(self, timeout_s: float) -> bool:
        """Until rclone says that it listens; False where the child ended first or *timeout_s* seconds passed."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and self._thread.is_alive() and not self._stopping.is_set():
            if self._serves.wait(0.05):
                return True
        return False

    def stop(self) -> None:
        self._stopping.set()
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
        self._thread.join(5)

    def _run(self) -> None:
        pause = 0.1
        came_up = False
        while not self._stopping.is_set():
            started = time.monotonic()
            with self._spawn() as process:
                self._process = process
                self._read(process.stderr)
            lived = time.monotonic() - started
            if self._stopping.is_set():
                return
            came_up = came_up or lived > 2
            if not came_up:
                return  # a busy port, a wrong setting: its own line says which
            pause = 0.1 if lived > 10 else min(pause * 2, 5.0)
            _log.warning("rclone serve ended by itself (status %s); starting it again", process.returncode)
            self._rows.running.clear()
            self._stopping.wait(pause)

    def _spawn(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self._argv,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            umask=0o077,
            pass_fds=(self._lock,),
            # By the environment, which only our own user can read; argv is everyone's.
            env={**os.environ, "RCLONE_PASS": self._password},
            preexec_fn=die_with_parent,
            start_new_session=True,
        )

    def _read(self, stream: IO[str] | None) -> None:
        for line in stream or ():
            event = read_event(line)
            if event is not None:
                self._rows.take(event)
            elif self._password not in line:
                self._pass_on(line)

    def _pass_on(self, line: str) -> None:
        try:
            record = json.loads(line)
            level, text = str(record["level"]), f"{record['msg']}".strip()
            where = record.get("object", "")
        except (ValueError, KeyError, TypeError):
            return
        if _SERVES.search(text):
            self._serves.set()
        if level in ("error", "critical", "warning", "notice") or "login" in text:
            _log.info("rclone: %s%s", text[:300], f" ({where})" if where else "")


def _address(word: str) -> str:
    """An address of /proc/net/tcp: 32-bit words in the machine's byte order, here little-endian as on x86 and ARM."""
    raw = bytes.fromhex(word)
    packed = b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4))
    address = ipaddress.ip_address(packed)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)
