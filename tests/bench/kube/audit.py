"""Requests by account, out of the API server's own audit log: neither client is believed about what it sends."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.bed import Bed


def count(lines: Iterable[str], user: str) -> Counter[str]:
    """Requests of *user* by their verb (get, list, watch, create, patch, …); each once, however many stages it has.

    A watch is counted when it begins: it may end long after. A line that is cut off (the log is being written) is none.
    """
    seen: set[str] = set()
    found: Counter[str] = Counter()
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if event.get("user", {}).get("username") != user or event["auditID"] in seen:
            continue
        seen.add(event["auditID"])
        found[event["verb"]] += 1
    return found


@dataclass
class AuditLog:
    """One bed's audit log, read from where the last reading has ended."""

    path: Path
    position: int = 0

    @classmethod
    def of(cls, bed: Bed) -> AuditLog:
        """From now on."""
        path = bed.logs / "audit.log"
        return cls(path, path.stat().st_size)

    def taken(self, user: str) -> Counter[str]:
        """What *user* has asked for since the last call, whole lines only."""
        with self.path.open("rb") as file:
            file.seek(self.position)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self.position += len(whole)
        return count(whole.decode(errors="replace").splitlines(), user)
