"""One apply at a time in a cluster, by a Lease (coordination.k8s.io/v1), as controllers elect a leader.

Server-side apply alone would not do: two applies of two states of the world, mixed object by object, would leave a
cluster that nobody has declared. The Lease stays when nobody holds it, since its version tells more: whoever takes it
at the version that it had before the plan was made knows that no other apply began since, and need not plan again.

A holder writes the time every few seconds. One that is gone (kill -9) is known at once where it ran on this machine;
elsewhere its time must stand still for DURATION by our own clock, so that clocks need not agree.
"""

from __future__ import annotations

import getpass
import os
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from config.cluster.client import ApiError, Cluster, ClusterError

DURATION = 15
"""Seconds without a sign of life after which a lease is free."""
_RENEW = 5.0
_FOLDER = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
"""In the namespace `default`, which every cluster has: the hub's may not be there yet."""


class Busy(ClusterError):
    """Another apply holds the lease and shows signs of life."""


class Lease:
    """The right to apply. `seen` first, then `take`; a context that gives it back."""

    def __init__(self, cluster: Cluster, domain: str) -> None:
        self._cluster = cluster
        self._name = f"tenanthub-apply.{domain}"
        self._path = f"{_FOLDER}/{self._name}"
        self._found: dict[str, Any] | None = None
        self._ended = threading.Event()
        self._last_sign = 0.0
        self._renewer: threading.Thread | None = None

    def look(self) -> None:
        """Note the lease's version, before anything else of the cluster is read. ClusterError."""
        self._found = self._cluster.get(self._path)

    def take(self, patience: float, say: Callable[[str], None]) -> bool:
        """Take it; whether no other apply has begun since `look`. Busy after *patience* seconds. ClusterError."""
        before = _version(self._found)
        deadline, sign, since = time.monotonic() + patience, "", time.monotonic()
        while True:
            holder, renewed = _holder(self._found), _renewed(self._found)
            if renewed != sign:
                sign, since = renewed, time.monotonic()
            if not holder or _is_dead(holder) or time.monotonic() - since > DURATION:
                fresh = _version(self._found) == before and not holder
                if self._write(self._found):
                    self._start()
                    return fresh
            elif time.monotonic() > deadline:
                raise Busy(f"another apply is running: {_words(holder)}, last sign of life {renewed}")
            else:
                say(f"waiting for another apply: {_words(holder)}, since {_acquired(self._found)}")
                time.sleep(0.5)
            self._found = self._cluster.get(self._path)

    def held(self) -> bool:
        """Whether it is still ours: the last sign of life was written and is not too old."""
        return not self._ended.is_set() and time.monotonic() - self._last_sign < DURATION - 2

    def __enter__(self) -> Lease:
        """Itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Give it back, if it was taken. What cannot be given back runs out."""
        if self._renewer is None:
            return
        self._ended.set()
        self._renewer.join()
        try:
            self._write(self._found, holder="")
        except ClusterError:
            return

    def _start(self) -> None:
        self._renewer = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._renewer.start()

    def _renew(self) -> None:
        while not self._ended.wait(_RENEW):
            try:
                if not self._write(self._found):
                    self._ended.set()  # somebody took it: they thought that we were gone
            except ClusterError:
                continue  # `held` runs out if this goes on

    def _write(self, found: dict[str, Any] | None, holder: str | None = None) -> bool:
        """Write holder and time over *found*; False where somebody was quicker."""
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        mine = _identity() if holder is None else holder
        spec = {"holderIdentity": mine, "leaseDurationSeconds": DURATION, "renewTime": now}
        taken = _holder(found) != mine
        spec["acquireTime"] = now if taken else _acquired(found)
        metadata: dict[str, Any] = {"name": self._name}
        if found is not None:
            metadata["resourceVersion"] = found["metadata"]["resourceVersion"]
        body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
        try:
            if found is None:
                self._found = self._cluster.request("POST", _FOLDER, body=body)
            else:
                self._found = self._cluster.request("PUT", self._path, body=body)
        except ApiError as error:
            if error.status in (404, 409):
                return False
            raise
        self._last_sign = time.monotonic()
        return True


def _identity() -> str:
    """Person, machine and process: what an operator needs to know, and what tells that the process is gone."""
    try:
        person = getpass.getuser()
    except (KeyError, OSError):
        person = str(os.getuid())
    return f"{person}@{socket.gethostname()} {os.getpid()} {_started(os.getpid())} {_place()}"


def _place() -> str:
    """This boot of this kernel and this PID namespace, where process numbers mean the same; empty where unknown.

    A host's name would not do: two containers, or two laptops called localhost, may share it.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}.{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def _started(pid: int) -> str:
    """When a process began, in clock ticks since boot; empty where it is gone or cannot be told."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def _is_dead(holder: str) -> bool:
    """Whether *holder* ran here and does no more. Numbers come again, so the start has to be the same too."""
    parts = holder.split(" ")
    if len(parts) != 4:
        return False
    _, pid, started, place = parts
    return bool(place and place == _place() and pid.isdigit() and started and _started(int(pid)) != started)


def _words(holder: str) -> str:
    return " process ".join(holder.split(" ")[:2])


def _holder(lease: dict[str, Any] | None) -> str:
    return str((lease or {}).get("spec", {}).get("holderIdentity") or "")


def _renewed(lease: dict[str, Any] | None) -> str:
    return str((lease or {}).get("spec", {}).get("renewTime") or "")


def _acquired(lease: dict[str, Any] | None) -> str:
    return str((lease or {}).get("spec", {}).get("acquireTime") or "")


def _version(lease: dict[str, Any] | None) -> str:
    return str((lease or {}).get("metadata", {}).get("resourceVersion") or "")
