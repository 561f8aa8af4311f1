"""The workload's own Secret: what must not stand in a Pod, where everybody who may list Pods would read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from config.emit.common import Manifest, metadata
from spawners.kube.launch import Launch
from spawners.kube.look import containers, objects
from spawners.kube.names import labels
from spawners.refusal import Violation

TOKENS = frozenset({"JUPYTERHUB_API_TOKEN", "JPY_API_TOKEN"})
"""Variables in which KubeSpawner 7.1 writes the server's token at the hub, in plain text."""


def own_secret(launch: Launch, values: Mapping[str, str]) -> Manifest:
    """The Secret of *launch* with *values*, called like its other objects; the one manifest with secrets in it."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata(
            launch.site,
            launch.name,
            namespace=launch.namespace,
            labels=labels(launch.workload, launch.site),
        ),
        "type": "Opaque",
        "stringData": dict(values),
    }


def tokens_of(found: Mapping[str, Any]) -> dict[str, str]:
    """What KubeSpawner's Pod *found* holds in plain text and own_secret() has to hold: by the variable's name."""
    return {
        one["name"]: str(one["value"])
        for _, container in containers(found)
        for _, one in objects(container, "env")
        if one.get("name") in TOKENS and one.get("value")
    }


def by_reference(env: list[dict[str, Any]], launch: Launch) -> list[dict[str, Any]]:
    """*env* with each of those variables taken from the Secret instead."""
    return [
        {"name": one["name"], "valueFrom": {"secretKeyRef": {"name": launch.name, "key": one["name"]}}}
        if one.get("name") in TOKENS and one.get("value")
        else one
        for one in env
    ]


def plain_tokens(found: Mapping[str, Any]) -> Iterator[Violation]:
    """Tokens that are still in plain sight."""
    for field, container in containers(found):
        for number, one in objects(container, "env"):
            if one.get("name") in TOKENS and one.get("value"):
                said = f"{one['name']} stands in the Pod for everybody to read: take it from a Secret"
                yield Violation(f"{field}.env[{number}].value", said)
