"""Every program and image of the test bed: built or fetched once into the cache, then found there."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.cluster.bed import cache, debs, gobuild, images
from tests.cluster.bed.cache import Artefact, Say
from tests.cluster.bed.names import BedError

KUBE_PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl")
CONTROL_PLANE = ("debian", "kubernetes")  # what a bed without nodes needs
BED = (*CONTROL_PLANE, "images", "coredns", "metallb")
ALL = (*BED, "helm")
KWOK = gobuild.Module("kwok", {"kwok": "sigs.k8s.io/kwok/cmd/kwok"}, "90 seconds")
METALLB_FILES = ("config/crd/bases", "config/manifests/metallb-native.yaml")  # of its sources, beside the programs


@dataclass(frozen=True)
class Binaries:
    """Absolute paths."""

    kube: Path  # one binary; `kube_program` gives the names by which it is called
    kubectl: Path
    etcd: Path
    etcdctl: Path
    containerd: Path
    containerd_shim: Path
    ctr: Path
    runc: Path
    cni_dir: Path  # bridge, host-local, portmap, loopback and the other standard plugins
    metallb_controller: Path
    metallb_speaker: Path
    metallb_crds: Path  # folder of MetalLB's own definitions, the same release as the two programs
    metallb_manifest: Path  # how MetalLB itself says it is to be deployed, without FRR
    coredns: Path
    registry: Path  # docker-registry
    helm: Path
    tool: Path  # the test image's program, for the host and for instruments
    pause_image: Path  # OCI archives; their names are images.PAUSE and images.TOOL
    tool_image: Path
    path: str  # for the environment of the nodes' processes: nft, iptables, conntrack, runc and the shim are on it

    def kube_program(self, name: str) -> Path:
        """The link by which the Kubernetes binary becomes that program. KeyError for one it does not hold."""
        if name not in KUBE_PROGRAMS:
            raise KeyError(name)
        return self.kube.parent / name


def ensure(say: Say = print, only: Collection[str] = ALL) -> Binaries:
    """All binaries; what the cache lacks is built, with a line for each, in about 15 minutes on two cores from nothing.

    With `only` (see ALL and CONTROL_PLANE) other parts are left: their paths are right, but may not be there yet.

    Raises BedError, one line, when something cannot be had: no Go, no Debian, no network.
    """
    wanted = artefacts()
    folders = {artefact.name: cache.folder_of(artefact) for artefact in wanted}
    cache.obtain([artefact for artefact in wanted if artefact.name in only], say)
    debian, kube, metallb = folders["debian"], folders["kubernetes"], folders["metallb"]

    def program(name: str) -> Path:
        unpacked = debian / "bin" / name
        if unpacked.exists():
            return unpacked
        if not (found := debs.find(name)):
            raise BedError(f"{name} is neither on this machine nor in {debian}")
        return Path(found)

    return Binaries(
        kube=kube / "kubernetes",
        kubectl=kube / "kubectl",
        etcd=program("etcd"),
        etcdctl=program("etcdctl"),
        containerd=program("containerd"),
        containerd_shim=program("containerd-shim-runc-v2"),
        ctr=program("ctr"),
        runc=program("runc"),
        cni_dir=debian / "root/usr/lib/cni",
        metallb_controller=metallb / "controller",
        metallb_speaker=metallb / "speaker",
        metallb_crds=metallb / "crds",
        metallb_manifest=metallb / "metallb-native.yaml",
        coredns=folders["coredns"] / "coredns",
        registry=program("docker-registry"),
        helm=folders["helm"] / "helm",
        tool=folders["images"] / "tenanthub-test",
        pause_image=folders["images"] / "pause.tar",
        tool_image=folders["images"] / "tool.tar",
        path=f"{kube}:{debian / 'bin'}:{debs.SYSTEM_PATH}",
    )


def kwok(say: Say = print) -> Path:
    """kwok, which plays the kubelets of thousands of Pods. Only benchmarks use it, so no bed and no `build` has it.

    It is built when this is first called. Raises BedError as `ensure` does.
    """
    made = Artefact(KWOK.name, gobuild.key(KWOK), partial(_make, KWOK), KWOK.about)
    cache.obtain([made], say)
    return cache.folder_of(made) / "kwok"


def artefacts() -> list[Artefact]:
    """What the cache has to hold, the quick ones first: a machine that cannot build says so within seconds."""
    codename = platform.freedesktop_os_release().get("VERSION_CODENAME", "") if sys.platform == "linux" else ""
    programs = debs.lacking()
    debian: list[str | bytes] = [codename, *debs.SID, "/", *programs, _own("debs.py")]
    both: list[str | bytes] = [
        gobuild.key(gobuild.PAUSE),
        gobuild.key(gobuild.TOOL),
        _own("images.py"),
        _own("binaries.py"),
    ]
    return [
        Artefact("debian", cache.key_of(debian), lambda folder, lock: debs.unpack(folder, programs), "20 seconds"),
        Artefact("images", cache.key_of(both), _make_images),
        Artefact("kubernetes", gobuild.key(gobuild.KUBE), _make_kubernetes, gobuild.KUBE.about),
        Artefact("coredns", gobuild.key(gobuild.COREDNS), partial(_make, gobuild.COREDNS), gobuild.COREDNS.about),
        Artefact(
            "metallb",
            cache.key_of([gobuild.key(gobuild.METALLB), *METALLB_FILES]),
            _make_metallb,
            gobuild.METALLB.about,
        ),
        Artefact("helm", gobuild.key(gobuild.HELM), partial(_make, gobuild.HELM), gobuild.HELM.about),
    ]


def _own(name: str) -> bytes:
    return (Path(__file__).parent / name).read_bytes()


def _make(module: gobuild.Module, folder: Path, lock: int) -> None:
    gobuild.build(module, folder, lock, cache.root() / f"{module.name}.log")


def _make_kubernetes(folder: Path, lock: int) -> None:
    _make(gobuild.KUBE, folder, lock)
    for name in KUBE_PROGRAMS:
        (folder / name).symlink_to("kubernetes")


def _make_metallb(folder: Path, lock: int) -> None:
    _make(gobuild.METALLB, folder, lock)
    log = cache.root() / "metallb.log"
    source = gobuild.source_of(gobuild.METALLB, "go.universe.tf/metallb", lock, log)
    for wanted in METALLB_FILES:
        found = source / wanted
        for file in sorted(found.glob("*.yaml")) if found.is_dir() else [found]:
            target = folder / ("crds" if found.is_dir() else ".") / file.name
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(file, target)  # not its mode: Go's module cache is read-only


def _make_images(folder: Path, lock: int) -> None:
    _make(gobuild.PAUSE, folder, lock)
    _make(gobuild.TOOL, folder, lock)
    images.write(folder / "pause.tar", images.PAUSE, folder / "pause", "/pause")
    images.write(folder / "tool.tar", images.TOOL, folder / "tenanthub-test", images.TOOL_PROGRAM, ["sleep"])
