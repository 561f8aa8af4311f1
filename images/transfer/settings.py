"""What one transfer run is told: the model of its JSON settings file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

# A control character in a path or a pattern could forge lines of a filter file, a log or an ssh configuration.
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# rclone: https://rclone.org/docs/#valid-remote-names. A connection string ("name,option=value:" or ":backend:") is
# refused: with it the text of a form field could name the local file system or a command to run.
RCLONE_REMOTE = re.compile(r"^(?P<remote>\w[\w.+@-]{0,63}):(?P<path>.*)$", re.ASCII)
# user@host:path. No "host::module" and no "rsync://": those speak the daemon protocol, in clear text.
SSH_ENDPOINT = re.compile(
    r"^(?P<user>[A-Za-z_][A-Za-z0-9_.-]{0,31})@(?P<host>[A-Za-z0-9][A-Za-z0-9.-]{0,252}):(?P<path>[^:].*)$"
)
# A remote of type sftp as rsync takes it: no "remote::module" and no "rsync://", see above.
PLAIN_REMOTE = re.compile(r"^(?P<remote>[A-Za-z0-9][A-Za-z0-9_-]{0,63}):(?P<path>(?![:/]).*)$", re.ASCII)


def _no_control(value: str) -> str:
    if CONTROL.search(value):
        raise ValueError("must not hold control characters or line breaks")
    return value


def _absolute(value: Path) -> Path:
    # A double quote would end the quoted path in the ssh configuration we write; "%" and "$" would be expanded there.
    if not value.is_absolute() or re.search(r"[\"%$\x00-\x1f]", str(value)):
        raise ValueError('must be an absolute path without ", % and $')
    return value


Text = Annotated[str, StringConstraints(min_length=1, max_length=1024), AfterValidator(_no_control)]
AbsolutePath = Annotated[Path, AfterValidator(_absolute)]


class TransferSettings(BaseModel):
    """One run of a transfer. Sizes are bytes, times are seconds.

    *source* and *destination* are an absolute local path below one of *folders*; with rclone also `remote:bucket/path`
    where `remote` is a section of *rclone_config*; with rsync also `remote:path` where that section is of type sftp, or
    `user@host:path` with a key of its own.
    Raises pydantic.ValidationError, each error naming its field.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$")]
    run_dir: AbsolutePath
    tool: Literal["rclone", "rsync"] = "rclone"
    rclone: str = Field("rclone", description="The rclone binary: a name on PATH or an absolute path")
    rsync: str = Field("rsync", description="The rsync binary: a name on PATH or an absolute path")
    rclone_config: AbsolutePath | None = Field(None, description="rclone.conf, mode 0600; needed for a remote")
    source: Text
    destination: Text
    folders: tuple[AbsolutePath, ...] = Field((), description="Local paths must lie below one of these, links resolved")
    mode: Literal["copy", "sync", "move"] = Field(
        "copy", description="sync also deletes at the destination what the source lacks; move empties the source"
    )
    include: tuple[Text, ...] = ()
    exclude: tuple[Text, ...] = ()
    dry_run: Literal["no", "only", "first"] = "no"
    checksum: bool = Field(False, description="Compare contents, not only size and time, and verify after the copy")
    bandwidth: Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,8}[KMG]$")] | None = Field(
        None, description="Bytes a second, in powers of 1024: 500K, 10M, 1G"
    )
    transfers: int = Field(4, ge=1, le=64, description="Files at a time (rclone)")
    max_delete: int | None = Field(None, ge=0, description="sync: change nothing if more files than this would go")
    staging_bytes: int | None = Field(None, ge=1, description="Most that may lie here between two ssh hosts (rsync)")
    time_limit_s: int | None = Field(None, ge=1)
    retries: int = Field(3, ge=0, le=20)
    ssh_key: AbsolutePath | None = Field(None, description="Private key, mode 0600; needed for user@host:path")
    ssh_known_hosts: AbsolutePath | None = Field(None, description="Host keys; needed for user@host:path")
    ssh_host_keys: Literal["known", "accept-new"] = Field(
        "known", description="accept-new writes the key of a host never seen before into ssh_known_hosts"
    )
    ssh_port: int = Field(22, ge=1, le=65535)

    @model_validator(mode="after")
    def _endpoints(self) -> Self:
        remote = [side for side in (self.source, self.destination) if not is_local(side)]
        for side in remote:
            _check_remote(self.tool, side)
        if self.tool == "rclone" and remote and self.rclone_config is None:
            raise ValueError("rclone_config: needed, because a side is a remote")
        if self.tool == "rsync":
            by_hand = [side for side in remote if SSH_ENDPOINT.match(side)]
            if len(remote) == 2 and by_hand:
                raise ValueError("rsync: one side must be a local folder, or both must be remotes")
            if by_hand and (self.ssh_key is None or self.ssh_known_hosts is None):
                raise ValueError("ssh_key and ssh_known_hosts: needed, because a side is user@host:path")
            if len(remote) > len(by_hand) and self.rclone_config is None:
                raise ValueError("rclone_config: needed, because a side is a remote")
        if self.max_delete is not None and self.mode != "sync":
            raise ValueError("max_delete: only mode sync deletes at the destination")
        return self


def is_local(endpoint: str) -> bool:
    """Whether *endpoint* is a local path; only absolute ones are."""
    return endpoint.startswith("/")


def named_remote(endpoint: str) -> str | None:
    """The remote of rclone_config that *endpoint* names; None for a local path and for user@host:path."""
    match = RCLONE_REMOTE.match(endpoint)
    return match["remote"] if match is not None and not SSH_ENDPOINT.match(endpoint) else None


def _check_remote(tool: str, endpoint: str) -> None:
    """ValueError where *endpoint* is not of the form that *tool* may be given."""
    if tool == "rclone":
        match, form = RCLONE_REMOTE.match(endpoint), "remote:bucket/path"
    else:
        match, form = SSH_ENDPOINT.match(endpoint) or PLAIN_REMOTE.match(endpoint), "user@host:path or remote:path"
    if match is None:
        raise ValueError(f"{endpoint!r}: must be an absolute local path or {form}")
    if ".." in match["path"].split("/"):
        raise ValueError(f"{endpoint!r}: must not hold '..'")
