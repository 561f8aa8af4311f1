"""The settings file: one JSON object, every field known, every error told at once."""

from __future__ import annotations

import codecs
import ipaddress
import json
import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

FTP_PROTOCOLS = ("ftp", "ftps")


class SettingsError(Exception):
    """Wrong settings; *problems* holds one line for each, with the field's name."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def _ip(value: str) -> str:
    return str(ipaddress.ip_address(value))  # its ValueError says what is wrong


def _encoding(value: str) -> str:
    try:
        return codecs.lookup(value).name
    except LookupError:
        raise ValueError(f"unknown encoding {value!r}; write e.g. utf-8, cp932 or latin-1") from None


def _destination(value: str) -> str:
    name, colon, folder = value.partition(":")
    if not colon or not name or "," in name or not folder.strip("/"):
        raise ValueError("write a remote, a bucket and a folder, e.g. lab:bucket/instrument")
    return f"{name}:{folder.strip('/')}"


IpAddress = Annotated[str, AfterValidator(_ip)]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0)]
Bytes = Annotated[int, Field(gt=0)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Limits(_Model):
    """What one client, or all of them together, may take."""

    max_connections: Annotated[int, Field(ge=1, le=1000)] = 50
    """Sessions at a time."""
    max_connections_per_ip: Annotated[int, Field(ge=1, le=1000)] = 10
    """Sessions at a time from one address."""
    idle_timeout_s: Seconds = 300.0
    """Seconds without a command, or without a byte during a transfer, after which a session is ended."""
    login_failures: Annotated[int, Field(ge=1, le=100)] = 5
    """Wrong passwords from one address, within lockout_s, after which the address is locked out."""
    login_delay_s: Annotated[float, Field(ge=0, le=30)] = 2.0
    """Seconds before a wrong password is answered."""
    lockout_s: Seconds = 300.0
    """Seconds for which an address stays locked out."""


class Settings(_Model):
    """Everything the collector must know. Paths are absolute, or relative to the working folder."""

    protocol: Literal["ftp", "ftps", "sftp", "webdav"]
    """ftp: plain, explicit TLS offered; ftps: explicit TLS (AUTH TLS) demanded, for control and data."""
    address: IpAddress
    """The IP address to listen on."""
    public_address: IpAddress | None = None
    """The address that PASV tells (behind NAT or a load balancer); address where missing."""
    port: Port
    passive_ports: tuple[Port, Port] | None = None
    """First and last port of data connections, both used. FTP only; at least two."""
    username: Annotated[str, Field(min_length=1, max_length=100)]
    password_file: Path
    """A file, unreadable to others, that holds the password."""
    rclone: Path
    """The rclone program."""
    rclone_config: Path
    """rclone's remotes, unreadable to others."""
    destination: Annotated[str, AfterValidator(_destination)]
    """name:bucket/folder, a remote of rclone_config."""
    history: Annotated[str, AfterValidator(_destination)] | None = None
    """name:bucket/path.jsonl, where the rows of uploads are kept as well: in a Pod, the state folder goes with it."""
    seed_file: Path | None = None
    """A file, unreadable to others, that certificate and host key are derived from: the same seed, the same keys,
    wherever the state folder went. Missing: they are made at the first start and kept in the state folder."""
    state_dir: Path
    """The one folder written to: spool, uploads.jsonl, ready.json, certificate and keys."""
    max_file_bytes: Bytes | None = None
    """A longer upload is refused."""
    max_spool_bytes: Bytes | None = None
    """Bytes that may lie in the spool (being received, or waiting for the object store); more is refused with 452."""
    limits: Limits = Limits()
    allow_list: bool = True
    """Listings of the destination folder. SIZE and MDTM of a file always work."""
    allow_download: bool = False
    allow_delete: bool = False
    encoding: Annotated[str, AfterValidator(_encoding)] = "utf-8"
    """How FTP clients write file names. Old instruments may need cp932 or latin-1."""
    sha256: bool = False
    """Put the SHA-256 of every upload into its row (computed while it arrives)."""
    settle_ms: Annotated[float, Field(ge=0, le=5000)] = 50.0
    """The longest time for which the end of the data is held against the control connection: does the client vanish as
    well? A tenth of the transfer's own time, 0.3 ms at least, up to this; 0 does not wait."""
    store_timeout_s: Seconds = 600.0
    """Seconds that a client waits at most for its file to be stored; after that it gets 451 and the upload goes on."""
    retry_s: tuple[Seconds, Seconds] = (1.0, 60.0)
    """First and longest pause between attempts to store a waiting file."""
    grace_s: Annotated[float, Field(ge=0)] = 20.0
    """Seconds that running uploads get after SIGTERM."""
    uploads_max_bytes: Bytes = 8_000_000
    """uploads.jsonl becomes uploads.jsonl.1 beyond this."""
    webdav_tls: bool = True
    """WebDAV over HTTPS (a self-signed certificate); plain HTTP otherwise."""

    @property
    def is_ftp(self) -> bool:
        """Whether our own FTP server serves, not rclone's."""
        return self.protocol in FTP_PROTOCOLS

    @property
    def told_address(self) -> str:
        """The address that clients are told."""
        return self.public_address or self.address

    @model_validator(mode="after")
    def _ports(self) -> Settings:
        if not self.is_ftp:
            return self
        if self.passive_ports is None:
            raise ValueError("passive_ports is missing; FTP needs them, e.g. [50000, 50009]")
        low, high = self.passive_ports
        if high <= low:
            raise ValueError("passive_ports: the second must be greater than the first (at least two ports)")
        if low <= self.port <= high:
            raise ValueError("passive_ports: must not contain port")
        return self

    @model_validator(mode="after")
    def _families(self) -> Settings:
        if self.address == "::":  # takes both families: a Pod behind a Service that has both
            return self
        told = ipaddress.ip_address(self.told_address)
        if told.version != ipaddress.ip_address(self.address).version:
            raise ValueError("public_address: must be of the same family (IPv4 or IPv6) as address")
        return self


def load_settings(path: Path) -> Settings:
    """Read and check the settings file. SettingsError with all problems at once, those of the named files included."""
    try:
        raw = json.loads(path.read_bytes())
    except OSError as error:
        raise SettingsError([f"{path}: {error.strerror}"]) from None
    except ValueError as error:
        raise SettingsError([f"{path}: not JSON: {error}"]) from None
    problems: list[str] = []
    settings: Settings | None = None
    try:
        settings = Settings.model_validate(raw)
    except ValidationError as error:
        problems = [_line(item["loc"], item["msg"]) for item in error.errors(include_input=False, include_url=False)]
    problems += _file_problems(raw if isinstance(raw, dict) else {})
    if problems or settings is None:
        raise SettingsError(problems)
    return settings


def read_password(path: Path) -> str:
    """The password in *path*, without the line's end. OSError, or ValueError where it is empty."""
    password = path.read_text(encoding="utf-8").strip("\r\n")
    if not password.strip():
        raise ValueError("holds no password")
    return password


def _line(location: tuple[int | str, ...], message: str) -> str:
    message = message.removeprefix("Value error, ")
    return f"{'.'.join(map(str, location))}: {message}" if location else message


def _file_problems(raw: dict[str, object]) -> list[str]:
    """What is wrong with the named files; looked at even where other fields are wrong, so that all is told at once."""
    problems: list[str] = []
    for field in ("password_file", "rclone_config", *(["seed_file"] if raw.get("seed_file") else [])):
        value = raw.get(field)
        if isinstance(value, str):
            problems += [f"{field}: {value}: {problem}" for problem in _secret_problems(Path(value))]
    password = raw.get("password_file")
    if isinstance(password, str) and Path(password).is_file() and os.access(password, os.R_OK):
        try:
            read_password(Path(password))
        except (OSError, ValueError) as error:
            problems.append(f"password_file: {password}: {error}")
    rclone = raw.get("rclone")
    if isinstance(rclone, str) and not (Path(rclone).is_file() and os.access(rclone, os.X_OK)):
        problems.append(f"rclone: {rclone}: is no program that can be run")
    return problems


def _secret_problems(path: Path) -> list[str]:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return [str(error.strerror)]
    if not path.is_file() or not os.access(path, os.R_OK):
        return ["cannot be read"]
    # The group may read: Kubernetes adds it to a mounted Secret when the pod has an fsGroup.
    return ["can be read by others; chmod 600"] if mode & 0o007 else []
