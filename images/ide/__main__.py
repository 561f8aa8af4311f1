"""python -P -m images.ide SETTINGS.json: exit code 1 if code-server failed or ended, 143 stopped by SIGTERM."""

from __future__ import annotations

import sys

from images.app.__main__ import program
from images.app.settings import AppSettings
from images.ide.settings import IdeSettings, app_settings, write_machine_settings


def read(raw: bytes) -> AppSettings:
    """The app that the settings file *raw* describes; prepares the user's data folder. ValidationError, OSError."""
    ide = IdeSettings.model_validate_json(raw)
    write_machine_settings(ide.data_folder)
    return app_settings(ide)


if __name__ == "__main__":
    sys.exit(program(sys.argv[1:], read))
