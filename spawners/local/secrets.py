"""Secrets of workloads on this machine: generated passwords and rclone's configuration, in files of mode 0600."""

from __future__ import annotations

import json
import os
import secrets
import stat
import string
from pathlib import Path

from config.models import Remote, Tenant
from spawners.local.state import StateFolder
from spawners.rclone import rclone_conf
from spawners.refusal import Refusal

_EASY = "".join(c for c in string.ascii_lowercase + string.digits if c not in "l1o0")


def generate_password(length: int = 16) -> str:
    """A random password of *length* characters that are hard to mix up (about 5 bits each), in groups of four."""
    characters = [secrets.choice(_EASY) for _ in range(length)]
    return "-".join("".join(characters[i : i + 4]) for i in range(0, length, 4))


def write_secret(path: Path, text: str) -> None:
    """Write *text* so that nobody else ever could read it: mode 0600 from the first byte, replaced whole."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
    temporary.replace(path)


def keep_password(path: Path) -> str:
    """The password in *path*; generated on first use and the same ever after."""
    if not path.exists():
        write_secret(path, generate_password() + "\n")
    return path.read_text(encoding="utf-8").strip()


def builtin_keys(state: StateFolder, tenant: str) -> tuple[str, str]:
    """Access key and secret key of *tenant* at the embedded object store, made on first use."""
    path = state.secrets / f"objectstore-{tenant}.json"
    if not path.exists():
        keys = {"access_key_id": f"{tenant}-{secrets.token_hex(6)}", "secret_access_key": secrets.token_urlsafe(30)}
        write_secret(path, json.dumps(keys))
    found = json.loads(path.read_text(encoding="utf-8"))
    return found["access_key_id"], found["secret_access_key"]


def rclone_config(state: StateFolder, tenant: Tenant, endpoint: str) -> str:
    """rclone.conf with the tenant's remotes; *endpoint* is the embedded object store's URL.

    Refusal (reason place) names the secret of a remote that is not on this machine, or that others could read.
    """
    return rclone_conf({remote.name: _section(state, tenant, remote, endpoint) for remote in tenant.remotes})


def _section(state: StateFolder, tenant: Tenant, remote: Remote, endpoint: str) -> dict[str, str]:
    if remote.type == "builtin":
        key, secret = builtin_keys(state, tenant.name)
        return {
            "type": "s3",
            "provider": "Rclone",
            "endpoint": endpoint,
            "access_key_id": key,
            "secret_access_key": secret,
            "force_path_style": "true",
        }
    return {"type": remote.type, **dict(remote.options), **_credentials(state, remote)}


def _credentials(state: StateFolder, remote: Remote) -> dict[str, str]:
    if remote.credentials is None:
        return {}
    path = state.secrets / f"{remote.credentials}.json"
    hint = f'write {path} (mode 0600) with rclone\'s options, e.g. {{"access_key_id": "…", "secret_access_key": "…"}}'
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise Refusal.of("place", f"others can read the secret {remote.credentials}: chmod 600 {path}", "remote")
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise Refusal.of("place", f"the secret {remote.credentials} is missing: {hint}", "remote") from None
    except ValueError:
        raise Refusal.of("place", f"the secret {remote.credentials} is no JSON object: {hint}", "remote") from None
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        raise Refusal.of("place", f"the secret {remote.credentials} must hold texts only: {hint}", "remote")
    return values
