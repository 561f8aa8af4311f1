"""``python -m images.collector SETTINGS.json``: serve until SIGTERM.

Exit codes: 0 after SIGTERM or SIGINT, 1 where the service cannot run (port busy, state folder in use), 2 for wrong
settings.
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from images.collector import tls
from images.collector.data import PassivePorts
from images.collector.defender import Defender
from images.collector.filesystem import Folders
from images.collector.history import History
from images.collector.ledger import Ledger
from images.collector.publish import Publisher
from images.collector.server import FtpService, one_line_for_threads
from images.collector.service import Service
from images.collector.settings import Settings, SettingsError, load_settings, read_password
from images.collector.spool import Spool
from images.collector.store import RCD_OPTIONS, Store, StoreError
from images.lib.files import replace_json
from images.lib.rclone_rc import RcloneDaemon, RcloneError

_log = logging.getLogger("collector")
_LOCK_WAIT_S = 10.0


class CannotRun(Exception):
    """The service cannot start; str() is the line for people."""


def main(arguments: list[str]) -> int:
    """Run the collector with the settings file named in *arguments*; the exit code."""
    if len(arguments) != 1:
        print("usage: python -m images.collector SETTINGS.json", file=sys.stderr)
        return 2
    try:
        settings = load_settings(Path(arguments[0]))
    except SettingsError as error:
        for problem in error.problems:
            print(f"settings: {problem}", file=sys.stderr)
        return 2
    _start_logging()
    os.umask(0o077)  # spool, rows and keys are nobody else's
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        lock = _lock_state(settings.state_dir, stop)
        # Left by one that was killed. A kubelet takes it for ours, and would let instruments in too early.
        (settings.state_dir / "ready.json").unlink(missing_ok=True)
        rows, place = settings.state_dir / "uploads.jsonl", settings.history
        history = History(rows, place, settings.rclone, settings.rclone_config) if place else None
        if history is not None:
            history.start()
        try:
            if settings.is_ftp:
                _serve_ftp(settings, lock, stop)
            else:
                from images.collector.serve import serve_by_rclone

                serve_by_rclone(settings, lock, stop)
            if history is not None:
                # Before the rows are sent: the store may be slow, and the kubelet waits no longer than our grace.
                history.leave()
        finally:
            if history is not None:
                history.stop()
    except SettingsError as error:
        for problem in error.problems:
            print(f"settings: {problem}", file=sys.stderr)
        return 2
    except (CannotRun, RcloneError) as error:
        print(f"collector: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"collector: {where}{error.strerror}", file=sys.stderr)
        return 1
    return 0


def _serve_ftp(settings: Settings, lock: int, stop: threading.Event) -> None:
    state = settings.state_dir
    seed = tls.read_seed(settings.seed_file)
    certificate, key, fingerprint = tls.certificate(state, [settings.told_address, settings.address], seed)
    spool = Spool(state / "spool", settings.max_spool_bytes)
    ledger = Ledger(state / "uploads.jsonl", settings.uploads_max_bytes)
    daemon = RcloneDaemon(
        settings.rclone.absolute(),
        settings.rclone_config.absolute(),
        state / "rclone",
        options=(*RCD_OPTIONS, f"--cache-dir={(state / 'rclone').absolute()}"),
        keep_open=(lock,),
    )
    store = Store(daemon, settings.destination)
    publisher = Publisher(store, spool, ledger, timeout_s=settings.store_timeout_s, retry_s=settings.retry_s)
    assert settings.passive_ports is not None  # noqa: S101  the model refuses FTP without
    service = Service(
        settings=settings,
        password=read_password(settings.password_file),
        spool=spool,
        store=store,
        publisher=publisher,
        ledger=ledger,
        folders=Folders(state / "folders.json"),
        defender=Defender(settings.limits.login_failures, settings.limits.lockout_s),
        ports=PassivePorts(*settings.passive_ports),
    )
    server = FtpService(service, tls.context(certificate, key))
    daemon.start()
    try:
        _check_remote(daemon, settings)
        _recover(spool, ledger, publisher)
        server.start()
        threading.Thread(target=_probe, args=(store,), name="probe", daemon=True).start()
        ready = {
            "address": settings.told_address,
            "port": settings.port,
            "protocol": settings.protocol,
            "passive_ports": list(settings.passive_ports),
            "tls_fingerprint": fingerprint,
            "pid": os.getpid(),
        }
        _serve_until(stop, state, ready)
        publisher.stop()
        server.stop(settings.grace_s)
    finally:
        daemon.stop()


def _serve_until(stop: threading.Event, state: Path, ready: dict[str, Any]) -> None:
    """Say that we serve, wait for the signal, and say that we no longer do."""
    replace_json(state / "ready.json", ready)
    _log.info("serving %s at %s port %s", ready["protocol"], ready["address"], ready["port"])
    stop.wait()
    (state / "ready.json").unlink(missing_ok=True)
    _log.info("stopping")


def _recover(spool: Spool, ledger: Ledger, publisher: Publisher) -> None:
    """Rows for what an earlier run left half received; what it left complete goes to the publisher."""
    left = spool.recover()
    for upload, reason in left.broken:
        ledger.write(
            id=upload.id,
            path=upload.path,
            bytes=upload.size,
            source=upload.source,
            protocol=upload.protocol,
            outcome="incomplete",
            reason=reason,
            seconds=time.time() - upload.started,
        )
    if left.complete:
        _log.warning("%d received files of an earlier run are not stored yet", len(left.complete))
    publisher.start(left.complete)


def _check_remote(daemon: RcloneDaemon, settings: Settings) -> None:
    """SettingsError where the destination names no remote of the configuration."""
    name = settings.destination.partition(":")[0]
    remotes = daemon.call("config/listremotes", 10.0).get("remotes") or []
    if name not in remotes:
        have = ", ".join(remotes) or "none"
        raise SettingsError([f"destination: no remote {name!r} in {settings.rclone_config} (there: {have})"])


def _probe(store: Store) -> None:
    """Ask the store once, so that a missing bucket or a wrong key is told now and not by the first upload at night.

    Not an error that ends us: the store may be back before the first upload, and what is received waits for it.
    """
    try:
        store.probe()
    except StoreError as error:
        _log.error("the destination does not answer as it should: %s", error)


def _lock_state(state: Path, stop: threading.Event) -> int:
    """Hold the state folder for this process and its rclone. CannotRun where another collector has it.

    rclone inherits the lock: had we been killed, and it not yet, a copy that it still finishes could come after a
    newer one.
    """
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(state / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + _LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline or stop.wait(0.1):
                raise CannotRun(f"{state}: another collector uses this state folder") from None
        else:
            return descriptor


def _start_logging() -> None:
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S%z",
    )
    # pyftpdlib's own commentary would name files and users a second time; its unexpected errors come through our
    # handlers.
    logging.getLogger("pyftpdlib").setLevel(logging.CRITICAL)
    threading.excepthook = one_line_for_threads


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
