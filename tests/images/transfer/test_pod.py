"""Secrets as Kubernetes mounts them: root's, and readable to the Pod's group."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from images.transfer.fence import FenceError, private_file


@pytest.mark.parametrize(
    ("mode", "own", "refused"),
    [
        (0o600, True, False),
        (0o640, True, True),
        (0o440, True, True),
        (0o400, False, False),
        (0o440, False, False),
        (0o444, False, True),
        (0o604, True, True),
    ],
)
def test_who_may_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, own: bool, refused: bool) -> None:
    secret = tmp_path / "rclone.conf"
    secret.write_text("[a]\n")
    secret.chmod(mode)
    user = secret.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: user if own else user + 1)
    if refused:
        with pytest.raises(FenceError, match="read by others"):
            private_file(secret, "rclone configuration")
    else:
        private_file(secret, "rclone configuration")
