"""What one app is told: the model of its JSON settings file, and of what the hub puts into the environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlparse

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

PLACEHOLDERS = ("port", "unix_socket", "base_url")
# What the command must not inherit: with the token it could act as its owner at the hub, and everybody who may look
# at the app would profit from a hole in it.
SECRET_NAMES = re.compile(r"^(JUPYTERHUB_API_TOKEN|JPY_API_TOKEN|JUPYTERHUB_SSL_.*|JUPYTERHUB_CLIENT_ID)$")


def _absolute(value: Path) -> Path:
    if not value.is_absolute():
        raise ValueError("must be an absolute path")
    return value


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
Word = Annotated[str, StringConstraints(max_length=4096, pattern=r"^[^\x00]*$")]


class AppSettings(BaseModel):
    """One app. In *command* and *environment* `{port}`, `{unix_socket}` and `{base_url}` stand for what is known only
    at the start; no shell reads the command. Raises pydantic.ValidationError, each error naming its field."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_dir: AbsolutePath = Field(description="app.log, ready.json and result.json are written here")
    command: tuple[Word, ...] = ()
    beside: bool = Field(False, description="It runs in a container beside this one, which others start: no command")
    port: int | None = Field(None, ge=1024, le=65535, description="The port it listens on; none: one is chosen")
    unix_socket: bool = Field(False, description="It listens on {unix_socket}, which no other user can reach")
    working_folder: AbsolutePath | None = None
    environment: dict[str, Word] = Field(default_factory=dict)
    absolute_url: bool = Field(False, description="Pass paths on with {base_url}; else the app sees itself at /")
    ready_path: Annotated[str, StringConstraints(pattern=r"^/[^\s]*$")] = "/"
    ready_timeout_s: float = Field(120, gt=0, le=3600)
    stop_grace_s: float = Field(10, gt=0, le=600)
    any_address: bool = Field(False, description="Allow it to listen on other addresses than the loopback ones")
    activity: Literal["input", "traffic", "terminals"] = Field(
        "input", description="What counts as use: docs/activity.md says what each means"
    )
    edits_folder: AbsolutePath | None = Field(None, description="A change of a folder in this one counts as use too")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.beside:
            if self.command or self.unix_socket or self.port is None:
                raise ValueError("beside: needs the port that the app listens on, and neither command nor unix_socket")
            return self
        if not self.command:
            raise ValueError("command: is needed")
        if self.unix_socket and self.port is not None:
            raise ValueError("port: not together with unix_socket")
        used = {name for name in PLACEHOLDERS if any(f"{{{name}}}" in word for word in self._words())}
        if self.unix_socket and "unix_socket" not in used:
            raise ValueError("command: with unix_socket it must say where {unix_socket} goes")
        if not self.unix_socket and "unix_socket" in used:
            raise ValueError("command: {unix_socket} needs unix_socket: true")
        if not self.unix_socket and self.port is None and "port" not in used:
            raise ValueError("command: say where {port} goes, or give the port it listens on")
        return self

    def _words(self) -> list[str]:
        return [*self.command, *self.environment.values()]


def filled(words: Mapping[str, str], text: str) -> str:
    """*text* with each known placeholder replaced; other braces stay as they are. Pure."""
    for name, value in words.items():
        text = text.replace(f"{{{name}}}", value)
    return text


class NotFromAHubError(Exception):
    """Something that the hub's spawner gives is missing. The text names it."""


@dataclass(frozen=True)
class HubEnvironment:
    """What JupyterHub's Spawner.get_env gives (jupyterhub 6.1.1): all of it is needed but the activity URL."""

    address: str
    port: int
    prefix: str
    server_name: str
    api_token: str
    activity_url: str | None
    activity_interval_s: float


def hub_environment(environment: Mapping[str, str]) -> HubEnvironment:
    """Read *environment*; NotFromAHubError names everything that is missing."""
    needed = (
        *("JUPYTERHUB_SERVICE_URL", "JUPYTERHUB_SERVICE_PREFIX", "JUPYTERHUB_API_TOKEN", "JUPYTERHUB_API_URL"),
        *("JUPYTERHUB_CLIENT_ID", "JUPYTERHUB_OAUTH_CALLBACK_URL", "JUPYTERHUB_OAUTH_ACCESS_SCOPES"),
    )
    missing = [name for name in needed if not environment.get(name)]
    if missing:
        raise NotFromAHubError(f"Not started by a hub: {', '.join(missing)} not set")
    url = urlparse(environment["JUPYTERHUB_SERVICE_URL"])
    prefix = environment["JUPYTERHUB_SERVICE_PREFIX"]
    return HubEnvironment(
        address=url.hostname or "127.0.0.1",
        port=url.port or (443 if url.scheme == "https" else 80),
        prefix=prefix if prefix.endswith("/") else f"{prefix}/",
        server_name=environment.get("JUPYTERHUB_SERVER_NAME", ""),
        api_token=environment["JUPYTERHUB_API_TOKEN"],
        activity_url=environment.get("JUPYTERHUB_ACTIVITY_URL") or None,
        activity_interval_s=float(environment.get("JUPYTERHUB_ACTIVITY_INTERVAL") or 300),
    )


def command_environment(ours: Mapping[str, str], settings: AppSettings, words: Mapping[str, str]) -> dict[str, str]:
    """The environment of the command: *ours* without the hub's secrets, then the app's own. Pure."""
    kept = {name: value for name, value in ours.items() if not SECRET_NAMES.match(name)}
    return kept | {name: filled(words, value) for name, value in settings.environment.items()}
