"""Each tenant's Secret with rclone's configuration, made of its declared remotes and the credentials of the site.

    hub's namespace       Secret <credentials>, label <domain>/holds=remote-credentials: rclone's options, made by the
                          operator (or by what fills Secrets from a vault)
    tenant's namespace    Secret tenanthub.remotes, key rclone.conf: made here, mounted by collector, crawler, transfer

The label is asked for so that a tenant's file cannot have any other Secret of the hub's namespace, its own database's
say, copied to where the tenant's people read it. They do read their own remotes' credentials: whoever may create a Pod
in a namespace may mount its Secrets, so a credential should open the tenant's own bucket and no more.

A changed Secret reaches running Pods by the kubelet within about a minute and a half (Kubernetes, "Secrets", mounted
Secrets are updated automatically); a program that has read the file before goes on with what it read.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from logging import Logger
from typing import Any

from config.emit.common import Manifest, metadata
from config.models import Remote, Site, Tenant, World
from config.names import Keys, keys, namespace
from spawners.kube.client import ApiError, Cloud, KubeError
from spawners.kube.look import at, mapping
from spawners.kube.plan import REMOTES_SECRET
from spawners.rclone import rclone_conf, section

KEY = "rclone.conf"
CREDENTIALS = "remote-credentials"
MADE = "remotes"
LOOK_S = 2.0
"""The world, which follows its files, is compared so often; that costs nothing."""
EVERY_S = 300.0
"""And everything is looked at anew so often, for credentials that were changed and Secrets that were deleted."""


@dataclass(frozen=True)
class Made:
    """What is to be written for a tenant, and what is lacking."""

    text: str | None
    """The file; None where no remote can be used, so that there is to be no Secret."""
    problems: Mapping[str, str]
    """By the remote's name, in words for people. Such a remote is left out; the others work."""


def holds(own: Keys) -> str:
    """Label on Secrets: what is in them."""
    return f"{own.domain}/holds"


def credentials_of(found: Mapping[str, Any], own: Keys) -> dict[str, str]:
    """rclone's options in a Secret of the hub's namespace. ValueError, without a value, says why not."""
    name = at(found, "metadata", "name")
    if mapping(found, "metadata", "labels").get(holds(own)) != CREDENTIALS:
        raise ValueError(f"the Secret {name} is not meant for remotes: label it {holds(own)}={CREDENTIALS}")
    try:
        return {key: base64.b64decode(value).decode().rstrip("\n") for key, value in mapping(found, "data").items()}
    except (binascii.Error, UnicodeDecodeError):
        raise ValueError(f"the Secret {name} holds what is no text") from None


def made_of(tenant: Tenant, secrets: Mapping[str, Mapping[str, Any] | None], own: Keys) -> Made:
    """The configuration of a tenant. *secrets*: those of the hub's namespace, None where there is none. Pure."""
    sections: dict[str, dict[str, str]] = {}
    problems: dict[str, str] = {}
    for remote in tenant.remotes:
        try:
            sections[remote.name] = _section(remote, secrets, own)
        except ValueError as error:
            problems[remote.name] = str(error)
    return Made(rclone_conf(sections) if sections else None, problems)


def _section(remote: Remote, secrets: Mapping[str, Mapping[str, Any] | None], own: Keys) -> dict[str, str]:
    if remote.type == "builtin":
        raise ValueError("a remote of type builtin is the embedded hub's own object store; a cluster has none")
    if remote.credentials is None:
        return section(remote, {})
    found = secrets.get(remote.credentials)
    if found is None:
        raise ValueError(f"the Secret {remote.credentials} with its credentials is missing in the hub's namespace")
    return section(remote, credentials_of(found, own))


def lacking(problems: Mapping[str, str], texts: Iterable[str], tenant: Tenant) -> list[tuple[str, str]]:
    """The remotes that a launch cannot do without, with what is wrong with each. *texts*: all that its plan says; a
    remote is used where one begins with its name and a colon, as rclone writes a path. Pure.

    Where no remote of the tenant can be used there is no Secret to mount, so then all of them are lacking.
    """
    if len(problems) == len(tenant.remotes):
        return sorted(problems.items()) or [("(none)", "its file declares no remotes")]
    every = [text for text in texts if "://" not in text]
    return [(name, why) for name, why in problems.items() if any(text.startswith(f"{name}:") for text in every)]


def secret_of(tenant: Tenant, text: str, site: Site) -> Manifest:
    """The tenant's Secret. Not `tenanthub apply`'s: it does not carry the owner label that prune goes by."""
    meta = metadata(site, REMOTES_SECRET, tenant=tenant, namespace=namespace(tenant), labels={holds(keys(site)): MADE})
    data = {KEY: base64.b64encode(text.encode()).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": "Opaque", "data": data}


class Remotes:
    """Keeps every tenant's Secret as it should be."""

    def __init__(self, cloud: Cloud, home: str, log: Logger) -> None:
        """*home*: the hub's namespace."""
        self._cloud, self._home, self._log = cloud, home, log
        self._said: dict[str, Mapping[str, str]] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._without: set[str] = set()
        """Tenants that have no remotes, and were seen to have no Secret of them."""

    async def ensure(self, tenant: Tenant, site: Site) -> Mapping[str, str]:
        """Write, or remove, one tenant's Secret where it is not as it should be. What is lacking, by remote. KubeError.

        A launch that mounts it calls this first, so that it never waits for the next round.
        """
        own, space = keys(site), namespace(tenant)
        # One at a time: an older answer must not be written over a newer one.
        async with self._locks.setdefault(tenant.name, asyncio.Lock()):
            wanted = dict.fromkeys(one.credentials for one in tenant.remotes if one.credentials)
            made = made_of(tenant, {name: await self._cloud.get("Secret", self._home, name) for name in wanted}, own)
            there = await self._cloud.get("Secret", space, REMOTES_SECRET)
            ours = mapping(there, "metadata", "labels").get(holds(own)) == MADE
            if made.text is None:
                if there is not None and ours:  # one that somebody has made by hand is theirs
                    await self._cloud.delete("Secret", space, REMOTES_SECRET, uid=there["metadata"]["uid"])
                return made.problems
            manifest = secret_of(tenant, made.text, site)
            if not ours or mapping(there, "data").get(KEY) != manifest["data"][KEY]:
                await self._cloud.apply(manifest)
            return made.problems

    async def sync(self, world: World) -> None:
        """All tenants of *world*, one after the other. What fails is logged once, and tried again at the next round."""
        for tenant in world.tenants.values():
            if tenant.remotes:
                self._without.discard(tenant.name)
            elif tenant.name in self._without:
                continue
            try:
                problems = await self.ensure(tenant, world.site)
                if not tenant.remotes:
                    self._without.add(tenant.name)
            except ApiError as error:
                why = f"namespace {namespace(tenant)} is not there yet" if error.status == 404 else str(error)
                problems = {"": why}
            except KubeError as error:
                problems = {"": str(error)}
            if problems != self._said.get(tenant.name, {}):
                for remote, why in problems.items():
                    self._log.warning("Remotes of %s%s: %s", tenant.name, f", {remote}" if remote else "", why)
                self._said[tenant.name] = problems

    async def run(self, world: Callable[[], World]) -> None:
        """For ever: at once, when the declared world changes, and every EVERY_S seconds."""
        seen: World | None = None
        last = 0.0
        while True:
            now = await asyncio.to_thread(world)  # it may have to read files
            if now is not seen or time.monotonic() - last > EVERY_S:
                seen, last = now, time.monotonic()
                await self.sync(now)
            await asyncio.sleep(LOOK_S)
