"""`python -m images.crawler SETTINGS.json`."""

from __future__ import annotations

import sys

from images.crawler.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
