"""What a failed test of the cluster tier shows: events and pods' logs of its namespaces, ends of the bed's own logs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.cluster.bed import Bed, processes
from tests.cluster.kube import Kube

LOG_LINES, BED_LINES, WIDTH = 40, 6, 300


def sections(bed: Bed, name: str | None) -> Iterator[tuple[str, str]]:
    """Titles and texts for a test's report.

    Args:
        bed: The bed that the test used.
        name: The test's `unique`, which is in the names of its namespaces; None for a test without.
    """
    kube = Kube(bed)
    for namespace in namespaces(kube, name) if name else []:
        if events := _events(kube, namespace):
            yield f"events in {namespace} of bed {bed.name}", events
        for pod in _items(kube, "pods", namespace):
            yield f"pod {namespace}/{pod['metadata']['name']}: {_state(pod)}", _logs(kube, pod)
    yield f"logs of bed {bed.name} ({bed.logs})", "\n".join(_ends(bed))


def namespaces(kube: Kube, name: str) -> list[str]:
    """The namespaces that have a test's `unique` in their names."""
    return [item["metadata"]["name"] for item in _items(kube, "namespaces") if name in item["metadata"]["name"]]


def _items(kube: Kube, kind: str, namespace: str | None = None) -> list[dict[str, Any]]:
    done = kube.kubectl("get", kind, "--output=json", *(["--namespace", namespace] if namespace else []))
    return list(json.loads(done.stdout)["items"]) if done.returncode == 0 else []


def _events(kube: Kube, namespace: str) -> str:
    return kube.kubectl("get", "events", "--namespace", namespace, "--sort-by=.metadata.creationTimestamp").stdout


def _state(pod: dict[str, Any]) -> str:
    status = pod.get("status", {})
    reasons = [each["message"] for each in status.get("conditions", []) if each.get("message")]
    return f"{status.get('phase')} on {pod['spec'].get('nodeName', 'no node')}" + "".join(f"; {why}" for why in reasons)


def _logs(kube: Kube, pod: dict[str, Any]) -> str:
    meta = pod["metadata"]
    where = ["--namespace", meta["namespace"], "--all-containers", "--prefix", f"--tail={LOG_LINES}"]
    done = kube.kubectl("logs", meta["name"], *where)
    return done.stdout or done.stderr or "(it has written nothing)"


def _ends(bed: Bed) -> Iterator[str]:
    for name in processes.names(bed):
        state = "" if processes.pid_of(bed, name) else " HAS ENDED"
        yield f"{name}:{state}"
        yield from (f"    {line[:WIDTH]}" for line in processes.tail(bed, name, BED_LINES))
