"""python -m images.transfer SETTINGS.json: exit code 0 ok, 1 failed, 143 stopped by SIGTERM."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from images.lib.files import replace_json
from images.transfer.run import TransferRun
from images.transfer.settings import TransferSettings

EXIT_CODES = {"ok": 0, "failed": 1, "stopped": 143}


def main(argv: list[str]) -> int:
    """Run the transfer that the one argument describes."""
    if len(argv) != 1:
        print("Use: python -m images.transfer SETTINGS.json", file=sys.stderr)
        return 1
    raw: Any = None
    try:
        raw = json.loads(Path(argv[0]).read_text(encoding="utf-8"))
        settings = TransferSettings.model_validate(raw)
        settings.run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except ValidationError as error:
        return _refuse(raw, "; ".join(_line(item["loc"], item["msg"]) for item in error.errors()))
    except (OSError, ValueError) as error:
        return _refuse(raw, f"{argv[0]}: {error}")
    return EXIT_CODES[asyncio.run(_run(settings))]


async def _run(settings: TransferSettings) -> str:
    return await TransferRun(settings).run()


def _line(location: tuple[int | str, ...], text: str) -> str:
    where = ".".join(str(part) for part in location)
    return f"{where}: {text}" if where else text


def _refuse(raw: Any, message: str) -> int:
    """Tell what is wrong with the settings, in the run's folder too if that much can be read of them."""
    message = f"The settings are wrong: {message}"
    print(message, file=sys.stderr)
    run_dir = raw.get("run_dir") if isinstance(raw, dict) else None
    if isinstance(run_dir, str) and Path(run_dir).is_dir():
        replace_json(Path(run_dir, "result.json"), {"outcome": "failed", "message": message, "counts": {}})
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
