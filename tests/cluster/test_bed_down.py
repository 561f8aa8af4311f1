"""`down` leaves nothing behind: after a whole bed, and after an `up` that was killed at one of several moments."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.bed import Bed, binaries, cgroups, down, find, network, node, processes, rise, slots, up
from tests.cluster.bed.names import RUN, bed_of
from tests.cluster.conftest import ControlPlane
from tests.cluster.kube import Kube, eventually
from tests.cluster.machine import traces
from tests.cluster.test_bed import pod, run

ROOT = Path(__file__).parents[2]


def quiet(_: str) -> None:
    pass


@pytest.fixture
def name(unique: str, control_plane: ControlPlane) -> Iterator[str]:
    """The name of a bed that this test raises itself; `control_plane` has said whether this machine can."""
    control_plane("none")
    yield unique
    down(unique, quiet)


@pytest.fixture
def clean(name: str) -> Iterator[None]:
    """The machine is afterwards as it was before."""
    before = traces(name)
    yield
    # a moment's patience: a namespace lives until the kernel has cleared its last process away
    deadline = time.monotonic() + 10
    while (after := traces(name)) != before and time.monotonic() < deadline:
        time.sleep(0.2)
    assert sorted(after - before) == []
    assert sorted(before - after) == []


def command(what: str, name: str, *more: str) -> list[str]:
    return [sys.executable, "-m", "tests.cluster.bed", what, "--name", name, *more]


def state(name: str) -> Path:
    return RUN / name


def guess(name: str) -> Bed | None:
    """The bed that is being raised, as far as its slot is known."""
    return bed_of(name, found[0]) if (found := slots.of(name)) else None


def runs(name: str, process: str) -> bool:
    bed = guess(name)
    return bed is not None and processes.pid_of(bed, process) is not None


def device(name: str) -> bool:
    bed = guess(name)
    return bed is not None and (Path("/sys/class/net") / bed.bridge).exists()


MOMENTS: dict[str, tuple[int, Callable[[str], object]]] = {
    "it has a slot": (0, lambda name: slots.of(name)),
    "its keys are written": (0, lambda name: (state(name) / "pki" / "ca.crt").exists()),
    "its bridge is there": (0, device),
    "the API server starts": (0, lambda name: runs(name, "kube-apiserver")),
    "a network namespace is there": (3, lambda name: (network.NETNS / f"{name}-n1").exists()),
    "a node's init makes mounts": (3, lambda name: runs(name, "n2")),
    "the kubelets start": (3, lambda name: runs(name, "n3-kubelet")),
    "containers run": (3, lambda name: len(cgroups.members(name)) >= 2),
}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.usefixtures("clean")
def test_up_is_killed_when(name: str, moment: str) -> None:
    nodes, reached = MOMENTS[moment]
    raising = subprocess.Popen(
        command("up", name, f"--nodes={nodes}", "--crds=none"),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 100
    while not reached(name):
        assert raising.poll() is None and time.monotonic() < deadline, "up was over before that moment"
        time.sleep(0.002)
    raising.send_signal(signal.SIGKILL)
    raising.communicate()
    assert raising.returncode == -signal.SIGKILL
    down(name, quiet)


@pytest.mark.usefixtures("clean")
def test_a_whole_bed_goes_with_its_pods(name: str) -> None:
    bed = up(name, crds="none", say=quiet)
    kube = Kube(bed)
    kube.must("create", "namespace", name)
    run(kube, name, *(pod(f"on-{each.name}", "sleep", node=each.name) for each in bed.nodes))
    down(name, quiet)


@pytest.mark.usefixtures("clean")
def test_a_node_whose_kubelet_crashed_comes_back(name: str) -> None:
    bed = up(name, crds="none", say=quiet)
    processes.stop(bed, "n2-kubelet", hard=True)
    assert rise.ailing(bed) == ["n2-kubelet has ended"]
    node.start(bed, bed.node("n2"), binaries.ensure(quiet, binaries.BED))
    node.wait_ready(bed)
    assert rise.ailing(bed) == []
    kube = Kube(bed)
    kube.must("create", "namespace", name)
    run(kube, name, pod("on-n2", "sleep", node="n2"))
    down(name, quiet)


def lose(folder: Path) -> None:
    """Remove a folder in which others still write: a file may come while its folder goes."""

    def gone() -> bool:
        shutil.rmtree(folder, ignore_errors=True)
        return not folder.exists()

    eventually("the state is lost", gone)


@pytest.mark.usefixtures("clean")
def test_down_finds_a_bed_whose_state_is_lost(name: str) -> None:
    bed = up(name, crds="none", say=quiet)
    lose(bed.state)
    slots.give_back(name)
    down(name, quiet)


@pytest.mark.usefixtures("clean")
def test_a_killed_down_is_run_again(name: str) -> None:
    bed = up(name, crds="none", say=quiet)
    taking = subprocess.Popen(command("down", name), cwd=ROOT, stdout=subprocess.DEVNULL)
    while processes.pid_of(bed, "etcd"):
        time.sleep(0.001)
    taking.kill()
    taking.wait()
    down(name, quiet)


@pytest.mark.usefixtures("clean")
def test_an_up_that_is_told_to_end_cleans_up_itself(name: str) -> None:
    raising = subprocess.Popen(
        command("up", name, "--crds=none"), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    eventually("a kubelet", lambda: runs(name, "n1-kubelet"))
    raising.terminate()
    assert raising.wait(60) == 143


@pytest.mark.usefixtures("clean")
def test_up_on_a_broken_bed_raises_it_again(name: str) -> None:
    broken = up(name, 0, "none", quiet)
    processes.stop(broken, "etcd", hard=True)
    assert find(name) is None
    assert "etcd has ended" in rise.ailing(broken)
    again = up(name, 0, "none", quiet)
    assert find(name) == again
    Kube(again).must("get", "namespaces")
    down(name, quiet)


def test_down_without_a_bed_says_so(name: str) -> None:
    said: list[str] = []
    down(name, said.append)
    assert said == [f"there is no bed {name!r}: nothing to do"]


def test_a_bed_that_is_being_raised_is_not_taken_down(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.cluster.bed import locks, teardown
    from tests.cluster.bed.names import BedError

    with locks.locked(name):
        monkeypatch.setattr(teardown, "LOCK_PATIENCE_S", 0)
        with pytest.raises(BedError, match="another process"):
            down(name, quiet)
