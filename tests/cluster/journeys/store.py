"""Object storage that Pods reach: a real `rclone serve s3` a tenant on the host's address in the bed's machine room.

Each has a key and a folder of its own, so that one tenant's credentials open nothing of the other's. It keeps its
listing for minutes (rclone's default): nobody else writes there, and with `--dir-cache-time 0s` rclone 1.75 locks
itself up.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spawners.kube.remotes import CREDENTIALS
from tests.cluster.bed import Bed
from tests.cluster.journeys import world
from tests.cluster.kube import eventually

RCLONE = Path(sys.executable).with_name("rclone")
_CHUNK = 1 << 20


@dataclass
class Store:
    """One tenant's S3 server over a folder; an object is a file in it."""

    tenant: str
    folder: Path
    """Also holds its log. On a disk: it takes gigabytes."""
    endpoint: str = ""
    access_key: str = field(default_factory=lambda: secrets.token_hex(10))
    secret_key: str = field(default_factory=lambda: secrets.token_hex(20), repr=False)

    @property
    def objects(self) -> Path:
        """The tenant's bucket."""
        return self.folder / "objects" / world.bucket(self.tenant)

    def names(self, under: str = "") -> set[str]:
        """The names of all objects below a folder of the bucket, relative to it."""
        top = self.objects / under
        return {str(path.relative_to(top)) for path in top.rglob("*") if path.is_file()}

    def sha256(self, name: str) -> str:
        """Of one object's content, in hexadecimal digits."""
        digest = hashlib.sha256()
        with (self.objects / name).open("rb") as stream:
            while block := stream.read(_CHUNK):
                digest.update(block)
        return digest.hexdigest()

    def secret(self, hub_namespace: str, domain: str) -> dict[str, Any]:
        """The Secret by which the hub knows the keys (docs/kubernetes-spawner.md, Remotes)."""
        keys = {"access_key_id": self.access_key, "secret_access_key": self.secret_key}
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": world.credentials(self.tenant),
                "namespace": hub_namespace,
                "labels": {f"{domain}/holds": CREDENTIALS},
            },
            "data": {name: base64.b64encode(value.encode()).decode() for name, value in keys.items()},
        }


@contextmanager
def serving(bed: Bed, folder: Path, tenants: tuple[str, ...] = world.TENANTS) -> Iterator[Mapping[str, Store]]:
    """A store a tenant, which serves until the end of the `with`; by tenant."""
    processes: list[subprocess.Popen[bytes]] = []
    stores: dict[str, Store] = {}
    try:
        for tenant in tenants:
            stores[tenant] = made = Store(tenant, folder / tenant)
            made.objects.mkdir(parents=True)
            processes.append(_start(bed, made))
        for made, process in zip(stores.values(), processes, strict=True):
            made.endpoint = _endpoint(made, process)
        yield stores
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(30)


def _log(store: Store) -> Path:
    return store.folder / "s3.log"


def _start(bed: Bed, store: Store) -> subprocess.Popen[bytes]:
    # The keys by the environment: a command line can be read by everybody on the machine.
    # rclone reads it as a line of CSV, hence the quotes.
    keys = {"RCLONE_AUTH_KEY": f'"{store.access_key},{store.secret_key}"'}
    argv = [str(RCLONE), "serve", "s3", str(store.folder / "objects"), "--addr", f"{bed.host[0]}:0"]
    argv += ["--config", os.devnull, "--vfs-cache-mode", "off"]
    with _log(store).open("wb") as log:
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=log, stdout=log, env={**os.environ, **keys})


def _endpoint(store: Store, process: subprocess.Popen[bytes]) -> str:
    def look() -> re.Match[str] | None:
        assert process.poll() is None, f"rclone serve s3 ended: {_log(store).read_text()}"
        return re.search(r"Starting s3 server on \[(http://[\d.]+:\d+)", _log(store).read_text())

    found = eventually("the S3 server", look)
    assert found
    return found[1]
