"""The portal's view of a cluster, asked from another thread as the portal asks; the cluster is in memory."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import threading
from collections.abc import Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from config.models import World
from images.lib.last_rows import packed
from spawners.kinds.base import Kind
from spawners.kube import acts, runs, runtime
from spawners.kube.client import Client, KubeError
from spawners.kube.index import key_for
from spawners.kube.manifests import manifests
from spawners.kube.peek import Peeker
from spawners.kube.recorder import Recorder
from spawners.kube.runtime import GONE, KubeRuntime
from spawners.kube.site import Cluster
from spawners.kube.watch import Watch
from spawners.runtime import Runtime
from tests.unit.spawners.kube import launches, objects
from tests.unit.spawners.kube.cloud import Cloud

SITE = launches.SITE
CRAWL = launches.launch(launches.TENANT, "crawl", launches.CRAWL, name="news")
UPLOAD = launches.launch(launches.TENANT, "upload", launches.UPLOAD, name="camera")
BOOK = launches.launch("physics-member", "notebook")
COPY = launches.launch(launches.TENANT, "transfer", launches.TRANSFER, name="copy")
NEWS, CAMERA = ("physics", launches.TENANT, "news"), ("physics", launches.TENANT, "camera")
SERVES = {"observedGeneration": 1, "updatedReplicas": 1, "availableReplicas": 1}
DONE: dict[str, Any] = {"conditions": objects.condition("Complete"), "completionTime": "2026-11-21T10:20:00Z"}


@dataclass
class Declared:
    """What a site knows besides the cluster."""

    kinds: Mapping[str, Kind] = field(default_factory=lambda: launches.KINDS)
    declared: World = field(default_factory=lambda: launches.world(launches.tenant()))

    def world(self) -> World:
        return self.declared


class Portal:
    """A runtime with its loop in a thread of its own, and what it is made of."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self.cloud, self.index = Cloud(), objects.index_of([])
        self.recorder = Recorder(self.cloud, self.index, lambda: SITE, logging.getLogger("runtime-test"))
        self.synced = asyncio.Event()
        self.synced.set()
        watch = SimpleNamespace(index=self.index, synced=self.synced.wait, problem="")
        cluster = Cluster(cast(Client, self.cloud), cast(Watch, watch))
        self.runtime = self.do(self._make(cluster))

    async def _make(self, cluster: Cluster) -> KubeRuntime:
        return KubeRuntime(Declared(), cluster, cast(Peeker, self.cloud), self.recorder, self.loop)

    def do(self, doing: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(doing, self.loop).result(30)

    def have(self, *every: dict[str, Any]) -> None:
        async def put() -> None:
            for one in every:
                self.index.put(one)

        self.do(put())

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(30)
        self.loop.close()


@pytest.fixture
def portal() -> Iterator[Portal]:
    found = Portal()
    yield found
    found.close()


def run(number: int) -> list[dict[str, Any]]:
    job = objects.job_of(CRAWL, str(29920935 + 60 * number), f"2026-11-21T1{number}:15:02Z", **DONE)
    return [job, objects.pod_of(CRAWL, f"pod-{number}", objects.ended(0, objects.said("ok", f"run {number}")), job)]


def going() -> list[dict[str, Any]]:
    job = objects.job_of(CRAWL, "29921475", "2026-11-21T19:15:02Z")
    return [job, objects.pod_of(CRAWL, "pod-9", objects.running(), job)]


def camera() -> list[dict[str, Any]]:
    return [objects.top_of(UPLOAD, SERVES), objects.pod_of(UPLOAD, "camera-x", objects.running())]


def requests(portal: Portal, sort: str) -> list[str]:
    return [one for one in portal.cloud.asked if one.startswith(sort)]


def test_it_is_what_the_portal_asks_for(portal: Portal) -> None:
    found: Runtime = portal.runtime
    assert found.workloads("physics") == []
    with pytest.raises(KeyError):
        found.workload(*NEWS)


def test_a_list_has_what_runs_and_what_ended_and_what_is_only_remembered(portal: Portal) -> None:
    portal.have(*camera(), objects.top_of(CRAWL))
    portal.do(portal.recorder.ended(BOOK.workload, "stopped", "it was idle for an hour"))
    portal.do(portal.recorder.started(COPY.workload))
    found = {one.workload.name: (one.state, one.message, one.live) for one in portal.runtime.workloads("physics")}
    assert found == {
        "camera": ("running", "", True),
        "news": ("scheduled", "", True),
        "one": ("stopped", "it was idle for an hour", False),
        "copy": ("stopped", GONE, False),
    }
    assert portal.runtime.workloads("history") == []


def test_a_list_that_is_asked_for_often_costs_one_request(portal: Portal) -> None:
    portal.have(*camera())
    for _ in range(20):
        portal.runtime.workloads("physics")
    assert len(portal.cloud.asked) == 1


def test_a_cluster_that_is_away_takes_the_memories_and_nothing_else(portal: Portal) -> None:
    portal.have(*camera(), *run(0), objects.top_of(CRAWL))
    portal.cloud.error = KubeError("cannot be reached")
    assert len(portal.runtime.workloads("physics")) == 2
    assert [one.message for one in portal.runtime.runs(*NEWS) if one.outcome == "ok"] == ["run 0"]
    assert portal.runtime.log(*NEWS) == ""
    assert portal.runtime.uploads(*CAMERA) == []


def test_before_the_first_list_nothing_is_said_to_be_gone(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_ANSWER_S", 0.05)
    portal.synced.clear()
    with pytest.raises(KubeError):
        portal.runtime.workloads("physics")


def test_why_it_was_ended_is_told_for_the_same_launch_only(portal: Portal) -> None:
    top = objects.top_of(UPLOAD)
    top["spec"] = {"replicas": 0}
    portal.have(top)
    portal.do(portal.recorder.ended(UPLOAD.workload, "failed", "the image cannot be loaded"))
    assert portal.runtime.workload(*CAMERA).message == "the image cannot be loaded"
    later = UPLOAD.workload.model_copy(update={"asked": datetime(2026, 11, 22, tzinfo=UTC)})
    portal.runtime._shown.forget(("past", "physics"))
    portal.do(portal.recorder.ended(later, "failed", "another"))
    assert portal.runtime.workload(*CAMERA).message == ""


def test_a_password_comes_from_its_secret_and_from_nowhere_else(portal: Portal) -> None:
    portal.have(*camera())
    with pytest.raises(KeyError):
        portal.runtime.password(*CAMERA)
    data = {"password": base64.b64encode(b"abcd-efgh").decode()}
    portal.cloud.put("Secret", launches.TENANT, UPLOAD.name, data=data)
    assert portal.runtime.password(*CAMERA) == "abcd-efgh"


def test_uploads_and_progress_are_looked_up_in_the_pod_that_runs(portal: Portal) -> None:
    portal.have(*camera(), objects.top_of(CRAWL), *going())
    portal.cloud.files = {"camera-x": b'{"id": "1", "path": "a"}\n{"id": "2", "path": "b"}\n', "pod-9": b'{"pages": 5}'}
    assert [row["path"] for row in portal.runtime.uploads(*CAMERA)] == ["b", "a"]
    assert portal.runtime.progress(*NEWS) == {"pages": 5}
    portal.runtime.progress(*NEWS)
    assert requests(portal, "exec") == ["exec tenant-physics/camera-x main", "exec tenant-physics/pod-9 main"]


def test_nothing_is_run_in_a_pod_that_has_ended(portal: Portal) -> None:
    portal.have(objects.top_of(CRAWL), *run(0))
    assert portal.runtime.progress(*NEWS) == {}
    assert requests(portal, "exec") == []


@pytest.mark.parametrize(("home", "looks"), [("none", 0), ("remote:data", 1)])
def test_nothing_but_a_look_at_a_kept_home_is_ever_run_in_a_persons_own_pod(
    portal: Portal, home: str, looks: int
) -> None:
    book = launches.launch("physics-member", "notebook", {"home": home})
    top = objects.top_of(book)
    top |= {"status": objects.running(), "spec": objects.pod_of(book, "x", {})["spec"]}
    portal.have(top)
    mine = ("physics", "physics-member", "one")
    assert portal.runtime.workload(*mine).state == "running"
    assert portal.runtime.progress(*mine) == {}
    assert portal.runtime.uploads(*mine) == []
    assert len(requests(portal, "exec")) == looks


def test_to_ask_in_the_loop_itself_is_an_error_and_no_standstill(portal: Portal) -> None:
    async def ask() -> None:
        portal.runtime.workloads("physics")

    with pytest.raises(RuntimeError, match="in a thread"):
        portal.do(ask())


def test_runs_of_the_cluster_and_kept_ones_are_one_list(portal: Portal) -> None:
    portal.have(objects.top_of(CRAWL), *run(0), *run(1))
    portal.do(portal.recorder.catch_up())
    portal.do(_drop(portal, *portal.index.of(key_for(*NEWS), "Job")[:1]))
    found = [one.message for one in portal.runtime.runs(*NEWS) if one.outcome == "ok"]
    assert found == ["run 1", "run 0"], "the first one's Job is gone"


async def _drop(portal: Portal, *every: Mapping[str, Any]) -> None:
    for one in every:
        portal.index.drop(one)


def test_a_runs_log_is_read_from_its_pod_and_afterwards_from_what_was_kept(portal: Portal) -> None:
    every = run(0)
    name = runs.run_id(every[0])
    portal.have(objects.top_of(CRAWL), *every)
    portal.cloud.logs = {"pod-0": "of the Pod\n"}
    assert portal.runtime.log(*NEWS, name) == "of the Pod\n"
    assert portal.runtime.log(*NEWS) == "of the Pod\n"
    portal.do(portal.recorder.catch_up())
    portal.cloud.logs = {}
    portal.do(_drop(portal, *every))
    assert portal.runtime.log(*NEWS, name) == "of the Pod\n"
    assert portal.runtime.log(*NEWS) == "of the Pod\n", "that of the last run"
    assert portal.runtime.log(*NEWS, "20200101T000000Z-1") == ""


def test_a_stopped_collectors_uploads_are_those_that_were_kept(portal: Portal) -> None:
    top, pod = camera()
    portal.have(top, pod)
    first, second = ({"id": str(one), "time": f"2026-11-21T10:15:0{one}.000Z"} for one in (1, 2))
    portal.cloud.files = {"camera-x": f"{json.dumps(first)}\n".encode()}
    assert portal.runtime.uploads(*CAMERA) == [first]
    portal.do(portal.recorder.ended(UPLOAD.workload, "stopped", "by hand"))
    message = packed(f"{json.dumps(first)}\n{json.dumps(second)}\n".encode()).decode()
    portal.have({**pod, "status": objects.ended(0, message)})
    portal.do(portal.cloud.until(lambda: "uploads.jsonl" in str(portal.cloud.objects)))
    portal.do(_drop(portal, pod))
    portal.runtime._looks.changed(UPLOAD.workload)
    assert portal.runtime.uploads(*CAMERA) == [second, first]
    # another Pod, which has fetched only the older row from the object store, and has got one more
    third = {"id": "3", "time": "2026-11-21T10:15:03.000Z"}
    portal.have(objects.pod_of(UPLOAD, "camera-y", objects.running()))
    portal.cloud.files = {"camera-y": f"{json.dumps(first)}\n{json.dumps(third)}\n".encode()}
    assert portal.runtime.uploads(*CAMERA) == [third, second, first]
    assert portal.runtime.uploads(*CAMERA, limit=1) == [third]


# -- acts -------------------------------------------------------------------------------------------------------------


def scheduled(portal: Portal) -> None:
    portal.have(objects.top_of(CRAWL))
    whole = manifests(CRAWL)[-1]
    portal.cloud.put("CronJob", CRAWL.namespace, CRAWL.name, apiVersion="batch/v1", spec=whole["spec"])


def test_run_now_makes_a_job_of_the_schedule_and_it_is_seen_at_once(portal: Portal) -> None:
    scheduled(portal)
    portal.runtime.run_now(*NEWS)
    (made,) = [found for (kind, _, _), found in portal.cloud.objects.items() if kind == "Job"]
    assert made["metadata"]["ownerReferences"][0]["kind"] == "CronJob"
    (row,) = [one for one in portal.runtime.runs(*NEWS) if one.outcome == "running"]
    assert row.trigger == "manual"
    with pytest.raises(RuntimeError, match="going on already"):
        portal.runtime.run_now(*NEWS)


def test_run_now_says_why_not(portal: Portal) -> None:
    portal.have(*camera(), objects.top_of(CRAWL))
    with pytest.raises(RuntimeError, match="no schedule"):
        portal.runtime.run_now(*CAMERA)
    with pytest.raises(RuntimeError, match="stopped meanwhile"):
        portal.runtime.run_now(*NEWS)


def test_what_is_live_is_not_forgotten(portal: Portal) -> None:
    portal.have(*camera(), *going())
    portal.do(portal.recorder.started(CRAWL.workload))
    for where in (CAMERA, NEWS):
        with pytest.raises(RuntimeError, match="stop it first"):
            portal.runtime.forget(*where)
    assert requests(portal, "delete") == []


def test_what_is_forgotten_is_gone_with_all_that_it_left(portal: Portal) -> None:
    top = objects.top_of(UPLOAD)
    top["spec"] = {"replicas": 0}
    portal.have(top, objects.object_of("Service", UPLOAD.name, UPLOAD))
    portal.do(portal.recorder.ended(UPLOAD.workload, "stopped", "by hand"))
    portal.runtime.workloads("physics")
    portal.runtime.forget(*CAMERA)
    assert requests(portal, "delete") == [
        "delete Deployment tenant-physics/camera",
        "delete Service tenant-physics/camera",
        "delete Secret tenant-physics/camera",
        "delete ConfigMap tenant-physics/camera.past",
    ]
    portal.do(_drop(portal, top))
    assert portal.runtime.workloads("physics") == []


def test_a_refused_act_is_told_in_words(portal: Portal) -> None:
    portal.do(portal.recorder.ended(BOOK.workload, "stopped", "by hand"))
    portal.runtime.workloads("physics")
    portal.cloud.error = KubeError("https://10.0.0.1 cannot be reached")
    with pytest.raises(RuntimeError, match="does not answer"):
        portal.runtime.forget("physics", "physics-member", "one")


# -- orphans ----------------------------------------------------------------------------------------------------------


def test_what_the_hub_does_not_know_is_shown_until_it_is_adopted_or_removed(portal: Portal) -> None:
    portal.have(*camera(), objects.top_of(CRAWL))
    known = {launches.TENANT: frozenset({"news"})}
    (lost,) = portal.runtime.orphans("physics", known)
    assert lost.workload == UPLOAD.workload
    assert portal.runtime.orphans("physics", {launches.TENANT: frozenset({"news", "camera"})}) == []


def test_a_removed_orphan_leaves_why(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    portal.have(*camera())
    ended: list[Any] = []

    async def stop(cluster: Cluster, key: Any, site: Any) -> list[Any]:
        del cluster, site
        ended.append(key)
        return []

    monkeypatch.setattr(acts, "stop", stop)
    portal.runtime.end_orphan(*CAMERA)
    assert ended == [key_for(*CAMERA)]
    past = portal.do(portal.recorder.past(UPLOAD.workload))
    assert past.reason == "it was removed: the hub no longer knew it"
