"""The chart as data: real helm renders it, and what it should be is compared."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.bed.binaries import artefacts
from tests.cluster.bed.cache import folder_of
from tests.tiers import need

ROOT = Path(__file__).parents[3]
CHART = ROOT / "helm" / "tenanthub"
SCHEMA = CHART / "values.schema.json"
DATA = ROOT / "tests" / "data" / "helm"
NAMESPACE = "tenanthub"

Object = dict[str, Any]


@cache
def helm() -> Path:
    """The test bed's helm. Skips, or fails where the cluster is required, when it has not been built."""
    found = next(folder_of(one) for one in artefacts() if one.name == "helm") / "helm"
    need("cluster", found.exists(), "helm is not built yet (make cluster-build)")
    return found


def run(*args: str, input: str = "") -> subprocess.CompletedProcess[str]:
    """helm, without a cluster."""
    env = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "KUBECONFIG": "/nonexistent"}
    return subprocess.run(
        [str(helm()), *args], input=input, capture_output=True, text=True, env=env, timeout=60, check=False
    )


def rendered(values: Mapping[str, Any] | None = None, files: Sequence[Path] = ()) -> subprocess.CompletedProcess[str]:
    """`helm template` with these values over those of *files*."""
    given = tuple(argument for file in files for argument in ("--values", str(file)))
    return _template(given, json.dumps(values or {}))


@cache
def _template(given: tuple[str, ...], values: str) -> subprocess.CompletedProcess[str]:
    target = ("tenanthub", str(CHART), "--namespace", NAMESPACE)
    return run("template", *target, *given, "--values", "-", input=values)


def objects(values: Mapping[str, Any] | None = None, files: Sequence[Path] = ()) -> list[Object]:
    """What `helm template` gives; AssertionError with helm's words where it refuses."""
    done = rendered(values, files)
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def refused(values: Mapping[str, Any]) -> str:
    """Helm's words about values that have to be refused."""
    done = rendered(values)
    assert done.returncode != 0, "these values were taken"
    return done.stderr


def one(found: Sequence[Object], kind: str, name: str) -> Object:
    """The object of this kind and name."""
    (it,) = (each for each in found if (each["kind"], each["metadata"]["name"]) == (kind, name))
    return it


def pods(found: Sequence[Object]) -> Iterator[tuple[str, Object]]:
    """Name and Pod template of all that makes Pods."""
    for each in found:
        if "template" in each.get("spec", {}):
            yield each["metadata"]["name"], each["spec"]["template"]


def hidden(found: Sequence[Object]) -> str:
    """As text, in a golden file's form: what is random in it is replaced by a word."""
    secrets = {value for each in found if each["kind"] == "Secret" for value in (each.get("data") or {}).values()}
    text = "---\n".join(yaml.safe_dump(each, sort_keys=True, width=1000, allow_unicode=True) for each in found)
    for value in secrets:
        text = text.replace(value, "<made>")
    return re.sub(r"(checksum/secrets: )[0-9a-f]{64}", r"\1<checksum>", text)


def secrets(found: Sequence[Object]) -> dict[str, str]:
    """What the chart has made, decoded."""
    data = one(found, "Secret", "tenanthub-secrets")["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}
