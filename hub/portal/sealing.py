"""Cookies nobody can read or make up, and CSRF tokens bound to a session. One key for both, kept over restarts."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken

SESSION_S = 14 * 86400
"""A session cookie older than this is not taken (JupyterHub's own cookie_max_age_days is 14)."""
SIGN_IN_S = 600
"""How long a sign-in may take from the redirect to the callback, as in jupyterhub.services.auth."""


class Sealer:
    """Encrypts and signs small JSON values (Fernet: AES-128-CBC with HMAC-SHA256)."""

    def __init__(self, key: bytes) -> None:
        """*key*: 32 random bytes."""
        self._fernet = Fernet(base64.urlsafe_b64encode(key))
        self._csrf = hashlib.sha256(b"csrf" + key).digest()

    def seal(self, value: dict[str, Any]) -> str:
        """*value* as text that fits in a cookie."""
        return self._fernet.encrypt(json.dumps(value).encode()).decode()

    def unseal(self, text: str, max_age_s: int) -> dict[str, Any] | None:
        """What `seal` was given; None when it was made by somebody else, or longer ago than *max_age_s*."""
        try:
            value = json.loads(self._fernet.decrypt(text.encode(), ttl=max_age_s))
        except (InvalidToken, ValueError):
            return None
        return value if isinstance(value, dict) else None

    def csrf(self, session: str) -> str:
        """The token that every form of *session* (the OAuth token) carries. It tells nothing about the session."""
        return hmac.new(self._csrf, session.encode(), hashlib.sha256).hexdigest()

    def csrf_ok(self, session: str, token: str) -> bool:
        """Whether *token* is the one of *session*."""
        return hmac.compare_digest(self.csrf(session).encode(), token.encode())


def load_key(path: Path) -> bytes:
    """The key in *path* (0600), made at the first call, so that a restart signs nobody out. OSError as it comes.

    Two processes that start at once agree: the file appears whole, by a hard link that only one of them can make.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(os.urandom(32))
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    key = path.read_bytes()
    if len(key) != 32:
        raise OSError(f"{path} is damaged: remove it, and everybody signs in again")
    return key
