"""A real Postgres on the host's address in the machine room of a bed, where Pods reach it: Debian's own."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.tiers import need

DATABASE = "postgres"
USER = "tenanthub"
_DEBIAN = Path("/usr/lib/postgresql")
_ACCOUNT = "postgres"
"""Of the machine, by Debian's package: the server refuses to be root's."""
_WITHIN_S = 120


@dataclass
class Postgres:
    """A server that may run or not."""

    folder: Path
    """An empty one, of whose parents every account may enter each: below pytest's own folders that is not so."""
    host: str
    port: int
    password: str = field(default_factory=lambda: secrets.token_hex(20), repr=False)

    @property
    def url(self) -> str:
        """SQLAlchemy's, with the password."""
        return f"postgresql+psycopg://{USER}:{self.password}@{self.host}:{self.port}/{DATABASE}"

    def ask(self, statement: str) -> list[str]:
        """The rows that one statement gives, as text."""
        argv = ["psql", "--host", self.host, "--port", str(self.port), "--username", USER, "--dbname", DATABASE]
        environ = {**os.environ, "PGPASSWORD": self.password}
        return _run([*argv, "--tuples-only", "--no-align", "--command", statement], environ=environ).split()

    def restart(self) -> None:
        """Break all connections, as an upgrade of it does."""
        _run(
            [*self._control, "--log", str(self.folder / "data" / "server.log"), "--mode=immediate", "restart"],
            server=True,
        )

    @property
    def _control(self) -> list[str]:
        return ["pg_ctl", "--pgdata", str(self.folder / "data"), "--wait", f"--timeout={_WITHIN_S}"]

    @contextmanager
    def running(self) -> Iterator[None]:
        """The server answers within."""
        data, secret = self.folder / "data", self.folder / "password"
        secret.touch(0o600)
        secret.write_text(self.password)
        if os.geteuid() == 0:
            for path in (self.folder, secret):
                shutil.chown(path, _ACCOUNT)
        how = ("--username", USER, "--auth", "scram-sha-256", "--pwfile", str(secret), "--no-sync")
        _run(["initdb", "--pgdata", str(data), *how], server=True)
        with (data / "postgresql.conf").open("a") as file:
            file.write(f"listen_addresses = '{self.host}'\nport = {self.port}\nfsync = off\n")
            file.write(f"unix_socket_directories = '{data}'\n")
        with (data / "pg_hba.conf").open("a") as file:
            file.write(f"host all {USER} 0.0.0.0/0 scram-sha-256\n")
        _run([*self._control, "--log", str(data / "server.log"), "start"], server=True)
        try:
            yield
        finally:
            _run([*self._control, "--mode=immediate", "stop"], server=True)


def needed() -> None:
    """Skips or fails like `need` where the server is not installed."""
    missing = [name for name in ("initdb", "pg_ctl", "psql") if _program(name) is None]
    need("cluster", not missing, f"{', '.join(missing)} is missing (Debian: apt install postgresql)")


def _program(name: str) -> str | None:
    """In the PATH, else of the newest version that Debian has put beside it."""
    beside = sorted(_DEBIAN.glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    return shutil.which(name) or (str(beside[-1]) if beside else None)


def _run(argv: list[str], *, server: bool = False, environ: dict[str, str] | None = None) -> str:
    program = _program(argv[0])
    assert program, argv[0]
    account = _ACCOUNT if server and os.geteuid() == 0 else None
    # Its words go to a pipe that nobody of the server's holds: pg_ctl gives the server a log.
    done = subprocess.run(
        [program, *argv[1:]], capture_output=True, text=True, env=environ, user=account, cwd="/",
        timeout=_WITHIN_S + 30, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{argv[0]}: {done.stdout}{done.stderr}"
    return done.stdout
