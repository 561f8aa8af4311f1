"""What hub, portal, culler and proxy are told on a cluster: environment variables and mounted files, nothing else.

Read whole, with everything that is missing or wrong said at once. docs/hub-on-a-cluster.md is its reference.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

Part = Literal["hub", "portal", "culler", "proxy"]
HUB_SERVICES = ("portal", "culler", "cli", "reviver")
"""JupyterHub's services, each with a token of its own (hub/rights.py)."""
ROOT = Path(__file__).resolve().parent.parent.parent

_TOKEN = re.compile(r"[A-Za-z0-9_-]{32,512}")
_KEY = re.compile(r"[0-9a-fA-F]{64}")
_DATABASE = re.compile(r"[a-z0-9+]+://\S+")
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_FILES: dict[Part, tuple[str, ...]] = {
    "hub": ("proxy-token", "cookie-secret", "crypt-key", *(f"{name}-token" for name in HUB_SERVICES)),
    "portal": ("portal-token", "portal-cookie-key"),
    "culler": ("culler-token",),
    "proxy": ("proxy-token",),
}
_KEYS = ("cookie-secret", "crypt-key", "portal-cookie-key")


class SettingsError(Exception):
    """What is missing or wrong: one line each, with the variable or the file. No value of a secret is in it."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = tuple(lines)
        super().__init__("; ".join(lines))


@dataclass(frozen=True)
class Bind:
    """Where a part listens. An empty host: all addresses, of both families."""

    host: str
    port: int


@dataclass(frozen=True)
class Cluster:
    """The settings of one part. What it does not need is empty. `repr` shows no secret."""

    part: Part
    secrets: _Secrets
    config: Path = Path()
    """Folder of the declared world."""
    state: Path = Path()
    public_url: str = ""
    """What people open, with a slash at the end."""
    hub_connect: str = ""
    """Where the hub answers everybody inside the cluster; no slash at the end."""
    portal_url: str = ""
    proxy_api: str = ""
    hub_bind: str = ""
    """As a URL, as JupyterHub takes it."""
    portal_bind: Bind = Bind("", 0)
    proxy_bind: Bind = Bind("", 0)
    proxy_api_bind: Bind = Bind("", 0)
    kind_images: Mapping[str, str] | None = None
    accounts: Path | None = None
    extra_config: Path | None = None
    kubeconfig: Path | None = None
    """None: the Pod's service account."""
    trusted: tuple[str, ...] = ()
    """Addresses and networks whose X-Forwarded-* are believed; empty: as site.yaml says where Pods are."""
    start_timeout_s: int = 300
    log_level: str = "INFO"
    node_modules: Path = ROOT / "node_modules"

    @property
    def base_url(self) -> str:
        """The path of the pages, "/" as a rule."""
        return urlsplit(self.public_url).path

    @property
    def hub_api(self) -> str:
        """JupyterHub's REST API, not through the proxy."""
        return f"{self.hub_connect}{self.base_url}hub/api"

    @property
    def https(self) -> bool:
        """Whether people come by TLS, so that cookies are for TLS only."""
        return self.public_url.startswith("https:")

    @property
    def database(self) -> str:
        """SQLAlchemy's URL. It may hold a password: for no log."""
        return self.secrets.get("db-url") or f"sqlite:///{self.state / 'jupyterhub.sqlite'}"

    @property
    def passwords(self) -> Path:
        """Where generated first passwords are kept, for who runs the hub."""
        return self.state / "passwords.txt"

    @property
    def htmx(self) -> Path:
        """The library of the live pages."""
        return self.node_modules / "htmx.org" / "dist" / "htmx.min.js"

    @property
    def proxy_program(self) -> Path:
        """configurable-http-proxy."""
        return self.node_modules / "configurable-http-proxy" / "bin" / "configurable-http-proxy"


class _Secrets(dict[str, str]):
    """Never shown: a settings object may end up in a log."""

    def __repr__(self) -> str:
        return f"<{len(self)} secrets>"

    __str__ = __repr__


def read(part: Part, env: Mapping[str, str]) -> Cluster:
    """The settings of *part*. SettingsError with everything that is missing or wrong."""
    return _Reader(part, env).read()


class _Reader:
    """Collects what is wrong instead of stopping at the first."""

    def __init__(self, part: Part, env: Mapping[str, str]) -> None:
        self.part, self.env = part, env
        self.wrong: list[str] = []

    def read(self) -> Cluster:
        hub, portal, proxy = (self.part == name for name in ("hub", "portal", "proxy"))
        found = Cluster(
            part=self.part,
            secrets=self.secrets(),
            config=self.folder("TENANTHUB_CONFIG") if not proxy else Path(),
            state=self.folder("TENANTHUB_STATE", writable=True) if hub else Path(),
            public_url=self.url("TENANTHUB_PUBLIC_URL", path=True),
            hub_connect=self.url("TENANTHUB_HUB_CONNECT"),
            portal_url=self.url("TENANTHUB_PORTAL_URL") if hub else "",
            proxy_api=self.url("TENANTHUB_PROXY_API") if hub else "",
            hub_bind=self.hub_bind() if hub else "",
            portal_bind=self.bind("TENANTHUB_PORTAL_BIND", 8080),
            proxy_bind=self.bind("TENANTHUB_PROXY_BIND", 8000),
            proxy_api_bind=self.bind("TENANTHUB_PROXY_API_BIND", 8001),
            kind_images=self.images() if hub else {},
            accounts=self.file("TENANTHUB_ACCOUNTS") if hub else None,
            extra_config=self.file("TENANTHUB_EXTRA_CONFIG") if hub else None,
            kubeconfig=self.file("TENANTHUB_KUBECONFIG") if hub or portal else None,
            trusted=self.trusted() if portal else (),
            start_timeout_s=self.number("TENANTHUB_START_TIMEOUT_S", 300, least=30),
            log_level=self.log_level(),
            node_modules=Path(self.env.get("TENANTHUB_NODE_MODULES") or ROOT / "node_modules"),
        )
        if proxy and not found.proxy_program.exists():
            self.wrong.append(f"TENANTHUB_NODE_MODULES: there is no {found.proxy_program}")
        if self.wrong:
            raise SettingsError(self.wrong)
        return found

    def needed(self, name: str, what: str) -> str:
        value = self.env.get(name, "").strip()
        if not value:
            self.wrong.append(f"{name} is not set: {what}")
        return value

    def folder(self, name: str, *, writable: bool = False) -> Path:
        value = self.needed(name, "a folder")
        path = Path(value).absolute()
        if value and not path.is_dir():
            self.wrong.append(f"{name}: {path} is no folder")
        elif value and writable and not _writable(path):
            self.wrong.append(f"{name}: nothing can be written into {path}; check the volume and its owner (fsGroup)")
        return path

    def file(self, name: str) -> Path | None:
        value = self.env.get(name, "").strip()
        if not value:
            return None
        try:
            with Path(value).open("rb"):
                return Path(value).absolute()
        except OSError as error:
            self.wrong.append(f"{name}: {value} cannot be read: {error.strerror}")
            return None

    def secrets(self) -> _Secrets:
        value = self.needed("TENANTHUB_SECRETS", "the folder of a mounted Secret")
        found = _Secrets()
        if not value:
            return found
        for name in _FILES[self.part]:
            text = self.secret(Path(value) / name)
            pattern, words = (_KEY, "64 hexadecimal characters") if name in _KEYS else (_TOKEN, _FIT)
            if text is not None and not pattern.fullmatch(text):
                self.wrong.append(f"TENANTHUB_SECRETS: {name} must be {words}")
            elif text is not None:
                found[name] = text
        if self.part == "hub" and (Path(value) / "db-url").exists():
            text = self.secret(Path(value) / "db-url")
            if text is not None and not _DATABASE.fullmatch(text):
                self.wrong.append("TENANTHUB_SECRETS: db-url must be a URL, e.g. postgresql+psycopg://…")
            found["db-url"] = text or ""
        tokens = [text for name, text in found.items() if name.endswith("-token")]
        if len(set(tokens)) < len(tokens):
            self.wrong.append("TENANTHUB_SECRETS: two tokens are the same; each part needs one of its own")
        return found

    def secret(self, path: Path) -> str | None:
        try:
            return path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            self.wrong.append(f"TENANTHUB_SECRETS: {path} cannot be read: {why}")
            return None

    def url(self, name: str, *, path: bool = False) -> str:
        what = "what people open, e.g. https://hub.example.org/" if path else "a URL inside the cluster"
        value = self.needed(name, what)
        if not value:
            return ""
        parts, port = urlsplit(value), True
        try:
            port = parts.port != 0
        except ValueError:
            port = False
        plain = not (parts.query or parts.fragment or parts.username) and port
        if parts.scheme not in ("http", "https") or not parts.hostname or not plain:
            shown = "what stands there (it holds an @)" if "@" in value else repr(value)  # that may be a password
            self.wrong.append(f"{name}: {shown} is no URL like http://name:8080")
            return ""
        if not path and parts.path not in ("", "/"):
            self.wrong.append(f"{name}: {value!r} must have no path")
        return value.rstrip("/") + "/" if path else value.rstrip("/")

    def hub_bind(self) -> str:
        value = self.env.get("TENANTHUB_HUB_BIND", "").strip() or "http://:8081"
        parts = urlsplit(value)
        try:
            good = parts.scheme == "http" and bool(parts.port) and parts.path in ("", "/")
        except ValueError:
            good = False
        if not good:
            self.wrong.append(f"TENANTHUB_HUB_BIND: {value!r} is not like http://:8081")
        return value.rstrip("/")

    def bind(self, name: str, port: int) -> Bind:
        value = self.env.get(name, "").strip() or f":{port}"
        host, _, text = value.rpartition(":")
        if not (text.isascii() and text.isdecimal()) or not 0 < int(text) < 65536 or ("/" in host):
            self.wrong.append(f"{name}: {value!r} is not like :{port} or 127.0.0.1:{port}")
            return Bind("", port)
        return Bind(host.removeprefix("[").removesuffix("]"), int(text))

    def images(self) -> Mapping[str, str]:
        value = self.env.get("TENANTHUB_KIND_IMAGES", "").strip() or "{}"
        try:
            found = json.loads(value)
        except ValueError as error:
            self.wrong.append(f"TENANTHUB_KIND_IMAGES is no JSON: {error}")
            return {}
        if not isinstance(found, dict) or not all(isinstance(image, str) and image for image in found.values()):
            self.wrong.append('TENANTHUB_KIND_IMAGES must be an object of kind and image: {"notebook": "…"}')
            return {}
        return found

    def trusted(self) -> tuple[str, ...]:
        found = tuple(one.strip() for one in self.env.get("TENANTHUB_TRUSTED_PROXIES", "").split(",") if one.strip())
        networks = []
        for one in found:
            try:
                networks.append(str(ip_network(one, strict=False)))
            except ValueError:
                self.wrong.append(f"TENANTHUB_TRUSTED_PROXIES: {one!r} is no address or network")
        return tuple(networks)

    def number(self, name: str, default: int, least: int) -> int:
        value = self.env.get(name, "").strip() or str(default)
        if not (value.isascii() and value.isdecimal()) or int(value) < least:
            self.wrong.append(f"{name}: {value!r} is no number of at least {least}")
            return default
        return int(value)

    def log_level(self) -> str:
        value = self.env.get("TENANTHUB_LOG_LEVEL", "").strip().upper() or "INFO"
        if value not in _LEVELS:
            self.wrong.append(f"TENANTHUB_LOG_LEVEL: {value!r} is none of {', '.join(_LEVELS)}")
        return value


_FIT = "at least 32 letters, digits, - and _"


def _writable(path: Path) -> bool:
    """By writing: os.access is wrong on read-only mounts and with odd mappings of users."""
    probe = path / ".tenanthub-probe"
    try:
        probe.write_bytes(b"")
        probe.unlink()
    except OSError:
        return False
    return True
