"""When was the app last used, and telling the hub."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import aiohttp

from images.app.settings import HubEnvironment
from images.lib.foreground import jobs_on_terminals, last_typed

log = logging.getLogger("tenanthub.app")

Rule = Literal["input", "traffic", "terminals"]
POLL_S = float(os.environ.get("TENANTHUB_ACTIVITY_POLL_S", "30"))
READING_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_REMEMBERED = 16


def counts(rule: Rule, method: str, fetch_mode: str) -> bool:
    """Whether an HTTP request is a person's doing. Pure.

    "traffic": every request. Otherwise: a page that a person opens (Sec-Fetch-Mode navigate, or a client that is no
    browser), and whatever changes something. What an open page asks for by itself is neither.
    """
    if rule == "traffic" or method not in READING_METHODS:
        return True
    return fetch_mode in ("navigate", "")


class Messages:
    """Which messages of one websocket, browser to app, are input and which are the page's own heartbeat."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._seen: deque[bytes] = deque(maxlen=_REMEMBERED)

    def counts(self, message: str | bytes) -> bool:
        """Whether *message* counts. A message that was seen lately in the same words is a heartbeat. With "terminals"
        none counts: VS Code's page talks all the time (measured: 80 messages a minute of an untouched tab)."""
        if self._rule != "input":
            return self._rule == "traffic"
        raw = message.encode() if isinstance(message, str) else message
        digest = hashlib.blake2b(raw, digest_size=8).digest()
        repeated = digest in self._seen
        if not repeated:
            self._seen.append(digest)
        return not repeated


class Clock:
    """The time of the last use (aware UTC)."""

    def __init__(self) -> None:
        self.last = datetime.now(UTC)

    def now(self) -> None:
        """It is used now."""
        self.last = datetime.now(UTC)

    def at(self, seconds: float) -> None:
        """It was used at *seconds* since the epoch; an earlier time than is known, or one to come, changes nothing."""
        moment = datetime.fromtimestamp(seconds, UTC)
        if self.last < moment <= datetime.now(UTC):
            self.last = moment


def last_edit(folder: Path | None) -> float:
    """The newest change of a folder in *folder* (seconds since the epoch), 0 where there is none. VS Code keeps its
    local history so: one folder an edited file, with one more entry in it for each time the file is saved."""
    if folder is None:
        return 0.0
    try:
        with os.scandir(folder) as entries:
            return max((entry.stat().st_mtime for entry in entries if entry.is_dir(follow_symlinks=False)), default=0.0)
    except OSError:
        return 0.0


def look(clock: Clock, pid: int, edits_folder: Path | None) -> None:
    """Bring *clock* up to date with what runs and was typed on the terminals below *pid*, and with the last edit."""
    if jobs := jobs_on_terminals(pid):
        log.debug("Active: %s", ", ".join(jobs))
        clock.now()
    else:
        clock.at(max(last_typed(pid), last_edit(edits_folder)))


async def watch(clock: Clock, pid: int, edits_folder: Path | None) -> None:
    """look(), every POLL_S seconds, until cancelled."""
    while True:
        await asyncio.to_thread(look, clock, pid, edits_folder)
        await asyncio.sleep(POLL_S)


async def report(hub: HubEnvironment, clock: Clock) -> None:
    """Tell the hub of each new use (POST to JUPYTERHUB_ACTIVITY_URL, as jupyterhub-singleuser does). Runs until
    cancelled; a hub that does not answer is asked again next time, with what is true then."""
    if hub.activity_url is None:
        log.warning("JUPYTERHUB_ACTIVITY_URL is not set: the hub is told of no activity")
        return
    told: datetime | None = None
    async with aiohttp.ClientSession(headers={"Authorization": f"token {hub.api_token}"}) as session:
        while True:
            last = clock.last
            if told is None or last > told:
                stamp = last.isoformat(timespec="microseconds").replace("+00:00", "Z")
                body = {"servers": {hub.server_name: {"last_activity": stamp}}, "last_activity": stamp}
                try:
                    timeout = aiohttp.ClientTimeout(total=20)
                    async with session.post(hub.activity_url, json=body, timeout=timeout) as answer:
                        answer.raise_for_status()
                    told = last
                except (aiohttp.ClientError, OSError, TimeoutError) as error:
                    log.warning("The hub could not be told of activity: %s", error)
            await asyncio.sleep(hub.activity_interval_s)
