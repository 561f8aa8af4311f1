"""Set a checkout up: `.venv` from the lock files, Node packages from theirs. `make` calls it before other commands.

    python -m tools.setup [run|dev]

Standard library only, because nothing else is there yet. When everything is in place it only compares stamps
(tools.stamps) and ends. Each step removes its stamp, does its work and writes its stamp, so that an interrupted set-up
is taken up at the step it was in; what was downloaded stays in the installers' caches. Two set-ups in one checkout take
turns by a lock that the installers inherit: when this program is killed and an installer lives on, the next set-up
waits for it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO, TYPE_CHECKING

from tools import stamps
from tools.places import BUILD, LEVELS, LOCKS, MARK, NODE_MODULES, ROOT, VENV, SetupError

if TYPE_CHECKING:  # installers is imported only when there is something to install
    from tools.installers import Progress


@dataclass(frozen=True)
class Step:
    """One thing to make: what it is made from (a digest for each level), where its stamp lies, and how it is made."""

    stamp: Path
    digests: dict[str, str]
    make: Callable[[str, Progress], None]
    lines: int  # of progress

    def fresh(self, level: str) -> bool:
        """Whether what is there was made from today's input, for this level or a wider one."""
        return stamps.read(self.stamp).get(level) == self.digests[level]

    def bring(self, level: str, progress: Progress) -> None:
        """Make it, and say so in the stamp once it is whole. A checkout once set up for dev stays so."""
        level = "dev" if "dev" in stamps.read(self.stamp) else level
        self.stamp.unlink(missing_ok=True)
        self.make(level, progress)
        reached = LEVELS[: LEVELS.index(level) + 1]
        stamps.write(self.stamp, {name: self.digests[name] for name in reached})


def steps() -> list[Step]:
    """The steps in their order; a later one lies within what an earlier one makes, and goes with it."""
    # The place counts: scripts in a venv hold its absolute path. So does the Python: another minor version has
    # another site-packages folder.
    place = stamps.digest(str(VENV), f"{sys.version_info.major}.{sys.version_info.minor}")
    node = [ROOT / "package.json", ROOT / "package-lock.json", ROOT / ".npmrc"]
    return [
        Step(MARK / "venv", dict.fromkeys(LEVELS, place), make_venv, lines=1),
        Step(
            MARK / "packages",
            {level: stamps.digest(LOCKS[level], ROOT / "pyproject.toml") for level in LEVELS},
            install_packages,
            lines=3,
        ),
        Step(
            NODE_MODULES / ".tenanthub",
            {level: stamps.digest(level, *node) for level in LEVELS},
            install_node,
            lines=1,
        ),
    ]


def stale(level: str) -> list[Step]:
    """The steps still to do for a level, in order."""
    return [step for step in steps() if not step.fresh(level)]


# --- the steps -----------------------------------------------------------------------------------------------------


def make_venv(_level: str, progress: Progress) -> None:
    """A new, empty `.venv` in place of an old or unfinished one. Raises SetupError when that one is not ours."""
    from tools import installers

    ours = MARK.is_dir() or not VENV.is_dir() or not any(VENV.iterdir())
    if not ours:
        raise SetupError(".venv was not made by this Makefile; move it away (mv .venv .venv-mine), then run make again")
    if VENV.exists() or VENV.is_symlink():
        # Moved first, removed after: removing takes a second, and half a .venv would no longer carry our mark.
        VENV.rename(BUILD / f"old-venv-{os.getpid()}")
    for old in BUILD.glob("old-venv-*"):
        if old.is_symlink():
            old.unlink()
        else:
            shutil.rmtree(old, ignore_errors=True)
    MARK.mkdir(parents=True)
    installers.create_venv(progress)


def install_packages(level: str, progress: Progress) -> None:
    """The packages of a lock file, by their hashes, and TenantHub itself as an editable install."""
    from tools import installers

    # Installers take a package for installed by its metadata, which may be there before all of its files are. So while
    # packages change the .venv is not whole either: cut short here, it is made anew, from what is in the caches.
    venv_stamp = MARK / "venv"
    whole = stamps.read(venv_stamp)
    venv_stamp.unlink()
    installers.bring_uv(progress)
    installers.sync(progress, LOCKS[level])
    installers.install_tenanthub(progress)
    installers.link_node()
    stamps.write(venv_stamp, whole)


def install_node(level: str, progress: Progress) -> None:
    """The packages of package-lock.json, with the Node that came as a Python package."""
    from tools import installers

    installers.npm_ci(progress, with_dev=level == "dev")


# --- the command ---------------------------------------------------------------------------------------------------


def take_turn() -> IO[str]:
    """Hold the lock of this checkout, waiting for another set-up to end. Raises SetupError when it can't be written."""
    try:
        BUILD.mkdir(exist_ok=True)
        lock = (BUILD / "setup.lock").open("w")
    except OSError as error:
        raise SetupError(
            f"cannot write to {ROOT} ({error.strerror}); the .venv goes there: clone it to a folder of your own"
        ) from None
    os.set_inheritable(lock.fileno(), True)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("Another set-up of this checkout is at work; waiting for it.", flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def set_up(level: str) -> None:
    """Bring a checkout to a level. Raises SetupError, and OSError for what went wrong on the disk."""
    if not stale(level):
        return
    for needed in (*LOCKS.values(), ROOT / "package-lock.json"):
        if not needed.is_file():
            raise SetupError(f"{needed.name} is missing: this is not a whole checkout")
    from tools.installers import Progress

    with take_turn():
        todo = stale(level)
        if any(step.stamp == MARK / "venv" for step in todo):
            # A new .venv takes along what was in it.
            todo = [step for step in steps() if step.stamp.parent == MARK or not step.fresh(level)]
        progress = Progress(total=sum(step.lines for step in todo))
        for step in todo:
            step.bring(level, progress)


def main(argv: list[str]) -> int:
    """0 when the checkout is set up; 1 after one line that says what is wrong; 130 when interrupted."""
    level = argv[0] if argv else "run"
    if level not in LEVELS or len(argv) > 1:
        print("usage: python -m tools.setup [run|dev]", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        set_up(level)
    except SetupError as error:
        print(f"Set-up stopped: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"Set-up stopped: {error.strerror or error}: {error.filename or ROOT}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nSet-up interrupted; the next make takes it up from here.", file=sys.stderr)
        return 130
    return 0


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
