"""The recorder against an index and an API server in memory: what is kept, when, and nothing lost or doubled."""

from __future__ import annotations

import asyncio
import json
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from images.lib.last_rows import packed
from spawners.kube import keepsake
from spawners.kube.client import ApiError, KubeError
from spawners.kube.index import Index
from spawners.kube.keepsake import Past
from spawners.kube.launch import Launch
from spawners.kube.recorder import Recorder
from tests.unit.spawners.kube import launches, objects
from tests.unit.spawners.kube.cloud import Cloud

LOG = logging.getLogger("recorder-test")
SITE = launches.SITE
CRAWL = launches.launch(launches.TENANT, "crawl", launches.CRAWL, name="news")
BOOK = launches.launch("physics-member", "notebook")
COPY = launches.launch(launches.TENANT, "transfer", launches.TRANSFER, name="copy")
DONE: dict[str, Any] = {"conditions": objects.condition("Complete"), "completionTime": "2026-11-21T10:20:00Z"}


def run_of(number: int, outcome: str = "ok") -> list[dict[str, Any]]:
    job = objects.job_of(CRAWL, str(29920935 + 60 * number), f"2026-11-21T1{number}:15:02Z", **DONE)
    message = objects.said(outcome, f"run {number}")
    return [job, objects.pod_of(CRAWL, f"pod-{number}", objects.ended(0, message), job)]


def recorder(index: Index, cloud: Cloud) -> Recorder:
    return Recorder(cloud, index, lambda: SITE, LOG)


def kept(cloud: Cloud, launch: Launch) -> Past | None:
    found = cloud.objects.get(("ConfigMap", launch.namespace, f"{launch.name}.past"))
    return keepsake.past_of(found, SITE) if found else None


def rows(cloud: Cloud, launch: Launch = CRAWL) -> list[tuple[str, str]]:
    past = kept(cloud, launch)
    return [(one.id, one.message) for one in past.runs] if past else []


FIRST, SECOND = ("20261121T101500Z-29920935", "run 0"), ("20261121T111500Z-29920995", "run 1")


def test_a_hub_that_was_away_catches_up_with_one_write_a_workload() -> None:
    async def run() -> None:
        cloud = Cloud()
        cloud.logs = {"pod-0": "zero\n", "pod-1": "one\n"}
        found = recorder(objects.index_of([objects.top_of(CRAWL), *run_of(0), *run_of(1)]), cloud)
        await found.catch_up()
        assert rows(cloud) == [SECOND, FIRST]
        past = kept(cloud, CRAWL)
        assert past is not None
        assert past.logs == {FIRST[0]: "zero\n", SECOND[0]: "one\n"}
        assert past.state is None, "the schedule goes on"
        assert [one for one in cloud.asked if one.startswith("apply")] == ["apply ConfigMap tenant-physics/news.past"]
        before = len(cloud.asked)
        await found.catch_up()
        assert len(cloud.asked) == before, "what is dealt with costs nothing"

    asyncio.run(run())


def test_the_next_hub_writes_nothing_that_is_kept_already() -> None:
    async def run() -> None:
        cloud = Cloud()
        index = objects.index_of([objects.top_of(CRAWL), *run_of(0)])
        await recorder(index, cloud).catch_up()
        cloud.asked.clear()
        await recorder(index, cloud).catch_up()
        assert cloud.asked == ["get ConfigMap tenant-physics/news.past"]

    asyncio.run(run())


def test_runs_of_a_schedule_that_was_stopped_are_still_its() -> None:
    async def run() -> None:
        cloud = Cloud()
        index = objects.index_of(run_of(0))  # its Job carries labels alone: the account is a slug in them
        await recorder(index, cloud).started(CRAWL.workload)
        await recorder(index, cloud).catch_up()
        assert rows(cloud) == [FIRST]

    asyncio.run(run())


def test_jobs_that_nobody_can_be_found_for_are_left_alone() -> None:
    async def run() -> None:
        cloud = Cloud()
        await recorder(objects.index_of(run_of(0)), cloud).catch_up()
        assert not [one for one in cloud.asked if one.startswith("apply")]

    asyncio.run(run())


def test_a_job_that_is_seen_to_end_before_its_pod_waits_for_the_words() -> None:
    async def run() -> None:
        cloud = Cloud()
        job, pod = run_of(0)
        early = {**pod, "status": objects.running()}
        index = objects.index_of([objects.top_of(CRAWL), job, early])
        found = recorder(index, cloud)
        await found.catch_up()
        assert rows(cloud) == []
        index.put(pod)
        await found.catch_up()
        assert rows(cloud) == [FIRST]

    asyncio.run(run())


def test_a_job_whose_pod_is_on_a_lost_node_is_kept_without_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spawners.kube.recorder.SETTLES_S", -1.0)

    async def run() -> None:
        cloud = Cloud()
        job, pod = run_of(0)
        await recorder(
            objects.index_of([objects.top_of(CRAWL), job, {**pod, "status": objects.running()}]), cloud
        ).catch_up()
        assert rows(cloud) == [(FIRST[0], "")]

    asyncio.run(run())


def test_it_follows_for_ever_and_begins_when_everything_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spawners.kube.recorder.EVERY_S", 0.001)
    monkeypatch.setattr("spawners.kube.recorder.PRUNE_EVERY_S", 0.0)

    async def run() -> None:
        cloud, synced = Cloud(), asyncio.Event()
        index = objects.index_of([objects.top_of(CRAWL), *run_of(0)])
        task = asyncio.create_task(recorder(index, cloud).run(synced.wait, lambda: ["physics"]))
        await asyncio.sleep(0)
        assert cloud.asked == []
        synced.set()
        await cloud.until(lambda: rows(cloud) == [FIRST] and any(one.startswith("metadata") for one in cloud.asked))
        for one in run_of(1):
            index.put(one)
        await cloud.until(lambda: rows(cloud) == [SECOND, FIRST])
        task.cancel()

    asyncio.run(run())


def test_an_interactive_pod_that_ended_by_itself_leaves_its_words() -> None:
    async def run() -> None:
        cloud = Cloud()
        top = objects.top_of(BOOK)
        top |= {"status": objects.ended(1, "cannot write\n"), "spec": objects.pod_of(BOOK, "x", {})["spec"]}
        cloud.logs = {top["metadata"]["name"]: "all\nof it\n"}
        await recorder(objects.index_of([top]), cloud).catch_up()
        past = kept(cloud, BOOK)
        assert past is not None
        assert (past.state, past.reason) == ("failed", "it ended with exit code 1: cannot write")
        assert past.logs == {"": "all\nof it\n"}

    asyncio.run(run())


def test_the_hubs_own_word_stays() -> None:
    async def run() -> None:
        cloud = Cloud()
        top = objects.top_of(BOOK)
        top |= {"status": objects.ended(143), "spec": objects.pod_of(BOOK, "x", {})["spec"]}
        found = recorder(objects.index_of([top]), cloud)
        await found.started(BOOK.workload)
        await found.ended(BOOK.workload, "stopped", "it was idle for an hour")
        await found.catch_up()
        past = kept(cloud, BOOK)
        assert past is not None
        assert (past.state, past.reason) == ("stopped", "it was idle for an hour")

    asyncio.run(run())


def test_a_single_run_is_a_row_and_an_end() -> None:
    async def run() -> None:
        cloud = Cloud()
        top = objects.top_of(COPY, DONE)
        pod = objects.pod_of(COPY, "p", objects.ended(0, objects.said("ok", "3 files")), top)
        await recorder(objects.index_of([top, pod]), cloud).catch_up()
        past = kept(cloud, COPY)
        assert past is not None
        assert (past.state, past.reason, [one.message for one in past.runs]) == ("finished", "3 files", ["3 files"])

    asyncio.run(run())


def test_two_notes_at_once_lose_nothing() -> None:
    async def run() -> None:
        cloud = Cloud()
        found = recorder(objects.index_of([objects.top_of(CRAWL), *run_of(0)]), cloud)
        await asyncio.gather(found.catch_up(), found.ended(CRAWL.workload, "stopped", "by hand"))
        past = kept(cloud, CRAWL)
        assert past is not None
        assert (past.state, len(past.runs)) == ("stopped", 1)

    asyncio.run(run())


def test_what_the_cluster_did_not_take_comes_again(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        cloud = Cloud()
        found = recorder(objects.index_of([objects.top_of(CRAWL), *run_of(0)]), cloud)
        cloud.error = KubeError("cannot be reached")
        await found.catch_up()
        cloud.error = None
        await found.catch_up()
        assert rows(cloud) == [FIRST]

    asyncio.run(run())


def test_what_it_refused_is_not_asked_for_all_the_time(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        cloud = Cloud()
        found = recorder(objects.index_of([objects.top_of(CRAWL), *run_of(0)]), cloud)
        cloud.error = ApiError(403, {"message": "forbidden"}, "GET")
        await found.catch_up()
        cloud.asked.clear()
        await found.catch_up()
        assert cloud.asked == []

    with caplog.at_level(logging.WARNING, logger=LOG.name):
        asyncio.run(run())
    assert len(caplog.records) == 1


def test_old_records_of_what_is_gone_are_forgotten() -> None:
    async def run() -> None:
        cloud = Cloud()
        found = recorder(objects.index_of([objects.top_of(COPY, DONE)]), cloud)
        old = datetime.now(UTC) - keepsake.KEPT - timedelta(days=1)
        for launch in (BOOK, COPY, CRAWL):
            past = keepsake.ended(None, launch.workload, "stopped", "", "", old)
            if launch is CRAWL:
                past = keepsake.ended(None, launch.workload, "stopped", "", "", datetime.now(UTC))
            await cloud.apply(keepsake.config_map(past, SITE))
        await found.prune(["physics"])
        assert kept(cloud, BOOK) is None
        assert kept(cloud, COPY) is not None, "its Job is there still"
        assert kept(cloud, CRAWL) is not None

    asyncio.run(run())


def test_a_list_needs_no_logs() -> None:
    async def run() -> None:
        cloud = Cloud()
        found = recorder(objects.index_of([]), cloud)
        await found.ended(BOOK.workload, "failed", "no place")
        (past,) = await found.of_tenant("physics")
        assert (past.workload, past.state, past.reason) == (BOOK.workload, "failed", "no place")
        assert (
            cloud.asked[-1] == f"metadata /api/v1/namespaces/tenant-physics/configmaps {SITE.label_domain}/keeps=past"
        )

    asyncio.run(run())


@pytest.mark.parametrize(
    ("said", "log"), [({"app": "theirs\n", "main": "door\n"}, "theirs\n"), ({"main": "door\n"}, "door\n")]
)
def test_the_log_of_ones_own_image_is_its_own_and_the_doors_only_where_it_is_silent(
    said: dict[str, str], log: str
) -> None:
    class Two(Cloud):
        async def log(self, namespace: str, pod: str, container: str, *, lines: int = 200, limit: int = 65536) -> str:
            return said.get(container, "")

    pod = {
        "metadata": {"namespace": "tenant-physics", "name": "viewer"},
        "spec": {"initContainers": [{"name": "app"}], "containers": [{"name": "main"}]},
    }
    assert asyncio.run(recorder(objects.index_of([]), Two()).log_of(pod)) == log


# -- a collector's last words -----------------------------------------------------------------------------------------

UPLOAD = launches.launch(launches.TENANT, "upload", launches.UPLOAD, name="camera")


def upload_row(number: int) -> dict[str, Any]:
    return {"id": str(number), "time": f"2026-11-21T10:15:0{number}.000Z", "path": f"{number}.tif"}


def last_words(*numbers: int) -> str:
    return packed(b"".join(json.dumps(upload_row(one)).encode() + b"\n" for one in numbers)).decode()


async def stopped(index: Index, found: Recorder, *messages: str) -> None:
    """A stop: it is noted, its Pods say something, end and are gone, all before anybody who waits has his turn."""
    pods = [objects.pod_of(UPLOAD, f"camera-{number}", objects.running()) for number in range(len(messages))]
    for pod in pods:
        index.put(pod)
    await found.ended(UPLOAD.workload, "stopped", "by hand")
    for pod, message in zip(pods, messages, strict=True):
        await turns()
        said = {**pod, "status": objects.ended(0, message)}
        index.put(said)
        index.drop(said)


async def turns() -> None:
    """The event loop goes on, as it does while the watch waits for the next line."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_the_rows_that_a_collector_leaves_are_kept_and_stay_when_it_starts_again() -> None:
    async def run() -> None:
        cloud, index = Cloud(), objects.index_of([objects.top_of(UPLOAD)])
        found = recorder(index, cloud)
        await found.started(UPLOAD.workload)
        await stopped(index, found, last_words(1, 2, 3))
        await cloud.until(lambda: bool((past := kept(cloud, UPLOAD)) and past.uploads))
        past = kept(cloud, UPLOAD)
        assert past is not None
        assert [one["id"] for one in past.uploads] == ["3", "2", "1"]
        assert (past.state, past.reason) == ("stopped", "by hand")
        await found.started(UPLOAD.workload)
        await stopped(index, found, last_words(3, 4))
        await cloud.until(lambda: bool((past := kept(cloud, UPLOAD)) and len(past.uploads) == 4))
        past = kept(cloud, UPLOAD)
        assert past is not None
        assert [one["id"] for one in past.uploads] == ["4", "3", "2", "1"]

    asyncio.run(run())


def test_what_only_the_end_of_a_pod_tells_is_kept_too() -> None:
    async def run() -> None:
        cloud, index = Cloud(), objects.index_of([objects.top_of(UPLOAD)])
        found = recorder(index, cloud)
        pod = objects.pod_of(UPLOAD, "camera-0", objects.running())
        index.put(pod)
        await found.started(UPLOAD.workload)
        await found.ended(UPLOAD.workload, "stopped", "by hand")
        await turns()
        index.drop({**pod, "status": objects.ended(0, last_words(1))})
        await asyncio.gather(*found.listening)
        past = kept(cloud, UPLOAD)
        assert past is not None
        assert [one["id"] for one in past.uploads] == ["1"]

    asyncio.run(run())


def test_a_collector_that_left_nothing_leaves_what_was_kept() -> None:
    async def run() -> None:
        cloud, index = Cloud(), objects.index_of([objects.top_of(UPLOAD)])
        found = recorder(index, cloud)
        await found.started(UPLOAD.workload)
        await stopped(index, found, last_words(1))
        await cloud.until(lambda: bool((past := kept(cloud, UPLOAD)) and past.uploads))
        await stopped(index, found, "", last_words())
        await asyncio.gather(*found.listening)
        past = kept(cloud, UPLOAD)
        assert past is not None
        assert [one["id"] for one in past.uploads] == ["1"]

    asyncio.run(run())


def test_what_was_taken_off_the_list_meanwhile_does_not_come_back() -> None:
    async def run() -> None:
        cloud, index = Cloud(), objects.index_of([objects.top_of(UPLOAD)])
        found = recorder(index, cloud)
        pod = objects.pod_of(UPLOAD, "camera-0", objects.running())
        index.put(pod)
        await found.ended(UPLOAD.workload, "stopped", "by hand")
        await found.forget(UPLOAD.workload)
        index.put({**pod, "status": objects.ended(0, last_words(1))})
        await asyncio.gather(*found.listening)
        assert kept(cloud, UPLOAD) is None

    asyncio.run(run())


def test_nobody_listens_to_a_notebook() -> None:
    async def run() -> None:
        found = recorder(objects.index_of([objects.top_of(BOOK, objects.running())]), Cloud())
        await found.ended(BOOK.workload, "stopped", "by hand")
        assert not found.listening

    asyncio.run(run())
