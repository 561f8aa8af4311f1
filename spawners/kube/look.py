"""Reading a Pod that may be anything: absent parts are empty, and nothing here raises."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

CONTAINER_LISTS = ("containers", "initContainers", "ephemeralContainers")


def at(value: Any, *path: str) -> Any:
    """What lies at *path* in nested objects; None where anything on the way is missing or no object."""
    for step in path:
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def mapping(value: Any, *path: str) -> Mapping[str, Any]:
    """The object at *path*; an empty one where there is none."""
    found = at(value, *path)
    return found if isinstance(found, Mapping) else {}


def objects(value: Any, *path: str) -> list[tuple[int, Mapping[str, Any]]]:
    """The numbered objects of the list at *path*; what is no object counts as an empty one."""
    found = at(value, *path)
    every = found if isinstance(found, list) else []
    return [(number, one if isinstance(one, Mapping) else {}) for number, one in enumerate(every)]


def containers(pod: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every container of any sort, with the field that it stands at."""
    for sort in CONTAINER_LISTS:
        for number, one in objects(pod, "spec", sort):
            yield f"spec.{sort}[{number}]", one


def contexts(pod: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every security context, the Pod's and the containers'."""
    yield "spec.securityContext", mapping(pod, "spec", "securityContext")
    for field, one in containers(pod):
        yield f"{field}.securityContext", mapping(one, "securityContext")


def is_set(value: Any) -> bool:
    """Whether a field says anything. False does: who writes it means something by it."""
    return value is not None and value != "" and value != [] and value != {}


def pod_over(pod: Mapping[str, Any]) -> bool:
    """Whether nothing of a Pod runs, or will again. The kubelet reports that its containers have ended a second or two
    before it says that the Pod has."""
    if at(pod, "status", "phase") in ("Failed", "Succeeded"):
        return True
    every = [one for _, one in objects(pod, "status", "containerStatuses")]
    return (
        at(pod, "spec", "restartPolicy") == "Never"
        and bool(every)
        and all(at(one, "state", "terminated") for one in every)
    )
