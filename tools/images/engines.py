"""The two programs that build: buildah (no daemon; as root it needs nothing else) and docker."""

from __future__ import annotations

import os
import shutil
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from tools.images import layout
from tools.images.problem import BuildError
from tools.images.run import run, said

EPOCH = "1767225600"
"""2026-01-01 UTC: the time of all that is in our layers, so that the same contents are the same layer. Not 1970: ZIP
files, which people make of what they find, begin at 1980."""

_EDITIONS = 5
_STEPS = 1000
"""Steps of builds that are kept; 400 of them took 9 GB."""


class Engine(ABC):
    """What the builder asks of an engine. References are local names, `localhost/tenanthub/hub:<key>`."""

    name: str

    @abstractmethod
    def has(self, reference: str) -> bool:
        """Whether that image is finished here."""

    @abstractmethod
    def build(
        self, context: Path, containerfile: str, reference: str, options: Sequence[str], log: Path, *, pull: bool
    ) -> None:
        """Build it. BuildError where it fails. Called by several threads."""

    def startable(self, reference: str) -> bool:
        """Whether a build can start from that image."""
        return self.has(reference)

    def tidy(self, log: Path) -> None:  # noqa: B027  (docker keeps house itself)
        """Give back room of editions that nobody needs; called before something is built, by one builder at a time."""

    @abstractmethod
    def sizes(self, reference: str) -> tuple[int, int]:
        """Bytes that a node pulls (0 where the engine does not know), and bytes on its disk."""

    @abstractmethod
    def file(self, reference: str, path: str) -> bytes | None:
        """Contents of a file of the image, without leading slash."""

    @abstractmethod
    def push(self, reference: str, destination: str, log: Path, *, plain: bool) -> None:
        """Push it, with the sign-in that the engine has. *plain*: HTTP without TLS. BuildError where it fails."""


class Buildah(Engine):
    """Storage and finished images in the cache: nothing of the machine's own is touched, and it can all be deleted."""

    name = "buildah"

    def __init__(self, cache: Path) -> None:
        self.layout = cache / "layout"
        temporary = cache / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        # chroot: no runc, no user namespaces; a build step sees the machine's network.
        self._environment = {
            "BUILDAH_ISOLATION": os.environ.get("BUILDAH_ISOLATION", "chroot"),
            "TMPDIR": str(temporary),
        }
        self._exporting = threading.Lock()  # the layout's index is rewritten by each export
        self._argv = ["buildah"]
        if os.geteuid() == 0:
            self._argv += ["--root", str(cache / "storage"), "--runroot", str(cache / "run")]

    def has(self, reference: str) -> bool:
        """As the layout has it; storage may have been deleted since."""
        return layout.find(self.layout, reference) is not None

    def build(
        self, context: Path, containerfile: str, reference: str, options: Sequence[str], log: Path, *, pull: bool
    ) -> None:
        """With layers, so that what takes minutes (compiling code-server) is there for the next edition."""
        argv = [*self._argv, "bud", "--layers", "--network=host", f"--timestamp={EPOCH}", "--format=oci"]
        argv += ["--pull" if pull else "--pull-never", f"--file={context / containerfile}", f"--tag={reference}"]
        run([*argv, *options, str(context)], log, self._environment)
        with self._exporting:
            run([*self._argv, "push", "--quiet", reference, f"oci:{self.layout}:{reference}"], log, self._environment)

    def tidy(self, log: Path) -> None:
        """The last _EDITIONS of each image stay. Steps of old builds have no date to go by (all are of EPOCH): when
        they have become many, all of them go, and the next builds take their full time once."""
        layout.prune(self.layout, _EDITIONS)
        steps = self._argv[2] if len(self._argv) > 1 else None
        if steps and len(list(Path(steps).glob("overlay-layers/*.tar-split.gz"))) > _STEPS:
            run([*self._argv, "rmi", "--all", "--force"], log, self._environment)

    def startable(self, reference: str) -> bool:
        """As its storage has it; the layout alone is not enough."""
        return said([*self._argv, "inspect", "--type=image", reference], self._environment) is not None

    def stored(self, reference: str) -> layout.Stored:
        """The finished image on disk. BuildError where it is not there."""
        if found := layout.find(self.layout, reference):
            return found
        raise BuildError(f"{reference} is not in {self.layout}")

    def sizes(self, reference: str) -> tuple[int, int]:
        """From the layout."""
        stored = self.stored(reference)
        return stored.size(), stored.unpacked()

    def file(self, reference: str, path: str) -> bytes | None:
        """From the layout."""
        return self.stored(reference).read(path)

    def push(self, reference: str, destination: str, log: Path, *, plain: bool) -> None:
        """From the layout where the registry is a plain one; else by buildah, with the sign-in of `buildah login`."""
        registry, _, rest = destination.partition("/")
        repository, _, tag = rest.rpartition(":")
        if plain:
            layout.push(self.stored(reference), registry, repository, tag)
            return
        if not self.startable(reference):
            raise BuildError(f"{reference} has gone from buildah's storage: build it again with --rebuild")
        run([*self._argv, "push", reference, f"docker://{destination}"], log, self._environment)


class Docker(Engine):
    """Docker 23 or newer: its BuildKit knows the mounts that our Containerfiles use. Images are in its own storage."""

    name = "docker"
    _environment = {"DOCKER_BUILDKIT": "1", "SOURCE_DATE_EPOCH": EPOCH}  # noqa: RUF012  (never changed)

    def has(self, reference: str) -> bool:
        """As `docker image inspect` says."""
        return said(["docker", "image", "inspect", reference]) is not None

    def build(
        self, context: Path, containerfile: str, reference: str, options: Sequence[str], log: Path, *, pull: bool
    ) -> None:
        """By BuildKit."""
        argv = ["docker", "build", "--progress=plain", "--network=host", *(["--pull"] if pull else [])]
        argv += [f"--file={context / containerfile}", f"--tag={reference}"]
        run([*argv, *options, str(context)], log, self._environment)

    def sizes(self, reference: str) -> tuple[int, int]:
        """Docker knows the size on disk alone."""
        size = said(["docker", "image", "inspect", "--format={{.Size}}", reference])
        return 0, int(size or 0)

    def file(self, reference: str, path: str) -> bytes | None:
        """By a container of it."""
        found = said(["docker", "run", "--rm", "--network=none", "--entrypoint=cat", reference, f"/{path}"])
        return found.encode() if found is not None else None

    def push(self, reference: str, destination: str, log: Path, *, plain: bool) -> None:
        """Whether a registry may be a plain one, Docker's own settings say (insecure-registries)."""
        del plain
        run(["docker", "tag", reference, destination], log)
        run(["docker", "push", destination], log)


def choose(name: str, cache: Path) -> Engine:
    """The engine of that name; "auto": buildah where it is installed, else a docker that answers.

    Raises:
        BuildError: There is none.
    """
    if name == "buildah" or (name == "auto" and shutil.which("buildah")):
        if not shutil.which("buildah"):
            raise BuildError("buildah is not installed (Debian: apt install buildah)")
        return Buildah(cache)
    if said(["docker", "version", "--format={{.Server.Version}}"]):
        return Docker()
    if name == "docker":
        raise BuildError("docker is not installed, or its daemon does not answer")
    raise BuildError("neither buildah nor a running docker is here (Debian: apt install buildah)")
