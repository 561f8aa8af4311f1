"""Where the set-up puts things in a checkout. Cheap to import: `make run` pays for it at every start."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
MARK = VENV / ".tenanthub"  # holds the stamps; a .venv without it was made by somebody else
NODE_MODULES = ROOT / "node_modules"
BUILD = ROOT / "build"
LOCKS = {"run": ROOT / "requirements.lock", "dev": ROOT / "requirements-dev.lock"}
LEVELS = ("run", "dev")  # dev holds all of run


class SetupError(Exception):
    """The set-up cannot go on; the text is one line for the person at the terminal."""
