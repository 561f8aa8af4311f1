"""The state folder of an embedded hub: where everything that outlives a process is. All of it is 0700 or 0600."""

from __future__ import annotations

import os
from pathlib import Path

from spawners.local.folder import WorkloadFolder


class StateFolder:
    """Paths below one state folder; `make()` creates what must be there."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.workloads = self.root / "workloads"
        self.homes = self.root / "homes"
        self.shared = self.root / "shared"
        self.secrets = self.root / "secrets"
        self.objects = self.root / "objectstore"
        self.logs = self.root / "logs"
        self.passwords = self.root / "passwords.txt"
        self.ports = self.root / "ports.json"
        self.world = self.root / "world"
        self.database = self.root / "jupyterhub.sqlite"

    def make(self) -> None:
        """Create the folders, mode 0700. OSError as the system raises it."""
        os.umask(0o077)
        for path in (
            self.root, self.workloads, self.homes, self.shared, self.secrets, self.objects, self.logs,
        ):  # fmt: skip
            path.mkdir(parents=True, exist_ok=True, mode=0o700)

    def folder(self, tenant: str, owner: str, name: str) -> WorkloadFolder:
        """The folder of one workload. ValueError for a part that is no plain name: parts come from requests."""
        for part in (tenant, owner, name):
            if not part or part.startswith(".") or "/" in part or "\0" in part:
                raise ValueError(f"{part!r} is not a name")
        return WorkloadFolder(self.workloads / tenant / owner / name)

    def home(self, tenant: str, owner: str) -> Path:
        """Home of an account within a tenant, kept over launches."""
        return self.homes / tenant / owner
