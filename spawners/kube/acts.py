"""Carry out a launch and a stop: the few places where a workload's objects are written. What to write is decided
elsewhere (manifests, enforce), and so is what to make of the answers (doom)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp

from config.emit.common import Manifest
from config.models import Site
from spawners.kube import doom, live
from spawners.kube.client import ApiError, Client, KubeError, path_of
from spawners.kube.doom import Verdict
from spawners.kube.index import Index, Key, Object, key_of
from spawners.kube.launch import Launch
from spawners.kube.look import at
from spawners.kube.manifests import manifests
from spawners.kube.service import LOADBALANCER_IPS
from spawners.kube.site import Cluster
from spawners.refusal import Refusal

Judge = Callable[[list[Object]], Verdict]
"""From the Events of what is launched to a verdict."""
_LOOK_AGAIN_S = 1.0
"""What depends on the time alone (no place for too long) is looked at so often."""
_EVENTS_AFTER_S, _EVENTS_EVERY_S = 3.0, 5.0
"""A launch that takes longer than the first is asked why, and again each time the second has passed."""
_CONNECT_S = 1.0
KEPT_LOOSE = 10
"""Ended Jobs of a workload that no CronJob owns and that stay until Kubernetes' own time for them."""
_GONE_AFTER_S = 30
"""Seconds beyond its grace that a Pod may take to go."""


UNREACHED = Refusal.of("place", "the cluster does not answer; try again in a minute")


def told(error: KubeError) -> Refusal:
    """What the API server said, or that it said nothing, as a refusal of the launch."""
    if not isinstance(error, ApiError):
        return UNREACHED
    return Refusal.of("quota" if "exceeded quota" in error.message else "place", doom.refused(error.message))


# -- making objects ---------------------------------------------------------------------------------------------------


async def create_pod(cluster: Cluster, manifest: Manifest) -> Object:
    """Create the Pod of an interactive workload; the index has it when this returns. KubeError; one that is_taken where
    there still is one of the name (make_room): the API server never has two, whatever the index knows."""
    made = {**await cluster.client.create(manifest), "kind": "Pod"}
    cluster.watch.index.put_made(made)
    return made


def is_taken(error: KubeError) -> bool:
    """Whether it says that there is an object of that name already."""
    return isinstance(error, ApiError) and error.status == 409 and error.reason == "AlreadyExists"


def is_there(index: Index, key: Key, name: str) -> bool:
    """Whether the index has a Pod *name* of the workload, ended or not. What it does not have yet, create_pod finds."""
    return any(one["metadata"]["name"] == name for one in index.of(key, "Pod"))


async def apply_all(cluster: Cluster, launch: Launch) -> Object:
    """Apply the objects of an unattended workload in order; the top object as it is then. KubeError, Refusal."""
    every = manifests(launch)
    await _age(cluster, key_of(launch.workload))
    for one in every:
        made = {**await cluster.client.apply(one), "kind": one["kind"]}
        if one["kind"] in cluster.watch.health:
            cluster.watch.index.put_made(made)
    return made


async def addresses_of(client: Client, namespace: str) -> dict[str, tuple[str, ...]]:
    """LoadBalancer addresses that the Services of a namespace have or ask for, by Service; stopped workloads' too,
    and those that people made with kubectl. KubeError."""
    found = {}
    for one in await client.all(path_of("Service", namespace)):
        asked = (at(one, "metadata", "annotations") or {}).get(LOADBALANCER_IPS, "")
        given = [str(entry.get("ip")) for entry in at(one, "status", "loadBalancer", "ingress") or ()]
        found[one["metadata"]["name"]] = tuple(dict.fromkeys([*filter(None, asked.split(",")), *given]))
    return found


# -- waiting ----------------------------------------------------------------------------------------------------------


async def until_decided(
    cluster: Cluster, launch_key: Key, subjects: Callable[[], Iterable[str]], judge: Judge, say: Callable[[str], None]
) -> Verdict:
    """Wait until *judge* says ready or doomed; *say* gets its words meanwhile. The caller limits the time.

    *subjects* gives the uids whose Events matter; they are asked for only when the launch is slow.
    """
    async with _events(cluster, launch_key.namespace, subjects) as events:

        def step() -> Verdict | None:
            found = judge(events)
            if found.state == "waiting":
                say(found.words)
                return None
            return found

        return await cluster.watch.index.until(launch_key, step, _LOOK_AGAIN_S)


@asynccontextmanager
async def _events(
    cluster: Cluster, namespace: str, subjects: Callable[[], Iterable[str]]
) -> AsyncIterator[list[Object]]:
    """A list that is kept filled with the Events of *subjects*."""
    found: list[Object] = []

    async def ask() -> None:
        await asyncio.sleep(_EVENTS_AFTER_S)
        while True:
            with suppress(KubeError):  # they only add words; the watch says what is wrong
                found[:] = await cluster.events.of(namespace, subjects())
            await asyncio.sleep(_EVENTS_EVERY_S)

    asking = asyncio.create_task(ask())
    try:
        yield found
    finally:
        asking.cancel()


async def until_answers(url: str, judge: Callable[[], Verdict]) -> Verdict:
    """Ask *url* until anything but a gateway's error comes back, or *judge* says that it is doomed.

    Quick and often: a Pod's address may drop packets for a moment after it is ready, and a connection that is left to
    the system's own time-out would cost a minute of that moment. The caller limits the time.
    """
    limits = aiohttp.ClientTimeout(total=3, sock_connect=_CONNECT_S)
    pause_s = 0.05
    async with aiohttp.ClientSession(timeout=limits, trust_env=False) as session:
        while True:
            verdict = judge()
            if verdict.state == "doomed":
                return verdict
            try:
                async with session.get(url, allow_redirects=False) as answer:
                    if answer.status not in (502, 503, 504):
                        return doom.READY
            except (aiohttp.ClientError, TimeoutError):
                pass
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 1.5, 1.0)


# -- ending -----------------------------------------------------------------------------------------------------------


async def stop(cluster: Cluster, key: Key, site: Site, *, now: bool = False) -> list[Object]:
    """End a workload and wait for its Pods; those that are still there after their grace, e.g. on a lost node.

    Deployment: no replicas; it stays, and its Service with it, so that an instrument finds its address again.
    CronJob: deleted, its Jobs stay with their logs. A run under way is suspended, which ends its Pods and keeps it.
    Pod: deleted. KubeError.
    """
    client, index = cluster.client, cluster.watch.index
    for one in live.tops(index, key, site):
        meta = one["metadata"]
        name, uid = meta["name"], meta["uid"]
        if one["kind"] == "CronJob":
            await client.delete("CronJob", key.namespace, name, uid=uid, orphan=True)
        elif one["kind"] == "Deployment":
            await _merge(cluster, "Deployment", key, name, {"spec": {"replicas": 0}})
        elif one["kind"] == "Pod" and live.is_live(one):
            await client.delete("Pod", key.namespace, name, uid=uid, grace_s=1 if now else None)
    # After the schedule, or it would start the next one in between.
    for job in live.active_jobs(index, key):
        await _merge(cluster, "Job", key, job["metadata"]["name"], {"spec": {"suspend": True}})
    return await until_gone(cluster, key)


async def _age(cluster: Cluster, key: Key) -> None:
    """Delete ended Jobs that no schedule ages any more, but for the newest. KubeError.

    A schedule that is stopped leaves its Jobs, and the next one of the name does not know them: started again often
    enough, they would fill the namespace's quota of Jobs, and no run could begin. The record keeps what they tell.
    """
    ended = [one for one in cluster.watch.index.of(key, "Job") if live.job_over(one)]
    loose = [one for one in ended if not at(one, "metadata", "ownerReferences")]
    for one in sorted(loose, key=lambda job: str(at(job, "metadata", "creationTimestamp")))[:-KEPT_LOOSE]:
        meta = one["metadata"]
        await cluster.client.delete("Job", key.namespace, meta["name"], uid=meta["uid"])


async def _merge(cluster: Cluster, kind: str, key: Key, name: str, patch: Mapping[str, Any]) -> None:
    made = await cluster.client.merge(kind, key.namespace, name, patch)
    if made is not None:
        cluster.watch.index.put_made({**made, "kind": kind})


async def end_others(cluster: Cluster, key: Key, site: Site, launch: Launch) -> None:
    """End what an earlier launch of this name has left and this one does not replace: two must never run.

    That is there only where a database was lost: a run still going on, or a workload of another kind. KubeError.
    """
    top = manifests(launch)[-1]
    ours = (top["kind"], top["metadata"]["name"])
    every = [one for one in live.tops(cluster.watch.index, key, site) if live.is_live(one)]
    if any((one["kind"], one["metadata"]["name"]) != ours for one in every):
        await stop(cluster, key, site)


async def until_gone(cluster: Cluster, key: Key) -> list[Object]:
    """Wait until no Pod of a workload runs any more, at the latest for its grace and a while; those that still do."""
    index = cluster.watch.index
    graces = [at(one, "metadata", "deletionGracePeriodSeconds") or 60 for one in live.going(index, key)]
    try:
        async with asyncio.timeout(max(graces, default=0) + _GONE_AFTER_S):
            await index.until(key, lambda: True if not live.going(index, key) else None, _LOOK_AGAIN_S)
    except TimeoutError:
        return live.going(index, key)
    return []


async def make_room(cluster: Cluster, key: Key, name: str) -> None:
    """End an earlier Pod of this name, and wait until the name is free. KubeError; Refusal where it does not go:
    on a node that is lost it may still run, and two must never."""
    client, index = cluster.client, cluster.watch.index
    found = await client.get("Pod", key.namespace, name)
    if found is None:
        return
    uid = found["metadata"]["uid"]
    await client.delete("Pod", key.namespace, name, uid=uid)
    try:
        async with asyncio.timeout((at(found, "spec", "terminationGracePeriodSeconds") or 30) + _GONE_AFTER_S):
            await index.until(
                key, lambda: None if uid in {one["metadata"]["uid"] for one in index.of(key, "Pod")} else True, 1.0
            )
    except TimeoutError:
        node = at(found, "spec", "nodeName")
        why = f"its last Pod does not end: worker {node} may be lost; ask the operator"
        raise Refusal.of("place", why) from None
