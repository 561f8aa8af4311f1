"""The app's own process: start it, wait until it answers, say why it did not, end it with everything it started."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import ipaddress
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import psutil

from images.app.settings import AppSettings, command_environment, filled

LOG_TAIL_LINES = 20
_LOG_LIMIT = 20_000_000
_POLL_S = 0.05
_PR_SET_PDEATHSIG = 1


class AppError(Exception):
    """The app cannot be had; the text says why, for its owner."""


@dataclass(frozen=True)
class Place:
    """Where the app listens: a loopback port, or a socket in a folder that only we may enter."""

    port: int = 0
    unix_socket: str | None = None

    def words(self, base_url: str) -> dict[str, str]:
        """What the placeholders of the command stand for."""
        return {"port": str(self.port), "unix_socket": self.unix_socket or "", "base_url": base_url}


def choose_place(settings: AppSettings) -> Place:
    """A place for the app that nobody uses. AppError where the fixed port is taken.

    The socket's folder is 0700 and short: a path of a socket may hold 107 bytes, a run's folder may be longer.
    """
    if settings.unix_socket:
        return Place(unix_socket=str(Path(tempfile.mkdtemp(prefix="tenanthub-app-"), "socket")))
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", settings.port or 0))
        except OSError as error:
            raise AppError(f"Port {settings.port} is not free on this machine ({error.strerror})") from None
        return Place(port=int(probe.getsockname()[1]))


def outside_addresses(addresses: Iterable[str]) -> list[str]:
    """Those of *addresses* that another machine could reach. Pure."""
    return sorted({address for address in addresses if not ipaddress.ip_address(address.split("%")[0]).is_loopback})


def _die_with_parent() -> None:
    if sys.platform == "linux":  # kill -9 of the launcher must not leave an app that nobody watches
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class AppProcess:
    """One command in its own session and process group. Its output goes to `app.log` in the run's folder."""

    def __init__(self, settings: AppSettings, place: Place, base_url: str) -> None:
        self.settings, self.place = settings, place
        self.log_path = settings.run_dir / "app.log"
        self._words = place.words(base_url)
        self._base_url = base_url
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """The process id (and process group id) of the command."""
        assert self._process is not None  # noqa: S101 - start() comes first
        return self._process.pid

    async def start(self) -> None:
        """Start the command. AppError where it cannot be started."""
        argv = [filled(self._words, word) for word in self.settings.command]
        self._limit_log()
        try:
            with self.log_path.open("ab") as log:
                self._process = await asyncio.create_subprocess_exec(
                    *argv,
                    cwd=self.settings.working_folder,
                    env=command_environment(os.environ, self.settings, self._words),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    preexec_fn=_die_with_parent,
                )
        except OSError as error:
            what = error.filename or argv[0]
            raise AppError(f"The command could not be started: {what}: {error.strerror}") from None

    def _limit_log(self) -> None:
        # One older log is kept, so that the reason of a restart can still be read.
        if self.log_path.exists() and self.log_path.stat().st_size > _LOG_LIMIT:
            self.log_path.replace(self.log_path.with_suffix(".log.1"))

    async def ready(self) -> None:
        """Return once the command answers HTTP where it should. AppError if it ends, takes too long, or listens where
        other machines reach it."""
        clock = asyncio.get_running_loop().time
        end = clock() + self.settings.ready_timeout_s
        while not await self._answers():
            if self._process is not None and self._process.returncode is not None:
                raise AppError(self.death())
            if clock() > end:
                where = self.place.unix_socket or f"port {self.place.port}"
                raise AppError(f"No answer on {where} within {self.settings.ready_timeout_s:g} s{self._last_words()}")
            await asyncio.sleep(_POLL_S)
        self._check_listeners()

    async def _answers(self) -> bool:
        path = self.settings.ready_path
        if self.settings.absolute_url:
            path = self._base_url.rstrip("/") + path
        connector = aiohttp.UnixConnector(self.place.unix_socket) if self.place.unix_socket else None
        timeout = aiohttp.ClientTimeout(total=5, sock_connect=1)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            try:
                # Any answer will do, an error page too: it is the app's, and says more than we could.
                async with session.get(f"http://localhost:{self.place.port or 80}{path}", allow_redirects=False):
                    return True
            except (aiohttp.ClientError, OSError, TimeoutError):
                return False

    def _check_listeners(self) -> None:
        """AppError unless it is our command that listens there, and on loopback addresses only."""
        if self.place.unix_socket:
            return
        ours = [psutil.Process(self.pid), *psutil.Process(self.pid).children(recursive=True)]
        addresses = []
        for process in ours:
            with contextlib.suppress(psutil.Error):
                for connection in process.net_connections("tcp"):
                    if connection.status == psutil.CONN_LISTEN and connection.laddr.port == self.place.port:
                        addresses.append(connection.laddr.ip)
        outside = outside_addresses(addresses)
        if outside and not self.settings.any_address:
            raise AppError(
                f"The command listens on {', '.join(outside)} port {self.place.port}, where others reach it without"
                " signing in; let it listen on 127.0.0.1 only"
            )
        if not addresses:
            raise AppError(f"Something else than the command answers on port {self.place.port}")

    async def ended(self) -> str:
        """Wait for the command's own end; the reason, for its owner."""
        assert self._process is not None  # noqa: S101 - start() comes first
        await self._process.wait()
        return self.death()

    def death(self) -> str:
        """Why the command has ended: exit code or signal, and its last lines."""
        code = self._process.returncode if self._process is not None else None
        how = (
            f"was ended by {signal.Signals(-code).name}" if code is not None and code < 0 else f"ended with code {code}"
        )
        return f"The command {how}{self._last_words()}"

    def _last_words(self) -> str:
        try:
            with self.log_path.open("rb") as log:
                log.seek(max(0, self.log_path.stat().st_size - 8192))
                lines = log.read().decode("utf-8", "replace").splitlines()[-LOG_TAIL_LINES:]
        except OSError:
            return ""
        text = "\n".join(line for line in lines if line.strip())
        return f". Its last lines:\n{text}" if text else " and said nothing"

    async def stop(self) -> None:
        """SIGTERM to the whole group, SIGKILL after the grace; also removes its socket."""
        if self._process is not None:
            # The group outlives its leader if a child does; killing it is right in both cases.
            self._signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), self.settings.stop_grace_s)
            self._signal(signal.SIGKILL)
            await self._process.wait()
        self._remove_socket()

    def _remove_socket(self) -> None:
        if self.place.unix_socket:
            shutil.rmtree(Path(self.place.unix_socket).parent, ignore_errors=True)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)
