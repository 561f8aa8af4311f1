"""A real sshd on the loopback address, whose one user may come in with one key, and a home folder for each host."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.images.transfer.running import wait_for
from tests.tiers import need

_SFTP = "/usr/lib/openssh/sftp-server"
_PATH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"


def need_sshd() -> str:
    """The path of sshd; a skip with its reason where it is missing, a failure where it is required."""
    path = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:{_PATH}")
    need("sshd", path, "sshd is not installed on this machine (Debian: openssh-server)")
    return str(path)


@dataclass(frozen=True)
class SshHost:
    """One server. Its user's folders are below *home*, wherever the account's real home is."""

    address: str
    port: int
    home: Path
    key: Path
    """The private key that it lets in."""
    host_key: str
    """`algorithm base64`, as rclone's option host_keys has it."""

    def section(self, name: str, **changed: str) -> str:
        """Its part of rclone.conf, as the hub writes it of a remote's options and credentials."""
        options = {
            "type": "sftp",
            "host": self.address,
            "port": str(self.port),
            "user": getpass.getuser(),
            "key_pem": self.key.read_text().strip().replace("\n", "\\n"),
            "host_keys": self.host_key,
            **changed,
        }
        return "".join([f"[{name}]\n", *(f"{key} = {value}\n" for key, value in options.items()), "\n"])


def keypair(path: Path) -> str:
    """Make a key; its public half."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)], check=True)
    return path.with_suffix(".pub").read_text().strip()


@contextmanager
def sshd(folder: Path, address: str = "127.0.0.1", netns: tuple[str, ...] = ()) -> Iterator[SshHost]:
    """A server until the end of the `with`. *netns*: words in front of its command line that choose a network."""
    program = need_sshd()
    folder.mkdir(parents=True, exist_ok=True)
    home = folder / "home"
    home.mkdir()
    public, host = keypair(folder / "key"), keypair(folder / "host")
    # Every command begins in this server's own home: two servers stand for two machines, though the account is one.
    login = folder / "login"
    login.write_text(
        f'#!/bin/sh\ncd {home} || exit 1\ncase "$SSH_ORIGINAL_COMMAND" in\n'
        f'  {_SFTP}) exec {_SFTP} -d {home} ;;\n  *) exec sh -c "$SSH_ORIGINAL_COMMAND" ;;\nesac\n'
    )
    login.chmod(0o755)
    (folder / "authorized").write_text(f'command="{login}" {public}\n')
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    port = _free_port(address) if not netns else 2222
    log = folder / "sshd.log"
    settings = [
        f"ListenAddress {address}:{port}",
        f"HostKey {folder / 'host'}",
        f"AuthorizedKeysFile {folder / 'authorized'}",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "UsePAM no",
        "PermitRootLogin prohibit-password",
        "StrictModes no",  # a test's folder is below /tmp
        "PidFile none",
        f"Subsystem sftp {_SFTP}",
        "",
    ]
    (folder / "sshd_config").write_text("\n".join(settings))
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [*netns, program, "-D", "-e", "-f", str(folder / "sshd_config")], stdin=subprocess.DEVNULL, stderr=stream
        )
    try:
        wait_for(lambda: b"Server listening" in log.read_bytes() or process.poll() is not None, "sshd")
        assert process.poll() is None, log.read_text()
        yield SshHost(address, port, home, folder / "key", " ".join(host.split()[:2]))
    finally:
        process.terminate()
        process.wait(10)


def _free_port(address: str) -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])
