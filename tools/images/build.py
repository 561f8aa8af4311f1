"""From files to finished images: those that are there are left alone, the others are built side by side."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.images import base as bases
from tools.images.engines import Engine
from tools.images.inputs import IMAGES, Image, key, stage
from tools.images.network import Network
from tools.images.problem import BuildError

Say = Callable[[str], None]
SBOM = "usr/share/tenanthub/sbom.cdx.json"


@dataclass(frozen=True)
class Built:
    """A finished image."""

    name: str
    key: str
    """Of all that it is made from: the same key, the same image."""
    reference: str
    """In the engine's storage."""
    pulled: int
    """Bytes that a node fetches, layers that it has included; 0: the engine does not know."""
    unpacked: int
    """Bytes on a node's disk."""
    seconds: float
    """That it took; 0: it was there."""


@dataclass(frozen=True)
class Wanted:
    """What to build, and how."""

    base: str = "auto"
    """"auto", "local", or an image's name."""
    names: tuple[str, ...] = ()
    """None: all."""
    jobs: int = 2
    again: bool = False
    """Also what is there."""


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """$TENANTHUB_CACHE/images, else $XDG_CACHE_HOME/tenanthub/images, else ~/.cache/tenanthub/images."""
    if named := environ.get("TENANTHUB_CACHE"):
        return Path(named).absolute() / "images"
    given = environ.get("XDG_CACHE_HOME")
    return (Path(given) if given and Path(given).is_absolute() else Path.home() / ".cache") / "tenanthub" / "images"


def chosen(names: Iterable[str]) -> tuple[Image, ...]:
    """The images of those names, all where there are none. BuildError names one that there isn't."""
    wanted = set(names)
    if unknown := wanted - {image.name for image in IMAGES}:
        known = ", ".join(sorted(image.name for image in IMAGES))
        raise BuildError(f"no such image: {', '.join(sorted(unknown))}; there are {known}")
    return tuple(image for image in IMAGES if not wanted or image.name in wanted)


def resolve_base(wanted: str, say: Say) -> str | None:
    """The base's name; None: the one that is made here."""
    if wanted == "local":
        return None
    if wanted != "auto":
        return wanted
    named = bases.upstream()
    if bases.reachable(named):
        return named
    say(f"no registry with {named} can be reached: the base is made here")
    return None


def keys(images: Iterable[Image], base: str | None) -> dict[str, str]:
    """Each image's key on that base (None: the one that is made here)."""
    return {image.name: key(image, base or bases.local_key()) for image in images}


def reference(name: str, its_key: str) -> str:
    """The name in the engine's storage."""
    return f"localhost/tenanthub/{name}:{its_key}"


def build(engine: Engine, wanted: Wanted, network: Network, say: Say) -> dict[str, Built]:
    """Build what is not there yet; all images asked for, by name.

    Raises:
        BuildError: One or more of them could not be built; those that could are kept.
    """
    images, base = chosen(wanted.names), resolve_base(wanted.base, say)
    with _one_builder(cache_folder(), say):
        found = keys(images, base)
        missing = [one for one in images if wanted.again or not engine.has(reference(one.name, found[one.name]))]
        if missing:
            _sweep(cache_folder() / "tmp")
            engine.tidy(cache_folder() / "logs" / "tidy.log")
        seconds = _build_all(engine, missing, found, base, wanted.jobs, network, say) if missing else {}
    built = {}
    for image in images:
        ref = reference(image.name, found[image.name])
        pulled, unpacked = engine.sizes(ref)
        built[image.name] = Built(image.name, found[image.name], ref, pulled, unpacked, seconds.get(image.name, 0))
    return built


def _build_all(
    engine: Engine,
    images: list[Image],
    found: Mapping[str, str],
    base: str | None,
    jobs: int,
    network: Network,
    say: Say,
) -> dict[str, float]:
    logs = cache_folder() / "logs"
    if base is None and not engine.startable(bases.local_reference()):
        started = time.monotonic()
        say("base: Debian with its Python (mmdebstrap) …")
        bases.make_local(engine, cache_folder() / "tmp", _fresh(logs / "base.log"))
        say(f"base: made in {time.monotonic() - started:.0f} s")
    options = [f"--build-arg=BASE={base or bases.local_reference()}", *network.options()]

    def one(image: Image) -> float | BuildError:
        started = time.monotonic()
        say(f"{image.name} …")
        try:
            _build_one(engine, image, found[image.name], options, logs, pull=base is not None)
        except BuildError as error:
            say(f"{image.name}: failed")
            return error
        say(f"{image.name}: built in {time.monotonic() - started:.0f} s")
        return time.monotonic() - started

    with ThreadPoolExecutor(max(1, jobs)) as pool:
        ends = dict(zip((image.name for image in images), pool.map(one, images), strict=True))
    failed = [f"{name}: {error}" for name, error in ends.items() if isinstance(error, BuildError)]
    if failed:
        raise BuildError("\n".join(failed))
    return {name: end for name, end in ends.items() if not isinstance(end, BuildError)}


def _build_one(engine: Engine, image: Image, its_key: str, options: list[str], logs: Path, *, pull: bool) -> None:
    log = _fresh(logs / f"{image.name}.log")
    with tempfile.TemporaryDirectory(dir=cache_folder() / "tmp", prefix=f"{image.name}-") as name:
        context = Path(name)
        try:
            stage(image, context)
        except OSError as error:
            raise BuildError(f"{error}") from None
        more = [*options, f"--build-arg=INPUTS={its_key}"]
        engine.build(context, image.containerfile, reference(image.name, its_key), more, log, pull=pull)


def _sweep(folder: Path) -> None:
    """Take away what builds that were killed have left: nobody else is at work here (_one_builder)."""
    for left in folder.glob("*-*"):
        if left.name.partition("-")[0] in ("base", *(image.name for image in IMAGES)):
            shutil.rmtree(left, ignore_errors=True)


def _fresh(log: Path) -> Path:
    log.unlink(missing_ok=True)
    return log


@contextmanager
def _one_builder(cache: Path, say: Say) -> Iterator[None]:
    """One at a time: a second one waits, and finds done what it wanted."""
    (cache / "tmp").mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another build of images")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
