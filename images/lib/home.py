"""python -P -m images.lib.home SETTINGS.json: a program whose home folder is kept in a remote.

The home is restored, then the program is started in it; every few minutes and after the program's end what has changed
is saved. Exit code: the program's own; 1 where the home could not be restored (the program was not started), or where
something is unsaved at the end and will not be there again; 2 for wrong settings.

home.json in the state folder, replaced whole as it goes, tells a page: `state` (restoring, kept, saving, not saved,
ended), `where`, `saved` (the last time at which all was), `unsaved_files`, `unsaved_bytes`, `to_restore`, `files`,
`bytes`, `conflicts` (path, other, when), `error`, `problems` (why, by path), `not_kept` (files that cannot be),
`updated`.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from pydantic import ValidationError

from images.lib.files import replace_json
from images.lib.home_files import HomeFolder, umask
from images.lib.home_plan import BOOKS, Ignore
from images.lib.home_settings import HomeSettings
from images.lib.home_status import Status
from images.lib.home_store import Store, StoreError
from images.lib.home_sync import Home, Round

log = logging.getLogger("tenanthub.home")
WRONG_SETTINGS = 2
_PDEATHSIG = 1  # prctl(2): PR_SET_PDEATHSIG
_libc = ctypes.CDLL(None, use_errno=True)  # loaded before a fork, not after it
_TRY_AGAIN_S = (1.0, 2.0, 5.0, 10.0)
_books = Ignore(BOOKS)


class NotRestoredError(Exception):
    """The home is not there; the text says why, for its owner."""


class Keeper:
    """The life of one home: restore, start, keep, end."""

    def __init__(self, settings: HomeSettings) -> None:
        self.settings = settings
        self.folder = HomeFolder(settings.home)
        self.program: subprocess.Popen[bytes] | None = None
        self._stop_by: float | None = None
        """Until when (time.monotonic) everything has to be over; None: nobody has asked us to end."""
        self._limit: float | None = None
        self._ending = False
        self._wake_read, self._wake_write = os.pipe()
        self.status = Status(settings, self.folder)
        store = Store(settings.rclone, settings.rclone_config, settings.remote, settings.state_folder, self._deadline)
        self.home = Home(self.folder, store, umask(), self.status.doing)

    def run(self) -> int:
        """All of it; the exit code. NotRestoredError, OSError."""
        for one in (self._wake_read, self._wake_write):
            os.set_blocking(one, False)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._asked_to_end)
        self.restore()
        if self._stop_by is not None:
            return 143
        self.start()
        code = self._watch()
        return self._end(code)

    def _asked_to_end(self, number: int, _frame: object) -> None:
        if self._stop_by is None:
            self._stop_by = time.monotonic() + self.settings.stop_program_s + self.settings.last_save_s
        if self.program is not None and self.program.poll() is None:
            self.program.send_signal(number)

    def _deadline(self, fetches: bool) -> float | None:
        """What a call of rclone is held to. Who is asked to end fetches nothing more that nobody will see."""
        if fetches and self._stop_by is not None and not self._ending:
            return 0.0
        ends = [end for end in (self._stop_by, self._limit) if end is not None]
        return min(ends) if ends else None

    # -- before --------------------------------------------------------------------------------------------------------

    def restore(self) -> None:
        """Have the home in its folder. NotRestoredError where it cannot be had: an empty one is never begun with."""
        self.folder.make()
        self.home.recall()
        self.status.doing("restoring")
        began = time.monotonic()
        tries = 0
        while self._stop_by is None:
            if not self.home.hold():
                self.home.recall()
                if self.home.known:
                    log.info("Another server of this machine keeps this home")
                    return
                self._wait(0.2)
                continue
            try:
                self._limit = began + self.settings.start_wait_s + self.settings.restore_s
                done = self.home.round(fetch_until=began + self.settings.restore_s)
            except StoreError as error:
                if self.home.known:
                    # What was there at the last round is there still, and a round never overwrites what it has not
                    # seen: so people can go on.
                    self.status.failed(str(error))
                    log.warning("The home is as this machine has it; %s: %s", self.settings.remote, error)
                    return
                if time.monotonic() - began > self.settings.start_wait_s:
                    raise NotRestoredError(
                        f"the home could not be restored from {self.settings.remote}: {error}"
                    ) from None
                self.status.failed(str(error))
                self._wait(_TRY_AGAIN_S[min(tries, len(_TRY_AGAIN_S) - 1)])
                tries += 1
                continue
            finally:
                self._limit = None
            self._tell(done)
            if done.to_fetch:
                log.warning("%d files of the home are still to be restored; that goes on meanwhile", done.to_fetch)
            return

    def start(self) -> None:
        """Start the program, in the home."""
        argv = list(self.settings.command)
        if self.settings.settings is not None:
            path = self.settings.state_folder / "program.json"
            replace_json(path, self.settings.settings)
            argv = [word.replace("{settings}", str(path)) for word in argv]
        env = {**os.environ, "HOME": str(self.settings.home)}
        self.program = subprocess.Popen(argv, cwd=self.settings.home, env=env, preexec_fn=_end_with_parent)
        if self._stop_by is not None:  # asked for between the last look and this
            self.program.terminate()

    # -- meanwhile -----------------------------------------------------------------------------------------------------

    def _watch(self) -> int:
        """Save until the program ends; its exit code."""
        assert self.program is not None  # noqa: S101 - start() comes first
        next_save = time.monotonic() + (1.0 if self.status.to_restore or self.status.error else self.settings.every_s)
        next_look = 0.0
        while self.program.poll() is None:
            now = time.monotonic()
            if self._stop_by is not None:
                if now > self._stop_by - self.settings.last_save_s:
                    self.program.kill()
                self._wait(min(1.0, max(0.0, self._stop_by - self.settings.last_save_s - now) + 0.01))
                continue
            if now >= next_save:
                done = self._save() if self.home.hold() else None
                again = done is not None and done.to_fetch
                next_save = time.monotonic() + (1.0 if again else self.settings.every_s)
            elif now >= next_look:
                next_look = now + max(self.settings.look_s, 50 * self._look())
            self._wait(max(0.05, min(next_save, next_look) - time.monotonic()))
        return 128 - self.program.returncode if self.program.returncode < 0 else self.program.returncode

    def _save(self) -> Round | None:
        try:
            done = self.home.round(last=self._ending)
        except (StoreError, OSError) as error:
            self.status.failed(_words(error))
            self._look()
            return None
        self._tell(done)
        return done

    def _tell(self, done: Round) -> None:
        with contextlib.suppress(OSError):
            seen = self.home.look()
            self.status.after(done, seen, self.home.unsaved(seen), self.home.base)

    def _look(self) -> float:
        """See what is unsaved by now; how long (seconds) the look took.

        Between two saves only people's own files are told: else a notebook would never be without unsaved changes.
        Everything counts while saving fails, and after a round.
        """
        began = time.monotonic()
        if not self.home.hold():
            self.home.recall()
        with contextlib.suppress(OSError):
            seen = self.home.look()
            unsaved = self.home.unsaved(seen)
            told = unsaved if self.status.error else [path for path in unsaved if not _books.path(path)]
            self.status.looked(seen, told, self.home.base)
        _collect(self.program)
        return time.monotonic() - began

    def _wait(self, seconds: float) -> None:
        """Until a signal comes, or a child ends, or *seconds* are over."""
        select.select([self._wake_read], [], [], seconds)
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_read, 4096)

    # -- after ---------------------------------------------------------------------------------------------------------

    def _end(self, code: int) -> int:
        """The last save, tried again while there is time; the exit code."""
        self._ending = True
        if not self.home.hold():
            self.status.ended()
            return code
        if self._stop_by is None:
            self._stop_by = time.monotonic() + self.settings.last_save_s
        tries = 0
        while True:
            done = self._save()
            # An answer that did not save everything (a file that nobody may read) is not another one a second later.
            if not self.status.unsaved_files or (done is not None and tries >= len(_TRY_AGAIN_S)):
                break
            pause = _TRY_AGAIN_S[min(tries, len(_TRY_AGAIN_S) - 1)]
            if time.monotonic() + pause > self._stop_by:
                break
            tries += 1
            self._wait(pause)
        self.status.ended()
        if not self.status.unsaved_files:
            return code
        print(self.status.last_words(), file=sys.stderr, flush=True)
        return code if self.settings.lasting else 1


def _words(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


def _end_with_parent() -> None:
    """A killed keeper must not leave a program whose home nobody keeps."""
    _libc.prctl(_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _collect(program: subprocess.Popen[bytes] | None) -> None:
    """As the first process of a container we are the parent of whatever was left behind."""
    if os.getpid() != 1:
        return
    with contextlib.suppress(ChildProcessError):
        while found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if program is not None and found.si_pid == program.pid:
                return
            os.waitpid(found.si_pid, os.WNOHANG)


def main(arguments: list[str]) -> int:
    """Run it; the exit code."""
    if len(arguments) != 1:
        print("usage: python -m images.lib.home SETTINGS.json", file=sys.stderr)
        return WRONG_SETTINGS
    logging.basicConfig(level=logging.INFO, format="%(asctime)s home: %(message)s", stream=sys.stderr)
    try:
        settings = HomeSettings.model_validate_json(Path(arguments[0]).read_bytes())
        settings.state_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except ValidationError as error:
        for item in error.errors():
            print(f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}", file=sys.stderr)
        return WRONG_SETTINGS
    except OSError as error:
        print(f"{error.filename or arguments[0]}: {error.strerror}", file=sys.stderr)
        return WRONG_SETTINGS
    try:
        return Keeper(settings).run()
    except NotRestoredError as error:
        message = f"{error}. Nothing was started, so that no empty home takes its place; try again later"
    except OSError as error:
        message = f"{error.filename or settings.home}: {error.strerror or error}"
    replace_json(settings.state_folder / "result.json", {"outcome": "failed", "message": message, "counts": {}})
    print(message, file=sys.stderr, flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
