"""What pages are told, on real nodes: lists, logs, runs, looks into Pods, records over the hub's absence, the line."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from typing import Any

import pytest

from config.names import namespace
from images.lib.last_rows import packed
from spawners.kube.plan import RUNS, STATE
from spawners.kube.runtime import KubeRuntime
from spawners.runtime import RunSeen, Seen
from tests.cluster import shellimage
from tests.cluster.bed import Bed
from tests.cluster.kube import Kube, eventually
from tests.cluster.kubehub import PORT, KubeHub, site_with_tools
from tests.cluster.kubeworld import hub_namespace, raised

LOG = logging.getLogger("runtime-test")
AT_ONCE = 2
START_S = 45
TALK = ("/bin/sh", "-c", f"echo ready to talk; exec /bin/tenanthub-test http {PORT}")


@pytest.fixture(scope="module")
def hub(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeHub]:
    """A hub that launches two at a time, over a tenant with room for twelve."""
    shell = shellimage.push(bed, tmp_path_factory.mktemp("image"))
    options = {"provider": "Ceph", "endpoint": "https://s3.example.org"}
    remote = {"name": "data", "type": "s3", "bucket": "archive", "credentials": "archive-s3", "options": options}
    with raised(
        bed,
        tmp_path_factory,
        workers={"dedicated": False},
        workloads=12,
        shell=shell,
        remotes=[remote],
        at_once=AT_ONCE,
        start_timeout=START_S,
    ) as made:
        yield made


@pytest.fixture(scope="module")
def runtime(hub: KubeHub) -> Iterator[KubeRuntime]:
    """As the portal has it: apart from the hub's process, a loop of its own, and calls from a thread."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()
    site = site_with_tools(hub.world, hub.bed.kubeconfig)

    async def end(made: KubeRuntime) -> None:
        cluster = await site.cluster(LOG)
        await made.close()
        await cluster.watch.stop()
        await cluster.client.close()
        await cluster.watch.client.close()

    made = asyncio.run_coroutine_threadsafe(KubeRuntime.begin(site, hub.bed.kubeconfig, LOG), loop).result(60)
    yield made
    asyncio.run_coroutine_threadsafe(end(made), loop).result(60)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def _launch(hub: KubeHub, owner: str, name: str, profile: str = "tool", **options: Any) -> None:
    answer = hub.launch(owner, name, profile, **options)
    assert answer.status_code in (201, 202), answer.text
    hub.ready(owner, name)


def _stop(hub: KubeHub, owner: str, *names: str) -> None:
    for name in names:
        answer = hub.api("DELETE", f"/users/{owner}/servers/{name}")
        assert answer.status_code in (202, 204), f"{answer.text}\n{hub.log()}"
    hub.until("they have stopped", lambda: not any(hub.server(owner, name) for name in names))


def _seen(runtime: KubeRuntime, hub: KubeHub, name: str) -> Seen | None:
    return next((one for one in runtime.workloads(hub.tenant) if one.workload.name == name), None)


def _becomes(runtime: KubeRuntime, hub: KubeHub, name: str, state: str) -> Seen:
    def look() -> Seen | None:
        found = _seen(runtime, hub, name)
        return found if found is not None and found.state == state else None

    return hub.until(f"{name} is shown as {state}", look)


def _jobs(hub: KubeHub, name: str) -> list[dict[str, Any]]:
    label = f"--selector={hub.keys.workload}={name}"
    found: list[dict[str, Any]] = Kube(hub.bed).get("jobs", f"--namespace={namespace(hub.tenant)}", label)["items"]
    return found


def _kubectl(hub: KubeHub, *words: str) -> None:
    Kube(hub.bed).must(f"--namespace={namespace(hub.tenant)}", *words)


def test_a_log_is_read_while_its_pod_is_there_and_after_it_was_stopped(hub: KubeHub, runtime: KubeRuntime) -> None:
    _launch(hub, "ada", "talk", "shell", words=TALK)
    assert _becomes(runtime, hub, "talk", "running").workload.display_name == "talk"
    hub.until("its log is there", lambda: "ready to talk" in runtime.log(hub.tenant, "ada", "talk"))
    with pytest.raises(KeyError):
        runtime.workload(hub.tenant, "ada", "nobody")
    with pytest.raises(KeyError):
        runtime.password(hub.tenant, "ada", "talk")
    with pytest.raises(RuntimeError, match="stop it first"):
        runtime.forget(hub.tenant, "ada", "talk")
    _stop(hub, "ada", "talk")
    _becomes(runtime, hub, "talk", "stopped")
    eventually("its Pod is gone", lambda: not _pods(hub, "talk"))
    assert "ready to talk" in runtime.log(hub.tenant, "ada", "talk")
    runtime.forget(hub.tenant, "ada", "talk")
    with pytest.raises(KeyError):
        runtime.workload(hub.tenant, "ada", "talk")


def _pods(hub: KubeHub, name: str) -> list[dict[str, Any]]:
    label = f"--selector={hub.keys.workload}={name}"
    found: list[dict[str, Any]] = Kube(hub.bed).get("pods", f"--namespace={namespace(hub.tenant)}", label)["items"]
    return found


def test_a_failed_launch_is_on_the_list_in_the_words_that_its_owner_was_told(
    hub: KubeHub, runtime: KubeRuntime
) -> None:
    told = "it ended with exit code 2: tenanthub-test: no such tool"
    answer = hub.launch("ada", "ends", "tool", words=["nonsense"])
    assert answer.status_code in (201, 202) or told in answer.text
    found = _becomes(runtime, hub, "ends", "failed")
    assert told in found.message
    assert not found.live
    assert "no such tool" in runtime.log(hub.tenant, "ada", "ends")
    # its image cannot be had: there never was a log
    hub.launch("ada", "lost", "lost")
    assert "cannot be loaded" in _becomes(runtime, hub, "lost", "failed").message
    for name in ("ends", "lost"):
        runtime.forget(hub.tenant, "ada", name)


def test_uploads_and_progress_are_read_in_the_pod_and_the_last_uploads_are_kept(
    hub: KubeHub, runtime: KubeRuntime
) -> None:
    owner = f"tenant-{hub.tenant}"
    rows = "\n".join(json.dumps({"id": one, "path": f"{one}.tif"}) for one in ("first", "second"))
    words = packed(f"{rows}\n{json.dumps({'id': 'third', 'path': 'third.tif'})}\n".encode()).decode()
    script = f"trap 'cat {STATE}/words > /dev/termination-log; exit 0' TERM; "
    script += f"mkdir -p {STATE}/collector {RUNS}/r1; echo '{rows}' > {STATE}/collector/uploads.jsonl; "
    script += f"echo '{words}' > {STATE}/words; echo '{json.dumps({'pages': 3})}' > {RUNS}/r1/progress.json; "
    script += f"/bin/tenanthub-test http {PORT} & wait"
    _launch(hub, owner, "camera", "shell", mode="keep", words=["/bin/sh", "-c", script])
    found = _becomes(runtime, hub, "camera", "running")
    assert [one["id"] for one in runtime.uploads(hub.tenant, owner, "camera")] == ["second", "first"]
    assert [one["id"] for one in runtime.uploads(hub.tenant, owner, "camera", limit=1)] == ["second"]
    assert runtime.progress(hub.tenant, owner, "camera") == {"pages": 3}
    assert found.has_password
    assert len(runtime.password(hub.tenant, owner, "camera")) > 12

    def address() -> bool:
        return runtime.workload(hub.tenant, owner, "camera").address == "192.0.2.240, 2001:db8:120::240"

    hub.until("its addresses are shown", address)
    _stop(hub, owner, "camera")
    _becomes(runtime, hub, "camera", "stopped")
    eventually("its Pod is gone", lambda: not _pods(hub, "camera"))

    def kept() -> bool:
        ids = [one["id"] for one in runtime.uploads(hub.tenant, owner, "camera")]
        return ids == ["third", "second", "first"]

    hub.until("what it said last is shown", kept)
    runtime.forget(hub.tenant, owner, "camera")
    for kind in ("deployment", "service", "secret", "configmap"):
        label = f"--selector={hub.keys.workload}=camera"
        assert Kube(hub.bed).get(kind, label, f"--namespace={namespace(hub.tenant)}")["items"] == []


def test_runs_are_told_after_their_jobs_are_gone_also_of_a_time_without_a_hub(
    hub: KubeHub, runtime: KubeRuntime
) -> None:
    owner = f"tenant-{hub.tenant}"
    here = (hub.tenant, owner, "news")
    script = "echo run of $HOSTNAME; read line < /var/lib/tenanthub/go || sleep 2; exit 0"
    _launch(hub, owner, "news", "shell", mode="schedule", words=["/bin/sh", "-c", script])
    found = _becomes(runtime, hub, "news", "scheduled")
    assert found.next_run is not None
    runtime.run_now(*here)
    with pytest.raises(RuntimeError, match=r"going on already|a moment ago"):
        runtime.run_now(*here)
    (run,) = _ended_runs(hub, runtime, 1)
    assert (run.outcome, run.trigger) == ("ok", "manual")
    hub.until("the run is kept", lambda: _is_kept(hub, run.id))

    # A run begins and ends, and a notebook's program fails, while there is no hub.
    falls = f"tenanthub-test http {PORT} & until [ -e {STATE}/fall ]; do sleep 1; done; exit 7"
    _launch(hub, "ada", "falls", "shell", words=["/bin/sh", "-c", falls])
    hub.stop()
    _kubectl(hub, "exec", "falls--ada", "--", "/bin/sh", "-c", f": > {STATE}/fall")
    _kubectl(hub, "create", "job", "news-m2", "--from=cronjob/news")
    eventually(
        "it has ended",
        lambda: any(
            one["metadata"]["name"] == "news-m2" and one["status"].get("succeeded") for one in _jobs(hub, "news")
        ),
    )
    eventually("the other one has", lambda: _pods(hub, "falls")[0]["status"]["phase"] == "Failed", patience_s=90)
    hub.start()
    both = _ended_runs(hub, runtime, 2)
    hub.until("both are kept", lambda: all(_is_kept(hub, one.id) for one in both))
    hub.until("so is the notebook's end", lambda: "exit code 7" in _kept(hub, "falls--ada"))

    # Now everything that could tell of them goes, as after a month, or by somebody's hand.
    _stop(hub, owner, "news")
    _kubectl(hub, "delete", "jobs", "--all", "--wait=true")
    _kubectl(hub, "delete", "pods", "--all", "--wait=true")
    hub.until("the cluster has nothing of it", lambda: _becomes(runtime, hub, "news", "stopped"))
    told = [one.id for one in both]
    hub.until("its runs are told still", lambda: [one.id for one in runtime.runs(*here)] == told)
    assert "run of" in runtime.log(*here, run=both[0].id)
    assert "exit code 7" in _becomes(runtime, hub, "falls", "failed").message
    runtime.forget(*here)
    runtime.forget(hub.tenant, "ada", "falls")


def _ended_runs(hub: KubeHub, runtime: KubeRuntime, count: int) -> list[RunSeen]:
    def look() -> list[RunSeen] | None:
        rows = [one for one in runtime.runs(hub.tenant, f"tenant-{hub.tenant}", "news") if one.ended]
        return rows if len(rows) == count else None

    return hub.until(f"{count} runs have ended", look)


def _kept(hub: KubeHub, name: str) -> str:
    done = Kube(hub.bed).kubectl(
        "get", "configmap", f"{name}.past", f"--namespace={namespace(hub.tenant)}", "-o", "json"
    )
    return done.stdout if done.returncode == 0 else ""


def _is_kept(hub: KubeHub, run: str) -> bool:
    found = _kept(hub, "news")
    return bool(found) and any(one["id"] == run for one in json.loads(json.loads(found)["data"]["runs.json"]))


def test_a_launch_is_refused_while_its_remote_has_no_credentials_and_mounts_them_once_they_are_there(
    hub: KubeHub, runtime: KubeRuntime
) -> None:
    owner, kube, home = f"tenant-{hub.tenant}", Kube(hub.bed), hub_namespace(hub.keys.domain)
    options: dict[str, Any] = {
        "start_urls": ["https://example.org/"],
        "remote": "data",
        "cron": "0 0 1 1 *",
        "timezone": "UTC",
    }
    answer = hub.launch(owner, "paper", "crawl", **options)
    assert answer.status_code in (201, 202, 409), answer.text
    told = f"remote data of {hub.tenant} cannot be used: the Secret archive-s3 with its credentials is missing"
    assert told in _becomes(runtime, hub, "paper", "failed").message
    kube.must("create", "namespace", home)
    try:
        secret = ("archive-s3", f"--namespace={home}")
        kube.must("create", "secret", "generic", *secret, "--from-literal=access_key_id=AK")
        kube.must("label", "secret", *secret, f"{hub.keys.domain}/holds=remote-credentials")
        _launch(hub, owner, "paper", "crawl", **options)
        made = kube.get("secret", "tenanthub.remotes", f"--namespace={namespace(hub.tenant)}")
        text = base64.b64decode(made["data"]["rclone.conf"]).decode()
        assert "[data]" in text
        assert "access_key_id = AK" in text
        _becomes(runtime, hub, "paper", "scheduled")
        _stop(hub, owner, "paper")
        runtime.forget(hub.tenant, owner, "paper")
    finally:
        kube.must("delete", "namespace", home, "--wait=false")


def test_an_orphan_is_shown_and_can_be_ended(hub: KubeHub, runtime: KubeRuntime) -> None:
    _launch(hub, "ada", "stray")
    assert [one.workload.name for one in runtime.orphans(hub.tenant, {})] == ["stray"]
    assert runtime.orphans(hub.tenant, {"ada": frozenset({"stray"})}) == []
    runtime.end_orphan(hub.tenant, "ada", "stray")
    found = _becomes(runtime, hub, "stray", "stopped")
    assert "the hub no longer knew it" in found.message
    eventually("its Pod is gone", lambda: not _pods(hub, "stray"))
    hub.until("the hub has noticed", lambda: hub.server("ada", "stray") is None)
    runtime.forget(hub.tenant, "ada", "stray")


def test_beyond_the_limit_launches_wait_in_line_and_none_is_refused(hub: KubeHub, runtime: KubeRuntime) -> None:
    # The first two run but never answer: they keep both turns until their time is over.
    slow, quick = ["slow1", "slow2"], ["quick1", "quick2", "quick3", "quick4", "quick5", "quick6"]
    said: dict[str, str] = {}
    with ThreadPoolExecutor(16) as pool:
        begun = {name: pool.submit(hub.launch, "ada", name, "tool", words=["sleep"]) for name in slow}
        hub.until("both run", lambda: all(_running(hub, name) for name in slow))
        for name in quick:
            begun[name] = pool.submit(hub.launch, "ada", name, "tool")
            hub.until(f"{name} is asked for", lambda name=name: _is_pending(hub, name))  # type: ignore[misc]
        telling = {name: pool.submit(hub.why, "ada", name) for name in quick[1:]}
        hub.until("pages tell it too", lambda: _is_in_line(runtime, hub, "quick6"))
        assert hub.hears("ada", "quick1", "in line")
        # who gives up leaves the line: those behind it move up
        assert hub.api("DELETE", "/users/ada/servers/quick1").status_code in (202, 204)
        said = {name: one.result() for name, one in telling.items()}
        answers = {name: one.result() for name, one in begun.items()}
    for name in quick[1:]:
        hub.ready("ada", name)
    # JupyterHub's answer to whoever waits for a launch that is cancelled is not ours to judge
    assert {answers[name].status_code for name in quick[1:]} <= {201, 202}
    assert len(set(re.findall(r"\d\w\w in line", said["quick6"]))) > 1, said["quick6"]
    assert not _pods(hub, "quick1")
    for name in slow:
        assert f"not ready within {START_S} s" in _becomes(runtime, hub, name, "failed").message
    assert "cancelled" in _becomes(runtime, hub, "quick1", "stopped").message
    _stop(hub, "ada", *quick[1:])
    for name in (*slow, *quick):
        runtime.forget(hub.tenant, "ada", name)


def _is_pending(hub: KubeHub, name: str) -> bool:
    found = hub.server("ada", name)
    return found is not None and found["pending"] == "spawn"


def _running(hub: KubeHub, name: str) -> bool:
    return any(one["status"]["phase"] == "Running" for one in _pods(hub, name))


def test_who_waited_in_line_when_the_hub_died_is_told(hub: KubeHub, runtime: KubeRuntime) -> None:
    names = ("some1", "some2", "some3")  # who of them comes last is not said
    with ThreadPoolExecutor(4) as pool:
        for name in names:
            pool.submit(hub.launch, "ada", name, "tool", words=["sleep"])
        waits = hub.until("one waits", lambda: [one for one in names if _is_in_line(runtime, hub, one)])
        hub.until("two run", lambda: sum(_running(hub, name) for name in names) == AT_ONCE)
        hub.kill()
    hub.start()
    (late,) = waits
    assert "restarted while it waited" in _becomes(runtime, hub, late, "failed").message
    for name in set(names) - {late}:  # JupyterHub waits for what it had begun, and ends what does not answer
        assert "did not answer the hub" in _becomes(runtime, hub, name, "failed").message
    assert not [one for name in names for one in _pods(hub, name)]
    for name in names:
        runtime.forget(hub.tenant, "ada", name)


def _is_in_line(runtime: KubeRuntime, hub: KubeHub, name: str) -> bool:
    found = _seen(runtime, hub, name)
    return found is not None and "waits in line" in found.message
