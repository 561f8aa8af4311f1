"""The workload's own Secret through one launch: written before its Pod, owned by it soon after, never left behind.

It is written twice, because a Pod is not there before its Secret, and who owns what is told by the owner's uid. The
second write runs beside the launch, which need not wait for it until it is ready. A Secret that a hub left without
owner because it died in between is taken by the next launch of the name.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from config.emit.common import Manifest
from spawners.kube.client import ApiError, Cloud, KubeError
from spawners.kube.index import Object
from spawners.kube.launch import Launch
from spawners.kube.look import mapping
from spawners.kube.secrets import own_secret
from spawners.local.secrets import generate_password

_VERSIONS = {"Pod": "v1", "Deployment": "apps/v1"}
_TRIES = 3
_GIVE_UP_S = 5.0
"""A launch that has failed waits so long for its Secret to be owned or gone."""


@dataclass(frozen=True)
class Put:
    """A Secret as it was written, without owner."""

    manifest: Manifest
    uid: str
    version: str
    """Its resourceVersion."""


async def put(cloud: Cloud, launch: Launch, tokens: Mapping[str, str]) -> Put | None:
    """Write it: *tokens*, and what the plan has of it (a password, a seed), which stays the same from the first launch
    on. None where there is nothing secret. KubeError."""
    values = dict(tokens)
    if own := {one.key for one in launch.plan.secrets if one.secret is None}:
        before = await cloud.get("Secret", launch.namespace, launch.name)
        for key in sorted(own):
            kept = mapping(before, "data").get(key)
            made = generate_password if key == "password" else secrets.token_urlsafe
            values[key] = base64.b64decode(kept).decode() if kept else made()
    if not values:
        return None
    manifest = own_secret(launch, values)
    meta = (await cloud.apply(manifest))["metadata"]
    return Put(manifest, str(meta["uid"]), str(meta["resourceVersion"]))


def owned(written: Put, version: str, owner: Object) -> Manifest:
    """The second write: the same, and *owner*, where it still is as it was in *version*."""
    meta, kind = owner["metadata"], owner["kind"]
    reference = {"apiVersion": _VERSIONS.get(kind, "batch/v1"), "kind": kind, "name": meta["name"], "uid": meta["uid"]}
    more = {"ownerReferences": [reference], "resourceVersion": version}
    return {**written.manifest, "metadata": {**written.manifest["metadata"], **more}}


def is_as_written(written: Put, found: Object) -> bool:
    """Whether the Secret *found* on the cluster still is the one that was written, with whatever else beside it."""
    data = mapping(found, "data")
    values = {key: base64.b64encode(value.encode()).decode() for key, value in written.manifest["stringData"].items()}
    return found["metadata"].get("uid") == written.uid and all(data.get(key) == one for key, one in values.items())


async def own(cloud: Cloud, written: Put, owner: Object) -> None:
    """Have it go with *owner*. KubeError.

    Never over what came after: a request that arrives late, when its launch was given up and the next one of the name
    has written its own tokens, would take these away and have the new Secret go with the old Pod.
    """
    version, meta = written.version, written.manifest["metadata"]
    for left in reversed(range(_TRIES)):
        try:
            await cloud.apply(owned(written, version, owner))
        except ApiError as error:
            if error.status != 409 or not left:
                raise
        else:
            return
        found = await cloud.get("Secret", meta["namespace"], meta["name"])
        if found is None or not is_as_written(written, found):
            return  # another launch's by now, or gone
        version = str(found["metadata"]["resourceVersion"])


class Holding:
    """The Secret of one launch under way."""

    def __init__(self, cloud: Cloud, launch: Launch, tokens: Mapping[str, str]) -> None:
        self._cloud = cloud
        # Tasks, so that what is under way when the launch is cancelled can be waited for: what it wrote is known then.
        self._writing = asyncio.create_task(put(cloud, launch, tokens))
        self._owning: asyncio.Task[None] | None = None

    async def written(self) -> None:
        """Wait until it is there. KubeError."""
        await asyncio.shield(self._writing)

    def goes_with(self, owner: Object) -> None:
        """*owner* is there: note it, beside whatever comes next. Once it is written."""
        if (secret := self._writing.result()) is not None:
            self._owning = asyncio.create_task(own(self._cloud, secret, owner))

    async def settle(self) -> None:
        """Wait until it is owned. KubeError where it cannot be."""
        if self._owning is not None:
            await asyncio.shield(self._owning)

    async def give_up(self) -> None:
        """The launch has failed: its Secret goes with its owner, which is ended, or now. Raises nothing of its own."""
        with suppress(KubeError, TimeoutError):
            async with asyncio.timeout(_GIVE_UP_S):
                secret = await self._writing
                if secret is None:
                    return
                with suppress(KubeError):
                    if self._owning is not None:
                        await self._owning
                        return
                meta = secret.manifest["metadata"]
                await self._cloud.delete("Secret", meta["namespace"], meta["name"], uid=secret.uid)


@asynccontextmanager
async def holding(cloud: Cloud, launch: Launch, tokens: Mapping[str, str]) -> AsyncIterator[Holding]:
    """Write the Secret of an interactive workload and hold it for one launch. In the block, tell `goes_with` of the Pod
    once there is one; at the end of the block it is owned, or gone with the launch. KubeError."""
    held = Holding(cloud, launch, tokens)
    try:
        await held.written()
        yield held
        await held.settle()
    except BaseException:  # cancelled, too: nothing else would ever take it away
        await held.give_up()
        raise
