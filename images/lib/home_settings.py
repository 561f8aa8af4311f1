"""What the keeper of a home is told: the model of its JSON settings file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints


def _absolute(value: Path) -> Path:
    if not value.is_absolute():
        raise ValueError("must be an absolute path")
    return value


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
Word = Annotated[str, StringConstraints(min_length=1, pattern=r"^[^\x00]+$")]


class HomeSettings(BaseModel):
    """One home, and the program that works in it. Raises pydantic.ValidationError, each error naming its field."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: AbsolutePath = Field(description="The folder that is kept; the program's HOME and working folder")
    state_folder: AbsolutePath = Field(description="home.json and the program's own settings are written here")
    rclone: Word = "rclone"
    rclone_config: AbsolutePath = Field(description="rclone.conf with the remote, 0600")
    remote: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]+:[^:\\\x00\n]+$")] = Field(
        description="Where it is kept, e.g. data:bucket/homes/jane/lab"
    )
    command: tuple[Word, ...] = Field(min_length=1, description='"{settings}" stands for the path of `settings`')
    settings: dict[str, Any] | None = Field(None, description="The program's own settings file, as JSON")
    every_s: float = Field(180, gt=0, le=86400, description="Seconds between two saves")
    look_s: float = Field(20, gt=0, le=3600, description="Seconds between two looks at what is unsaved")
    start_wait_s: float = Field(30, ge=0, le=3600, description="How long a store that is away is waited for")
    restore_s: float = Field(60, gt=0, le=86400, description="After it the program starts with what is there by then")
    stop_program_s: float = Field(10, gt=0, le=600, description="What the program gets to end, in seconds")
    last_save_s: float = Field(30, gt=0, le=3600, description="What the save after it may take, in seconds")
    lasting: bool = Field(False, description="Whether the folder stays when this ends, so that nothing is lost then")
