"""Asked by `rclone serve s3` for each new access key. Standard library only: it is started often and must be quick."""

import json
import sys
from pathlib import Path


def answer(root: Path, request: dict[str, str]) -> dict[str, str]:
    """The backend of an access key: the tenant's own folder; an empty secret, which rclone refuses, for any other key.

    Protocol: rclone's documentation of `serve s3`, section Auth Proxy.
    """
    for path in sorted((root / "secrets").glob("objectstore-*.json")):
        try:
            keys = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue  # one tenant's broken file is no other tenant's trouble
        if keys["access_key_id"] == request.get("user"):
            folder = root / "objectstore" / path.stem.removeprefix("objectstore-")
            return {"type": "local", "_root": str(folder), "_secret_access_key": keys["secret_access_key"]}
    return {"type": "local", "_root": "/nonexistent", "_secret_access_key": ""}


if __name__ == "__main__":
    print(json.dumps(answer(Path(sys.argv[1]), json.load(sys.stdin))))
