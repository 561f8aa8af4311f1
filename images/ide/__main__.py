"""python -P -m images.ide SETTINGS.json: exit code 1 if code-server failed or ended, 143 stopped by SIGTERM."""

from __future__ import annotations

import sys

from images.app.__main__ import program
from images.ide.settings import IdeSettings, app_settings

if __name__ == "__main__":
    sys.exit(program(sys.argv[1:], lambda raw: app_settings(IdeSettings.model_validate_json(raw))))
