"""When was the app last used, and telling the hub."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import deque
from datetime import UTC, datetime
from typing import Literal

import aiohttp

from images.app.settings import HubEnvironment
from images.lib.foreground import jobs_on_terminals

log = logging.getLogger("tenanthub.app")

POLL_S = 30.0
READING_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_REMEMBERED = 16


def counts(rule: Literal["input", "traffic", "vscode"], method: str, fetch_mode: str) -> bool:
    """Whether an HTTP request is a person's doing. Pure.

    "traffic": every request. Otherwise: a page that a person opens (Sec-Fetch-Mode navigate, or a client that is no
    browser), and whatever changes something. What an open page asks for by itself is neither.
    """
    if rule == "traffic" or method not in READING_METHODS:
        return True
    return fetch_mode in ("navigate", "")


class Messages:
    """Which messages of one websocket, browser to app, are input and which are the page's own heartbeat."""

    def __init__(self, rule: Literal["input", "traffic", "vscode"]) -> None:
        self._rule = rule
        self._seen: deque[bytes] = deque(maxlen=_REMEMBERED)

    def counts(self, message: str | bytes) -> bool:
        """Whether *message* counts. A message that was seen lately in the same words is a heartbeat. VS Code talks in
        the background all the time, so there only running programs and changing requests count."""
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


async def watch_jobs(clock: Clock, pid: int) -> None:
    """While a program runs on a terminal below *pid*, the app is in use. Runs until cancelled."""
    while True:
        if jobs := await asyncio.to_thread(jobs_on_terminals, pid):
            log.debug("Active: %s", ", ".join(jobs))
            clock.now()
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
