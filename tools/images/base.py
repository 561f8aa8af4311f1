"""The image that all of ours start from: an upstream one by its name, or Debian with its Python, made here."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import tempfile
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

from tools.images.engines import Engine
from tools.images.problem import BuildError
from tools.images.run import run
from tools.places import ROOT

SUITE = "trixie"
_PACKAGES = ("ca-certificates", "python3", "python3-venv")
_DROPPED = ("doc", "man", "locale", "info", "lintian")
_TIMEOUT_S = 5


def upstream(root: Path = ROOT) -> str:
    """The base that the Containerfiles name."""
    text = (root / "images" / "hub" / "Containerfile").read_text(encoding="utf-8")
    return next(line.removeprefix("ARG BASE=") for line in text.splitlines() if line.startswith("ARG BASE="))


def reachable(reference: str) -> bool:
    """Whether the registry of *reference* answers: 200, or 401 where one has to sign in first."""
    host = reference.partition("/")[0]
    # The name that engines put in, too (github.com/distribution/reference)
    host = "registry-1.docker.io" if host == "docker.io" else host
    try:
        socket.getaddrinfo(host.partition(":")[0], None)
        with urllib.request.urlopen(f"https://{host}/v2/", timeout=_TIMEOUT_S):
            return True
    except urllib.error.HTTPError as error:
        return error.code == 401
    except (OSError, ValueError):
        return False


def local_key(now: datetime | None = None) -> str:
    """What the local base is known by. A new one each month, so that Debian's fixes come in."""
    month = f"{now or datetime.now(UTC):%Y-%m}"
    parts = (SUITE, month, *_PACKAGES, *_DROPPED, (ROOT / "images" / "base" / "Containerfile").read_text("utf-8"))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def local_reference() -> str:
    """Its name in the engine's storage."""
    return f"localhost/tenanthub/base:{local_key()}"


def make_local(engine: Engine, cache: Path, log: Path) -> None:
    """Make it by mmdebstrap and hand it to *engine*; about 40 s.

    Raises:
        BuildError: mmdebstrap is not there, or fails.
    """
    if not shutil.which("mmdebstrap"):
        raise BuildError("mmdebstrap is not installed (Debian: apt install mmdebstrap); or name a base: --base IMAGE")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="base-") as name:
        context = Path(name)
        excluded = [f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in _DROPPED]
        options = [*excluded, "--dpkgopt=path-include=/usr/share/doc/*/copyright"]
        argv = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(_PACKAGES)}", *options]
        run([*argv, SUITE, str(context / "base.tar")], log, {"TMPDIR": os.environ.get("TMPDIR", "/tmp")})  # noqa: S108
        shutil.copyfile(ROOT / "images" / "base" / "Containerfile", context / "Containerfile")
        engine.build(context, "Containerfile", local_reference(), (), log, pull=False)
