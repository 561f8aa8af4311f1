"""ssh hosts of rsync: the tenant's remotes of type sftp, with key and pinned host keys out of rclone.conf.

One place for both tools: rclone's own options (https://rclone.org/sftp/) host, user, port, key_pem and host_keys.
Nothing is taken on trust: without pinned host keys neither tool is started, for rclone would take any host's.
"""

from __future__ import annotations

import configparser
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from images.transfer.settings import SSH_ENDPOINT, TransferSettings, is_local, named_remote

ALIAS = "tenanthub-"
"""In front of a remote's name: what ssh and rsync call the host. So no remote's name can be a word of theirs."""
_PIN = "its credentials need host_keys, e.g. the second and third word of each line that `ssh-keyscan HOST` prints"


class SshError(Exception):
    """A remote that cannot be used over ssh. The text is for people, and holds no secret."""


@dataclass(frozen=True)
class Host:
    """One remote of type sftp."""

    remote: str
    host: str
    user: str
    port: int
    key: str = field(repr=False)
    """The private key, PEM, several lines."""
    host_keys: tuple[str, ...]
    """`algorithm base64`, as in a line of known_hosts behind the names."""

    @property
    def alias(self) -> str:
        """What ssh calls it."""
        return f"{ALIAS}{self.remote}"

    def write(self, folder: Path) -> str:
        """Write key and host keys into *folder* (mode 0600) for as long as the run lasts; its part of the ssh
        configuration."""
        key, known = folder / f"{self.alias}.key", folder / f"{self.alias}.known_hosts"
        _private(key, self.key)
        _private(known, "".join(f"{self.alias} {one}\n" for one in self.host_keys))
        return "\n".join(
            [
                f"Host {self.alias}",
                f"  HostName {self.host}",
                f"  User {self.user}",
                f"  Port {self.port}",
                f"  HostKeyAlias {self.alias}",
                f'  IdentityFile "{key}"',
                f'  UserKnownHostsFile "{known}"',
                "",
            ]
        )


def sections(config: Path | None) -> configparser.ConfigParser:
    """rclone.conf. SshError where it cannot be read."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(config.read_text(encoding="utf-8") if config else "")
    except (OSError, UnicodeDecodeError, configparser.Error):
        raise SshError("The rclone configuration of this transfer cannot be read") from None
    return parser


def host_of(parser: configparser.ConfigParser, remote: str) -> Host:
    """The ssh host of a *remote*. SshError names what is missing."""
    if not parser.has_section(remote):
        raise SshError(f"{remote} is not in this tenant's list of remotes, or lacks its credentials")
    options = parser[remote]
    if options.get("type") != "sftp":
        raise SshError(f"{remote} is of type {options.get('type')}; rsync needs a remote of type sftp")
    key = options.get("key_pem", "").replace("\\n", "\n").strip()
    host, user, port = options.get("host", ""), options.get("user", ""), options.get("port", "22")
    if not key:
        raise SshError(f"{remote} has no key: its credentials need key_pem, the private key in one line with \\n in it")
    if not SSH_ENDPOINT.match(f"{user}@{host}:x") or not port.isdigit() or not 0 < int(port) < 65536:
        raise SshError(f"{remote} needs the options host and user, and a port that is a number where it is not 22")
    return Host(remote, host, user, int(port), f"{key}\n", _pinned(remote, options.get("host_keys", "")))


def require_pinned(settings: TransferSettings) -> None:
    """SshError where rclone would reach an ssh host without knowing its key."""
    for side in (settings.source, settings.destination):
        remote = named_remote(side)
        if settings.tool != "rclone" or remote is None or settings.rclone_config is None:
            continue
        parser = sections(settings.rclone_config)
        if parser.has_section(remote) and parser[remote].get("type") == "sftp":
            _pinned(remote, parser[remote].get("host_keys", ""))


def _pinned(remote: str, text: str) -> tuple[str, ...]:
    found = tuple(" ".join(one.split()) for one in text.split(",") if one.strip())
    if not found:
        raise SshError(f"The host key of {remote} is not pinned: {_PIN}")
    if any(len(one.split()) != 2 or not one.isprintable() for one in found):
        raise SshError(f"host_keys of {remote} cannot be read: {_PIN}")
    return found


def endpoint(side: str) -> str:
    """*side* as rsync is given it: a remote by its alias, its folder's contents and not the folder itself."""
    remote = named_remote(side)
    if is_local(side) or remote is None:
        return side
    path = side.partition(":")[2].rstrip("/")
    return f"{ALIAS}{remote}:{path}/" if path else f"{ALIAS}{remote}:./"


def configure(settings: TransferSettings, folder: Path, common: Iterable[str]) -> str | None:
    """The ssh configuration for the remotes among the sides, and their keys in *folder*; None where there is none.
    *common*: lines that hold for every host. SshError."""
    remotes = [one for one in map(named_remote, (settings.source, settings.destination)) if one is not None]
    if settings.tool != "rsync" or not remotes:
        return None
    parser = sections(settings.rclone_config)
    hosts = [host_of(parser, one) for one in dict.fromkeys(remotes)]
    return "".join(one.write(folder) for one in hosts) + "\n".join(["Host *", *common, ""])


def forget(folder: Path) -> None:
    """Remove the keys."""
    for path in folder.glob(f"{ALIAS}*"):
        path.unlink(missing_ok=True)


def _private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
