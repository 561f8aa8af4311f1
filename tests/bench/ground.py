"""A real API server for the rows about a cluster, with a world on it, and the commands that are timed against it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from config.cluster.client import ApiError, Cluster
from config.compile import compile_world
from config.load import load
from config.render import write
from tests.bench.contest import CannotRun
from tests.bench.table import one_line
from tests.bench.worlds import GATEWAYS, site, tenant
from tests.cluster.bed import Bed, BedError, down, missing, reap, up
from tests.cluster.bed.binaries import BED, CONTROL_PLANE, ensure
from tests.cluster.bed.needs import unbuilt
from tests.cluster.bed.processes import PATH
from tests.embedded.harness import TENANTHUB

_PATIENCE_S = 1800
"""For one command; kubectl takes minutes for a thousand tenants."""
_AT_ONCE = 8
_CHANGING = 0
"""The number of the tenant whose quota changes."""
_CHANGED = re.compile(r"\b1 to change; [0-9,]+ as declared")


@dataclass(frozen=True)
class Ground:
    """A cluster of this run's own and the programs that speak to it; without nodes, no add-on runs either."""

    bed: Bed
    kubectl: Path

    def timed(self, *commands: Sequence[str | Path], codes: Collection[int] = (0,)) -> tuple[float, str]:
        """Seconds from the start of the first of *commands*, which run side by side, to the end of the last; stdout.

        CannotRun where one of them ends with none of *codes*.
        """
        environ = {
            "PATH": PATH,
            "HOME": str(self.bed.state),
            "KUBECONFIG": str(self.bed.kubeconfig),
            "KUBECACHEDIR": str(self.bed.state / "kubectl"),
        }
        with ThreadPoolExecutor(len(commands)) as pool:
            began = time.perf_counter()
            done = list(pool.map(lambda command: _run(command, environ), commands))
            took = time.perf_counter() - began
        for each in done:
            if each.returncode not in codes:
                said = one_line(each.stderr or each.stdout)
                raise CannotRun(f"{Path(each.args[0]).name} {each.args[1]} ended with {each.returncode}: {said}")
        return took, "".join(each.stdout for each in done)

    def plan(self, world: Path) -> float:
        """Seconds of a `tenanthub plan` that finds nothing to do."""
        took, said = self.timed([TENANTHUB, "plan", world])
        if not said.startswith("nothing to do"):
            raise CannotRun(f"tenanthub plan was to find nothing to do: {one_line(said)}")
        return took

    def apply(self, world: Path, *, changed: bool = True) -> float:
        """Seconds of a `tenanthub apply`; CannotRun where *changed* and it was not exactly one object."""
        took, said = self.timed([TENANTHUB, "apply", world, "--yes"])
        if changed and not _CHANGED.search(said):
            raise CannotRun(f"tenanthub apply was to change one object: {one_line(said)}")
        return took

    def kubectl_diff(self, file: Path, at_once: int) -> float:
        """Seconds of a `kubectl diff --server-side` that finds no difference (it would end with 1)."""
        return self.timed(
            [self.kubectl, "diff", "--server-side", "--field-manager=tenanthub", f"--concurrency={at_once}", "-f", file]
        )[0]

    def kubectl_apply(self, files: Sequence[Path], objects: int) -> float:
        """Seconds of a `kubectl apply --server-side` for each of *files*, side by side, that hold so many *objects*."""
        apply: list[str | Path] = [self.kubectl, "apply", "--server-side", "--field-manager=tenanthub", "-f"]
        took, said = self.timed(*([*apply, file] for file in files))
        if (applied := said.count(" serverside-applied")) != objects:
            raise CannotRun(f"kubectl applied {applied} of {objects} objects")
        return took

    def versions(self) -> str:
        """Such as "Kubernetes v1.36.3, kubectl v1.36.3"."""
        said = json.loads(self.timed([self.kubectl, "version", "--output=json"])[1])
        server, client = said["serverVersion"]["gitVersion"], said["clientVersion"]["gitVersion"]
        return f"Kubernetes {server}, kubectl {client}"

    def furnish(self, tenants: int) -> None:
        """What a world of so many *tenants* names and does not make: nodes, and MetalLB's namespace."""
        cluster = Cluster.connect(self.bed.kubeconfig)

        def make(kind: str, name: str) -> None:
            try:
                cluster.request(
                    "POST",
                    f"/api/v1/{kind.lower()}s",
                    body={"apiVersion": "v1", "kind": kind, "metadata": {"name": name}},
                )
            except ApiError as error:
                if error.reason != "AlreadyExists":
                    raise

        nodes = {node for index in range(tenants) for node in tenant(index)["workers"]["nodes"]}
        nodes |= {f"gateway-{number}" for number in range(GATEWAYS)}
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(lambda node: make("Node", node), sorted(nodes)))
        make("Namespace", "metallb-system")


def _run(command: Sequence[str | Path], environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    argv = [str(part) for part in command]
    return subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environ,
        timeout=_PATIENCE_S,
        check=False,
    )


@contextmanager
def raised(say: Callable[[str], None], nodes: int = 0) -> Iterator[Ground]:
    """A control plane, or a bed with its 3 *nodes*, taken down again in any case. CannotRun with the reason where this
    machine cannot carry one."""
    if reasons := missing() or unbuilt(BED if nodes else CONTROL_PLANE):
        raise CannotRun("; ".join(reasons))
    reap(say)  # what a benchmark that was killed has left
    name = f"b{os.getpid()}"
    try:
        bed = up(name, nodes, "current", say, own=True)
        yield Ground(bed, ensure(say, CONTROL_PLANE).kubectl)
    except BedError as error:
        raise CannotRun(str(error)) from None
    finally:
        try:
            down(name, say)
        except BedError as error:  # the figures are taken; the next run takes the rest down
            say(f"{name}: {error}")


class Declared:
    """A world of *tenants* tenants as files in *folder*, one of which gets another quota again and again.

    Workers are shared (`dedicated: false`): the taint of a dedicated one is part of a list which the API server takes
    as one value, so `kubectl apply --server-side` conflicts with the taints that Kubernetes itself gives a node without
    a kubelet. Everything else is as in the compiler's tests.
    """

    def __init__(self, folder: Path, tenants: int) -> None:
        self.folder = folder
        self.tenants = tenants
        self._cpu = 16
        (folder / "tenants").mkdir(parents=True, exist_ok=True)
        (folder / "site.yaml").write_text(yaml.safe_dump(site()), encoding="utf-8")
        for index in range(tenants):
            self._write(index)

    def change(self) -> None:
        """One tenant gets one CPU more than before."""
        self._cpu += 1
        self._write(_CHANGING)

    def _write(self, index: int) -> None:
        found = tenant(index)
        found["workers"]["dedicated"] = False
        if index == _CHANGING:
            found["quota"]["cpu"] = self._cpu
        path = self.folder / "tenants" / f"{found['name']}.yaml"
        path.write_text(yaml.safe_dump(found), encoding="utf-8")

    def rendered(self, folder: Path, parts: int = 1) -> tuple[list[Path], int]:
        """As `tenanthub render` writes it, dealt out to so many files in *folder*; how many objects that are."""
        manifests = compile_world(load(self.folder))
        files = [folder / f"part-{part}-of-{parts}.yaml" for part in range(parts)]
        for part, file in enumerate(files):
            with file.open("w", encoding="utf-8") as stream:
                write(manifests[part::parts], stream)
        return files, len(manifests)
