"""One run from its settings to its exit code: salvage, crawl, manifest, upload, result.

Scrapy is imported only once the settings are known to be right: a mistake in them is told at once.
"""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import signal
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from images.crawler.salvage import FILES, RESULT, RUN, locked, salvage_all
from images.crawler.settings import CrawlSettings, SettingsError, load_settings
from images.crawler.upload import MANIFEST, Uploader, UploadError
from images.lib.files import replace_json

if TYPE_CHECKING:
    from images.crawler.state import CrawlState

EXIT = {"ok": 0, "failed": 1, "stopped": 143}
REASONS = {
    "finished": "everything in reach was fetched",
    "max_pages": "max_pages was reached",
    "max_bytes": "max_bytes was reached",
    "time_limit": "the time limit was reached",
    "stopped": "it was stopped",
}

log = logging.getLogger("crawler")


class StopFlag:
    """Set by SIGTERM or SIGINT, and asked by everything that takes time."""

    def __init__(self) -> None:
        self.is_set = False

    def __call__(self) -> bool:
        """Whether we were told to stop."""
        return self.is_set

    def listen(self) -> None:
        """Take the two signals over. A plain flag: a handler may interrupt anything, and must not wait for a lock."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._set)

    def _set(self, _number: int, _frame: object) -> None:
        self.is_set = True


class _OneLine(logging.Formatter):
    """Plain text, UTC, and an exception as its one-line message: a traceback tells a user nothing."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802, RUF100
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))

    def formatException(self, ei: Any) -> str:  # noqa: N802, RUF100  # logging's name
        return f"  ({ei[0].__name__}: {' '.join(str(ei[1]).split())[:300]})" if ei and ei[0] else ""


def main(arguments: list[str]) -> int:
    """Run the crawl that the settings file in *arguments* describes; gives the exit code."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print("usage: python -m images.crawler SETTINGS.json", file=sys.stderr)
        return EXIT["failed"]
    try:
        settings = load_settings(Path(arguments[0]))
    except SettingsError as error:
        print(error, file=sys.stderr)
        return EXIT["failed"]
    _log_to_stderr()
    stop = StopFlag()
    stop.listen()
    try:
        settings.run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        with locked(settings.run_dir) as ours:
            if not ours:
                log.error("another process is at work in %s", settings.run_dir)
                return EXIT["failed"]
            if (settings.run_dir / FILES).exists():
                log.error(
                    "%s holds the files of an earlier run: name it in salvage_dirs of a new one", settings.run_dir
                )
                return EXIT["failed"]
            return _run(settings, stop)
    except OSError as error:
        return _give_up(settings, f"{error.filename or settings.run_dir}: {error.strerror}")
    except Exception as error:
        return _give_up(settings, f"unexpected {type(error).__name__}: {error}")


def _give_up(settings: CrawlSettings, message: str) -> int:
    """Tell what stopped us, in the log and, if that can still be written, in result.json."""
    log.error(message)  # noqa: TRY400, RUF100  # a line, not a traceback
    with contextlib.suppress(OSError):
        counts: dict[str, int] = {}
        result = {"outcome": "failed", "message": message, "counts": counts, "destination": settings.run_destination}
        replace_json(settings.run_dir / RESULT, result | {"uploaded": False})
    return EXIT["failed"]


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    log.setLevel(logging.INFO)


def _run(settings: CrawlSettings, stop: StopFlag) -> int:
    uploader = Uploader(settings.rclone, settings.rclone_config, settings.upload_retry_s, settings.stop_upload_s, stop)
    if settings.may_be_again:
        there = _of_an_earlier_try(settings, uploader)
        if MANIFEST in there and (code := _already_whole(settings, uploader)) is not None:
            return code
        uploader = replace(uploader, anew=bool(there))
    waiting = salvage_all(settings, uploader)
    state = _crawl(settings, stop)
    outcome, message = judge(state)
    result: dict[str, Any] = {
        "outcome": outcome,
        "reason": state.reason,
        "message": message,
        "counts": state.counts(),
        "destination": settings.run_destination,
        "started": state.progress()["started"],
    }
    replace_json(settings.run_dir / "progress.json", state.progress() | {"phase": "uploading", "queued": 0})
    files = settings.run_dir / FILES
    replace_json(files / MANIFEST, _manifest(settings, state, outcome, message))
    try:
        uploader.upload(files, settings.run_destination)
    except UploadError as error:
        log.error("the files stay here: %s", error)  # noqa: TRY400  # no traceback
        result |= _kept(outcome, message, error, stopped=stop())
    else:
        shutil.rmtree(files)
        result["uploaded"] = True
        if waiting and not stop():  # the store is there now
            salvage_all(settings.model_copy(update={"salvage_dirs": tuple(waiting)}), uploader)
    result["ended"] = _now()
    replace_json(settings.run_dir / RESULT, result)
    log.info("%s: %s", result["outcome"], result["message"])
    return EXIT[result["outcome"]]


def _of_an_earlier_try(settings: CrawlSettings, uploader: Uploader) -> set[str]:
    """What lies in this run's folder; nothing where the store does not answer (it is waited for after the crawl)."""
    try:
        return uploader.found(settings.run_destination)
    except UploadError as error:
        log.warning("whether an earlier try has brought this run in is not known: %s", error)
        return set()


def _already_whole(settings: CrawlSettings, uploader: Uploader) -> int | None:
    """The exit code of a run that an earlier try has brought in whole, with the result that its manifest tells."""
    try:
        told = json.loads(uploader.manifest(settings.run_destination))
        outcome, message = str(told["outcome"]), str(told["message"])
        result = {"outcome": outcome, "message": message, "counts": dict(told["counts"])}
        code = EXIT[outcome]
    except (UploadError, ValueError, KeyError, TypeError) as error:
        log.warning("its manifest cannot be read, so it is crawled again: %s", error)
        return None
    log.info("an earlier try of this run has brought its files in: nothing is crawled again")
    replace_json(settings.run_dir / RESULT, result | {"destination": settings.run_destination, "uploaded": True})
    return code


def _crawl(settings: CrawlSettings, stop: StopFlag) -> CrawlState:
    from images.crawler.archive import Archive
    from images.crawler.crawl import crawl
    from images.crawler.manifest import public_settings, software
    from images.crawler.scope import Scope
    from images.crawler.state import CrawlState

    versions = software()
    info = {
        "software": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "format": "WARC File Format 1.1",
        "conformsTo": "http://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/",
        "robots": "obey",
        "http-header-user-agent": settings.user_agent,
        "isPartOf": f"{settings.name}/{settings.run_id}",
    }
    # run.json first: files without it could not be salvaged.
    run = {"name": settings.name, "run_id": settings.run_id, "started": _now()}
    replace_json(settings.run_dir / RUN, run | {"settings": public_settings(settings), "software": versions})
    archive = Archive(settings.run_dir / FILES, f"{settings.name}-{settings.run_id}", settings.warc_bytes, info)
    state = CrawlState(settings, Scope.of(settings), archive)
    crawl(state, settings.run_dir / "progress.json", stop)
    archive.close()
    return state


def judge(state: CrawlState) -> tuple[str, str]:
    """Outcome and message of a crawl that has ended, before it is known whether its files arrive."""
    from images.crawler.state import empty_message

    reason = state.reason or "failed"
    pages = "1 page" if state.pages == 1 else f"{state.pages} pages"
    if reason == "failed":
        return "failed", f"{state.failure} ({pages} until then)"
    if reason == "stopped":
        return "stopped", f"Stopped with {pages}; what was fetched is kept"
    if state.pages == 0:
        return "failed", empty_message(state.settings.start_urls, state.start_failures, reason)
    return "ok", f"{pages}; {REASONS[reason]}"


def _kept(outcome: str, message: str, error: UploadError, stopped: bool) -> dict[str, Any]:
    """What result.json says of files that stay here; a crawl that went well fails by that, or was *stopped* in it."""
    unfinished = "stopped" if stopped else "failed"
    return {
        "outcome": unfinished if outcome == "ok" else outcome,
        "message": f"{message}. But the object store did not take the files ({error}): they are kept and go up with "
        "the next run",
        "uploaded": False,
    }


def _manifest(settings: CrawlSettings, state: CrawlState, outcome: str, message: str) -> dict[str, Any]:
    from images.crawler.manifest import FORMAT, list_files, public_settings, software

    return {
        "format": FORMAT,
        "name": settings.name,
        "run_id": settings.run_id,
        "started": state.progress()["started"],
        "settings": public_settings(settings),
        "software": software(),
        "ended": _now(),
        "outcome": outcome,
        "reason": state.reason,
        "message": message,
        "counts": state.counts(),
        "statuses": {str(status): count for status, count in sorted(state.statuses.items())},
        "files": list_files(settings.run_dir / FILES),
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
