"""Jobs that no schedule ages any more must not fill the namespace's quota."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from config.emit.quota import COUNTS
from config.names import keys
from spawners.kube import acts
from spawners.kube.index import Index, key_of
from spawners.kube.manifests import manifests
from tests.unit.spawners.kube import objects
from tests.unit.spawners.kube.launches import SITE, cases

CRAWL = cases()["crawler"]
DONE: dict[str, Any] = {"conditions": [{"type": "Complete", "status": "True"}]}


def _job(number: int, *, owned: bool = False, over: bool = True) -> dict[str, Any]:
    made = objects.job_of(CRAWL, str(29920935 + number), f"2026-11-21T10:{number:02}:02Z", **(DONE if over else {}))
    if not owned:
        made["metadata"].pop("ownerReferences", None)
    return made


def test_a_launch_takes_away_the_oldest_ended_jobs_that_nobody_owns() -> None:
    index, gone, applied = Index(keys(SITE)), [], []
    every = [_job(number) for number in range(15)] + [_job(30, over=False), _job(31, owned=True)]
    for one in every:
        index.put(one)

    async def delete(kind: str, namespace: str, name: str, *, uid: str = "") -> bool:
        gone.append((kind, namespace, name, uid))
        return True

    async def apply(manifest: dict[str, Any]) -> dict[str, Any]:
        applied.append(manifest["kind"])
        return {**manifest, "metadata": {**manifest["metadata"], "uid": "new"}}

    client = SimpleNamespace(delete=delete, apply=apply)
    cluster: Any = SimpleNamespace(client=client, watch=SimpleNamespace(index=index, health={}))
    asyncio.run(acts.apply_all(cluster, CRAWL))
    assert [name for _, _, name, _ in gone] == [one["metadata"]["name"] for one in every[:5]]
    assert applied == [one["kind"] for one in manifests(CRAWL)]
    assert len(index.of(key_of(CRAWL.workload), "Job")) == len(every), "the watch tells that they are gone"


def test_what_a_schedule_keeps_fits_the_quota_of_one_workload() -> None:
    """Ended runs of both sorts, the one that runs, those that an earlier schedule left; each with its tries' Pods."""
    plan = CRAWL.plan
    jobs = 2 * plan.keep_runs + 1 + acts.KEPT_LOOSE
    assert jobs <= COUNTS["count/jobs.batch"]
    assert jobs * (plan.retries + 1) <= COUNTS["count/pods"]
