"""Ready-made settings and commands for the programs that upload to an address. Pure; no password is ever in them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address


@dataclass(frozen=True)
class ClientHelp:
    """One program: a command to copy, or rows of settings to type."""

    program: str
    command: str = ""
    rows: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class _Target:
    scheme: str
    host: str
    port: str
    user: str
    tls_only: bool

    @property
    def bracketed(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


def client_help(endpoints: Sequence[tuple[str, str]]) -> tuple[ClientHelp, ...]:
    """Help for the protocol that the rows name (Protocol, Address, Port, User); empty where they name none."""
    target = _target(dict(endpoints))
    if target is None:
        return ()
    made = {"ftp": _ftp, "sftp": _sftp, "webdav": _webdav}[target.scheme](target)
    return (*made, _settings(target))


def _target(rows: dict[str, str]) -> _Target | None:
    protocol = rows.get("Protocol", "").upper()
    # FTPS before FTP, SFTP before FTP: the words contain each other
    for word, scheme in (("WEBDAV", "webdav"), ("SFTP", "sftp"), ("FTP", "ftp")):
        if word in protocol:
            host, port, user = rows.get("Address", ""), rows.get("Port", ""), rows.get("User", "")
            if not port.isdigit() or not user or not _is_address(host):
                return None  # the address is being allocated
            return _Target(scheme, host, port, user, protocol.startswith("FTPS"))
    return None


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _ftp(target: _Target) -> tuple[ClientHelp, ...]:
    url = f"ftp://{target.bracketed}:{target.port}/"
    tls = ["--ssl-reqd", "--insecure"] if target.tls_only else []
    settings = "set ssl:verify-certificate no; " + ("set ftp:ssl-force yes; " if target.tls_only else "")
    lftp = ["lftp", "-e", settings.strip(), "-u", target.user, f"ftp://{target.bracketed}:{target.port}"]
    return (
        ClientHelp("curl", shlex.join(["curl", *tls, "--user", target.user, "--upload-file", "photo.tif", url])),
        ClientHelp("lftp", shlex.join(lftp)),
    )


def _sftp(target: _Target) -> tuple[ClientHelp, ...]:
    return (ClientHelp("sftp", shlex.join(["sftp", "-P", target.port, f"{target.user}@{target.bracketed}"])),)


def _webdav(target: _Target) -> tuple[ClientHelp, ...]:
    url = f"http://{target.bracketed}:{target.port}/"
    return (ClientHelp("curl", shlex.join(["curl", "--user", target.user, "--upload-file", "photo.tif", url])),)


def _settings(target: _Target) -> ClientHelp:
    """As WinSCP and FileZilla ask for them."""
    names = {"ftp": "FTP", "sftp": "SFTP", "webdav": "WebDAV"}
    rows = [
        ("File protocol", names[target.scheme]),
        ("Host name", target.host),
        ("Port number", target.port),
        ("User name", target.user),
        ("Password", "shown above with “Show password”"),
    ]
    if target.scheme == "ftp":
        encryption = "TLS/SSL explicit" if target.tls_only else "none, or TLS/SSL explicit where it can"
        rows[1:1] = [("Encryption", encryption), ("Transfer mode", "passive, binary")]
    return ClientHelp("WinSCP, FileZilla, instrument", rows=tuple(rows))
