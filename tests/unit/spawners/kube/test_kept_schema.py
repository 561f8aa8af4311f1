"""The ConfigMap and the Secret that are written have the API's own fields, and so have the objects of our tests."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from spawners.kube import keepsake, runs
from spawners.kube.remotes import secret_of
from tests.unit.spawners.kube import launches, objects
from tests.unit.spawners.kube.test_schema import MODELS, check

NOW = datetime(2026, 11, 21, 11, tzinfo=UTC)
CRAWL = launches.launch(launches.TENANT, "crawl", launches.CRAWL, name="news")
UPLOAD = launches.launch(launches.TENANT, "upload", launches.UPLOAD, name="camera")
SERVES = {"observedGeneration": 1, "updatedReplicas": 1, "availableReplicas": 1}
KEY = r"[-._a-zA-Z0-9]{1,253}"
"""Of a ConfigMap's data (Kubernetes, "ConfigMap v1 core")."""


def job() -> dict[str, Any]:
    done = {"conditions": objects.condition("Complete"), "completionTime": "2026-11-21T10:20:00Z"}
    return objects.job_of(CRAWL, "29920935", "2026-11-21T10:15:02Z", "2026-11-21T10:15:00Z", **done)


def test_a_record_is_a_config_map() -> None:
    past = keepsake.ran(None, CRAWL.workload, runs.run_of(job(), []), "a line\n", NOW)
    past = keepsake.ended(past, CRAWL.workload, "failed", "no such bucket", "the end\n", NOW)
    made = keepsake.config_map(past, launches.SITE)
    check(made, "V1ConfigMap", "ConfigMap")
    assert sorted(made["data"]) == ["log", "log.20261121T101500Z-29920935", "runs.json"]


@pytest.mark.parametrize("owner", [launches.TENANT, "physics-member"])
def test_a_records_names_and_keys_are_allowed(owner: str) -> None:
    workload = CRAWL.workload.model_copy(update={"owner": owner})
    made = keepsake.config_map(keepsake.started(None, workload, NOW), launches.SITE)
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", made["metadata"]["name"])
    assert all(re.fullmatch(KEY, key) for key in made["data"])


def test_the_remotes_are_a_secret() -> None:
    made = secret_of(launches.tenant(), "[data]\n", launches.SITE)
    check({field: value for field, value in made.items() if field != "data"}, "V1Secret", "Secret")
    assert {key: base64.b64decode(value) for key, value in made["data"].items()} == {"rclone.conf": b"[data]\n"}


@pytest.mark.parametrize(
    "found",
    [
        job(),
        objects.pod_of(CRAWL, "p", objects.ended(1, "no"), job()),
        objects.pod_of(CRAWL, "p", objects.running()),
        objects.top_of(UPLOAD, SERVES),
        objects.top_of(CRAWL),
    ],
)
def test_the_tests_own_objects_are_as_the_api_has_them(found: dict[str, Any]) -> None:
    check(found, MODELS[found["kind"]], found["kind"])
