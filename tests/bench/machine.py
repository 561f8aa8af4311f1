"""On what the figures were taken: a figure without it says nothing."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

from spawners.local.tools import find_tools


def describe() -> str:
    """One paragraph: date, processors, memory, load, versions. Nothing that names the machine or whoever owns it."""
    memory = psutil.virtual_memory().total / 2**30
    load = os.getloadavg()[0]
    packages = ", ".join(f"{name} {version(name)}" for name in ("jupyterhub", "jupyterlab", "pyftpdlib"))
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d} on {os.cpu_count()} CPUs ({_cpu()}), {memory:.0f} GiB of memory, "
        f"{platform.system()} {platform.release()}; load average at the start {load:.1f}. "
        f"Python {platform.python_version()}, {packages}, {_rclone()}."
    )


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _rclone() -> str:
    try:
        done = subprocess.run([find_tools().rclone, "version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.SubprocessError):
        return "no rclone"
    return done.stdout.splitlines()[0].replace(" v", " ") if done.stdout else "rclone"
