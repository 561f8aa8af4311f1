"""What one IDE is told: the model of its JSON settings file, and the app that follows from it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from images.app.settings import AppSettings
from images.lib.files import replace_json


def _absolute(value: Path) -> Path:
    if not value.is_absolute():
        raise ValueError("must be an absolute path")
    return value


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]


class IdeSettings(BaseModel):
    """One IDE. Raises pydantic.ValidationError, each error naming its field."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_dir: AbsolutePath
    code_server: tuple[str, ...] = Field(min_length=1, description="argv that starts it (images.ide.install.installed)")
    folder: AbsolutePath = Field(description="The folder that it opens")
    data_folder: AbsolutePath = Field(description="Settings and extensions of its user; kept between sessions")
    title: Annotated[str, StringConstraints(min_length=1, max_length=80)] = "VS Code"
    ready_timeout_s: float = Field(120, gt=0, le=3600)


# What code-server's options cannot say. The user can change it in VS Code (Preferences: Open Remote Settings).
MACHINE_SETTINGS = {"telemetry.telemetryLevel": "off", "chat.disableAIFeatures": True, "extensions.autoUpdate": False}


def write_machine_settings(data_folder: Path) -> None:
    """Put MACHINE_SETTINGS in place for a user who has none yet. OSError as the system raises it."""
    path = data_folder / "Machine" / "settings.json"
    if not path.exists():
        replace_json(path, MACHINE_SETTINGS)


def app_settings(ide: IdeSettings) -> AppSettings:
    """The app that this IDE is. Pure.

    code-server's own sign-in is off: the hub's is in front, and no other user can open its socket. Nothing is sent or
    looked up by itself (telemetry, updates).
    """
    command = (
        *ide.code_server,
        *("--auth", "none", "--socket", "{unix_socket}", "--socket-mode", "600"),
        *("--config", str(ide.run_dir / "code-server.yaml")),  # else it writes one with a password into ~/.config
        *("--user-data-dir", str(ide.data_folder), "--extensions-dir", str(ide.data_folder / "extensions")),
        *("--disable-telemetry", "--disable-update-check", "--disable-getting-started-override"),
        "--disable-workspace-trust",  # it opens the home of the person who signed in
        *("--app-name", ide.title, "--abs-proxy-base-path", "{base_url}", "--ignore-last-opened", str(ide.folder)),
    )
    return AppSettings(
        run_dir=ide.run_dir,
        command=command,
        unix_socket=True,
        working_folder=ide.folder,
        # Its second socket (for `code-server FILE` in a terminal) lies by default in the user's data folder, where a
        # second IDE of the same user would take it over.
        environment={"CODE_SERVER_SESSION_SOCKET": "{unix_socket}.session"},
        ready_path="/healthz",
        ready_timeout_s=ide.ready_timeout_s,
        activity="terminals",
        edits_folder=ide.data_folder / "User" / "History",
    )
