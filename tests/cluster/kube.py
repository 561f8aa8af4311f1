"""What a test does with a bed's API server: real kubectl as anyone, and the Python client as the administrator."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from kubernetes import client
from kubernetes.config import load_kube_config

from tests.cluster.bed import Bed
from tests.cluster.bed.binaries import CONTROL_PLANE, ensure
from tests.cluster.bed.processes import PATH

TIMEOUT_S = 120
Found = TypeVar("Found")

_load: Callable[..., None] = load_kube_config  # it has no types of its own


class Kube:
    """One bed's API server."""

    def __init__(self, bed: Bed) -> None:
        self.bed = bed

    @cached_property
    def api(self) -> client.ApiClient:
        """A client of the administrator's; a proxy of the machine's is not used."""
        settings = client.Configuration()
        _load(config_file=str(self.bed.kubeconfig), client_configuration=settings)
        settings.proxy = None
        return client.ApiClient(settings)

    def kubectl(
        self,
        *args: str,
        as_user: str | None = None,
        groups: Sequence[str] = (),
        input: str | None = None,
        kubeconfig: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl to its end; whether it should have failed is the test's to say.

        Args:
            args: Its arguments.
            as_user: Act as this user, by impersonation; without, as the administrator.
            groups: The groups that this user is in.
            input: Text for `--filename -`.
            kubeconfig: Another way in than the administrator's.
        """
        whom = ["--as", as_user] if as_user else []
        whom += [item for group in groups for item in ("--as-group", group)]
        return subprocess.run(
            [str(_kubectl()), *whom, *args],
            input=input or "",
            capture_output=True,
            text=True,
            env={
                "PATH": PATH,
                "HOME": os.environ.get("HOME", "/nonexistent"),
                "KUBECONFIG": str(kubeconfig or self.bed.kubeconfig),
                "KUBECACHEDIR": str(self.bed.state / "kubectl"),
            },
            timeout=TIMEOUT_S,
            check=False,
        )

    def get(self, *args: str) -> Any:
        """What `kubectl get … --output=json` gives, decoded; AssertionError with kubectl's words when it fails."""
        return json.loads(self.must("get", *args, "--output=json"))

    def must(self, *args: str, input: str | None = None) -> str:
        """Output of a kubectl that has to succeed; AssertionError with its words when it does not."""
        done = self.kubectl(*args, input=input)
        assert done.returncode == 0, f"kubectl {' '.join(args)}: {done.stderr.strip()}"
        return done.stdout

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """Server-side apply with strict validation; AssertionError with the API server's words when it refuses."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        self.must("apply", "--server-side", "--validate=strict", "--filename=-", input=text)


def _kubectl() -> Path:
    return ensure(_silent, CONTROL_PLANE).kubectl


def _silent(_: str) -> None:
    pass


def eventually(what: str, probe: Callable[[], Found], *, patience_s: float = 60) -> Found:
    """What *probe* gives once it is true; it is asked five times a second. AssertionError when the time is over."""
    deadline = time.monotonic() + patience_s
    while not (found := probe()):
        assert time.monotonic() < deadline, f"{what}: not within {patience_s:.0f} s; last seen: {found!r}"
        time.sleep(0.2)
    return found
