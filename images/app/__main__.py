"""python -P -m images.app SETTINGS.json: exit code 1 if the app failed or ended, 143 stopped by SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from images.app.settings import AppSettings, HubEnvironment, NotFromAHubError, hub_environment
from images.lib.files import read_json, replace_json
from images.lib.quick import defer_hub_database, defer_iri_grammar


def program(argv: list[str], read: Callable[[bytes], AppSettings]) -> int:
    """Run the app that the one argument describes, with what the hub put into the environment. *read* makes an app of
    the settings file's contents; images.ide gives its own."""
    if len(argv) != 1:
        print("Use: python -m images.app SETTINGS.json", file=sys.stderr)
        return 1
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    try:
        settings = read(Path(argv[0]).read_bytes())
        hub = hub_environment(os.environ)
    except ValidationError as error:
        return refuse(argv[0], "; ".join(_line(item["loc"], item["msg"]) for item in error.errors()))
    except (OSError, ValueError, NotFromAHubError) as error:
        return refuse(argv[0], str(error))
    return run(settings, hub)


def run(settings: AppSettings, hub: HubEnvironment) -> int:
    """Serve until the end. The big imports come here, after the settings, so that a mistake in them is told at once."""
    defer_iri_grammar()
    defer_hub_database()
    from images.app.launch import serve

    return asyncio.run(serve(settings, hub))


def _line(location: tuple[int | str, ...], text: str) -> str:
    where = ".".join(str(part) for part in location)
    return f"{where}: {text}" if where else text


def refuse(settings_path: str, message: str) -> int:
    """Tell *message* on stderr, and in the run's folder if the settings name one that is there."""
    print(message, file=sys.stderr)
    raw = read_json(Path(settings_path))
    run_dir = raw.get("run_dir") if isinstance(raw, dict) else None
    if isinstance(run_dir, str) and Path(run_dir).is_dir():
        replace_json(Path(run_dir, "result.json"), {"outcome": "failed", "message": message, "counts": {}})
    return 1


if __name__ == "__main__":
    sys.exit(program(sys.argv[1:], AppSettings.model_validate_json))
