"""Programs built out of the Go modules in tests/cluster/go/: each module pins its release by go.mod and go.sum."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.bed import cache
from tests.cluster.bed.names import BedError

MODULES = Path(__file__).resolve().parent.parent / "go"
KUBERNETES = "1.36.3"
_VERSION = "k8s.io/component-base/version"


@dataclass(frozen=True)
class Module:
    """A folder of tests/cluster/go/ and the packages of it, or of what it requires, that become programs."""

    name: str
    packages: Mapping[str, str]  # name of the program -> import path
    about: str
    ldflags: str = "-s -w"


KUBE = Module(
    "kubernetes",
    {"kubernetes": "."},
    "5 minutes",
    # what `kubectl version` and feature checks read; without it the version is v0.0.0
    f"-s -w -X {_VERSION}.gitVersion=v{KUBERNETES} -X {_VERSION}.gitMajor=1 -X {_VERSION}.gitMinor=36"
    f" -X {_VERSION}.gitTreeState=clean",
)
METALLB = Module(
    "metallb",
    {"controller": "go.universe.tf/metallb/controller", "speaker": "go.universe.tf/metallb/speaker"},
    "4 minutes",
)
COREDNS = Module("coredns", {"coredns": "."}, "2 minutes")
HELM = Module("helm", {"helm": "helm.sh/helm/v4/cmd/helm"}, "2 minutes")
PAUSE = Module("pause", {"pause": "."}, "some seconds")
TOOL = Module("tool", {"tenanthub-test": "."}, "some seconds")


def key(module: Module) -> str:
    """Of what we decide about what comes out: sources, requirements, flags. Not of the compiler: who has the programs
    needs none, and a newer one is no reason to wait."""
    files = sorted(file for file in (MODULES / module.name).iterdir() if file.suffix in {".go", ".mod", ".sum"})
    sources = [part for file in files for part in (file.name, file.read_bytes())]
    return cache.key_of([repr(module), *sources])


def build(module: Module, folder: Path, lock: int, log: Path) -> None:
    """Build the module's programs into the folder. What Go says goes to the log.

    Raises BedError with the compiler's first complaint.
    """
    for name, package in module.packages.items():
        # -trimpath: the result doesn't depend on where the repository lies. nice: whoever waits may want to work.
        argv = ["nice", "go", "build", "-trimpath", "-buildvcs=false", "-mod=readonly", "-ldflags", module.ldflags]
        _go([*argv, "-o", str(folder / name), package], module, lock, log)


def source_of(module: Module, path: str, lock: int, log: Path) -> Path:
    """The folder of a required module's sources, as Go has them in its cache. Raises BedError."""
    return Path(_go(["go", "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", path], module, lock, log).strip())


def _go(argv: Sequence[str], module: Module, lock: int, log: Path) -> str:
    if not shutil.which("go"):
        raise BedError("there is no Go compiler here")
    # CGO off: static programs, which need nothing of the node or image that they run in
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"}
    with log.open("w") as errors:
        result = subprocess.run(
            argv,
            check=False,
            cwd=MODULES / module.name,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            pass_fds=[lock],
        )
    if result.returncode:
        said = [line for line in log.read_text(errors="replace").splitlines() if not line.startswith(("#", "go: down"))]
        raise BedError(f"building {module.name}: {said[0] if said else 'it failed'} (all of it: {log})")
    return result.stdout
