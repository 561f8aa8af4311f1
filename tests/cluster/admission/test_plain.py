"""The same rules on an API server without PodNodeSelector: Pods stay on their tenant's workers there too."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from config.names import namespace
from tests.cluster.admission.hall import BARE, KEYS, PHYSICS, Hall, in_force, merged, pod, tried
from tests.cluster.bed import Bed, processes

NAME = "kube-apiserver-plain"


@pytest.fixture(scope="module")
def plain(
    people: Hall, control_plane: Callable[[str], Bed], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hall]:
    """A second API server over the same etcd, started as the first, less its additional admission plugins."""
    bed = control_plane("current")
    port = _free_port(bed.host[0])
    pid = processes.pid_of(bed, "kube-apiserver")
    assert pid is not None
    given = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").rstrip("\0").split("\0")
    changed = {
        "--secure-port": str(port),
        "--enable-admission-plugins": "NodeRestriction",
        "--audit-log-path": str(bed.logs / f"{NAME}-audit.log"),
        # it leaves the addresses of the Service `kubernetes` to the first one
        "--endpoint-reconciler-type": "none",
    }
    kept = [word for word in given if word.partition("=")[0] not in changed]
    config = json.loads(bed.kubeconfig.read_text(encoding="utf-8"))
    for cluster in config["clusters"]:
        cluster["cluster"]["server"] = f"https://{bed.host[0]}:{port}"
    kubeconfig = tmp_path_factory.mktemp("plain") / "kubeconfig.yaml"
    kubeconfig.touch(mode=0o600)
    kubeconfig.write_text(json.dumps(config), encoding="utf-8")
    processes.start(bed, NAME, [*kept, *(f"{flag}={value}" for flag, value in changed.items())])
    try:
        found = replace(people, kubeconfig=kubeconfig)
        found = replace(found, operator=type(people.operator).connect(kubeconfig))
        processes.wait(bed, "the plain API server", lambda: _ready(found), watch=[NAME])
        in_force(found)
        yield found
    finally:
        processes.stop(bed, NAME)


def _ready(found: Hall) -> bool:
    try:
        found.operator.request("GET", f"/api/v1/namespaces/{namespace(PHYSICS)}")
    except Exception as error:
        raise OSError(str(error)) from error
    return True


def _free_port(address: object) -> int:
    with socket.socket() as probe:
        probe.bind((str(address), 0))
        port: int = probe.getsockname()[1]
        return port


NODE = KEYS.node(PHYSICS)
RIGHT = {NODE: "true", "lab": "physics"}


@pytest.mark.parametrize(
    ("selector", "words"),
    [
        (
            {},
            (
                f'must have {NODE}: "true", the workers of tenant {PHYSICS}, and has no such key',
                'lab: "p',
            ),
        ),
        ({"lab": "physics"}, (f'must have {NODE}: "true"',)),
        ({**RIGHT, "lab": "history"}, ('must have lab: "physics"', 'and has "history"')),
        ({**RIGHT, NODE: "TRUE"}, ('and has "TRUE"',)),
        ({**RIGHT, "lab": ""}, ('must have lab: "physics"', 'and has ""')),
    ],
)
def test_pod_that_does_not_select_its_workers_is_refused(
    plain: Hall, selector: dict[str, str], words: tuple[str, ...]
) -> None:
    bad = merged(pod(), {"spec": {"nodeSelector": selector}})
    for who in (plain.member(), plain.admin(), plain.operator):
        message = tried(who, "pods", bad, namespace(PHYSICS))
        for word in words:
            assert word in message


def test_pod_that_selects_its_workers_passes(plain: Hall) -> None:
    good = merged(pod(), {"spec": {"nodeSelector": {**RIGHT, "gpu": "a100"}}})
    assert tried(plain.member(), "pods", good, namespace(PHYSICS)) == ""


def test_tenant_without_workers_needs_no_selector(plain: Hall) -> None:
    assert tried(plain.member(BARE), "pods", pod(), namespace(BARE)) == ""
