"""Where an embedded hub lives and which ports and tokens its parts use; the same at every start of one state folder."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from spawners.local.ports import free_port
from spawners.local.secrets import write_secret
from spawners.local.state import StateFolder

PARTS = ("hub", "proxy_api", "portal", "objectstore")
"""Parts that listen on loopback besides the public port."""
SERVICES = ("portal", "culler", "cli", "reviver")
"""JupyterHub services; each has a token of its own with the least rights (hub/rights.py)."""


class StartError(Exception):
    """Why the embedded hub cannot start, in one line that says what to do."""


@dataclass(frozen=True)
class Embedded:
    """Everything that the parts of one embedded hub must agree on."""

    state: StateFolder
    config: Path
    port: int
    ports: Mapping[str, int]
    tokens: Mapping[str, str]

    @property
    def url(self) -> str:
        """What people open."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def hub_api(self) -> str:
        """JupyterHub's REST API, not through the proxy."""
        return f"http://127.0.0.1:{self.ports['hub']}/hub/api"

    @property
    def objectstore_url(self) -> str:
        """Endpoint of the embedded object store."""
        return f"http://127.0.0.1:{self.ports['objectstore']}"

    @property
    def portal_url(self) -> str:
        """The portal, not through the proxy."""
        return f"http://127.0.0.1:{self.ports['portal']}"


def state_root(env: Mapping[str, str]) -> Path:
    """The state folder: TENANTHUB_STATE, else `state` in the current folder."""
    return Path(env.get("TENANTHUB_STATE") or "state").expanduser().absolute()


def public_port(env: Mapping[str, str]) -> int:
    """TENANTHUB_PORT, else 8000. StartError for what is no port."""
    text = env.get("TENANTHUB_PORT") or "8000"
    if not (text.isascii() and text.isdecimal()) or not 1024 <= int(text) <= 65535:
        raise StartError(f"TENANTHUB_PORT is {text!r}; set it to a port from 1024 to 65535, e.g. 8001")
    return int(text)


def open_settings(env: Mapping[str, str] = os.environ, *, create: bool = True) -> Embedded:
    """The settings of the state folder that *env* names; made on first use unless *create* is False.

    StartError when the folder cannot be used, or (create=False) when there is no hub in it.
    """
    state = StateFolder(state_root(env))
    if not create and not state.ports.exists():
        raise StartError(f"there is no TenantHub in {state.root}; start one with `make run`, or set TENANTHUB_STATE")
    port = public_port(env) if env.get("TENANTHUB_PORT") or create else _last_port(state)
    try:
        state.make()
        ports = _kept(state.ports, PARTS, partial(_free_ports, port))
        tokens = _kept(state.secrets / "services.json", (*SERVICES, "proxy", "cookie"), _new_tokens)
    except (OSError, ValueError) as error:
        raise StartError(f"the state folder {state.root} cannot be used: {error}; set TENANTHUB_STATE") from error
    if create and str(port) in ports.values():
        raise StartError(f"port {port} is one that parts of this hub use inside; set TENANTHUB_PORT to another one")
    config = Path(env.get("TENANTHUB_CONFIG") or state.world).expanduser().absolute()
    return Embedded(state, config, port, {name: int(ports[name]) for name in PARTS}, tokens)


def _last_port(state: StateFolder) -> int:
    try:
        return int(json.loads((state.root / "run.json").read_text())["port"])
    except (OSError, ValueError, KeyError):
        return 8000


def _kept(path: Path, names: tuple[str, ...], make: Callable[[list[str]], dict[str, str]]) -> dict[str, str]:
    """A file of values made once; names that a newer version added are made too. OSError, ValueError."""
    values = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        raise ValueError(f"{path} does not hold what was written there")
    missing = [name for name in names if name not in values]
    if missing:
        values |= make(missing)
        write_secret(path, json.dumps(values))
    return values


def _new_tokens(names: list[str]) -> dict[str, str]:
    return {name: secrets.token_hex(32) for name in names}


def _free_ports(public: int, names: list[str]) -> dict[str, str]:
    """Ports that are free now, all different, and not the *public* one, which the proxy has yet to bind."""
    found: list[int] = [public]
    for _ in names:
        found.append(free_port(found))
    return dict(zip(names, map(str, found[1:]), strict=True))
