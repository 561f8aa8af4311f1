"""Object storage: reachable as declared, and nobody else's bucket."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from config.check.common import claimed_twice, repeated
from config.errors import Problem
from config.models import Remote, Tenant, World
from config.sources import Sources

_NEEDED = {"s3": ("provider",), "swift": ("auth",), "webdav": ("url",), "sftp": ("host",)}
"""Options without which rclone does not know where to go (rclone's page of each backend)."""
_PLACE = {
    "s3": "endpoint",
    "swift": "auth",
    "webdav": "url",
    "sftp": "host",
    "azureblob": "account",
}
"""Which option tells one store of a type from another; the types that are not here are one store for all the world."""


@dataclass(frozen=True)
class _Declared:
    tenant: Tenant
    index: int
    remote: Remote

    def problem(self, sources: Sources, field: str, message: str, fix: str) -> Problem:
        return sources.problem("tenants", self.tenant.name, ("remotes", self.index, field), message, fix)


def _remotes(world: World) -> Iterator[_Declared]:
    for tenant in world.tenants.values():
        for index, remote in enumerate(tenant.remotes):
            yield _Declared(tenant, index, remote)


def remote_names(world: World, sources: Sources) -> Iterator[Problem]:
    """Unique in the tenant."""
    for tenant in world.tenants.values():
        for index, first in repeated(remote.name for remote in tenant.remotes):
            where = sources.place("tenants", tenant.name, ("remotes", first, "name"))
            said = f"another remote is called `{tenant.remotes[index].name}` ({where})"
            path = ("remotes", index, "name")
            yield sources.problem("tenants", tenant.name, path, said, "give one of them another name")


def remote_settings(world: World, sources: Sources) -> Iterator[Problem]:
    """What the type needs is there, and nothing that it cannot use."""
    for one in _remotes(world):
        for field, said, fix in _wrong(one.remote):
            yield one.problem(sources, field, said, fix)


def _wrong(remote: Remote) -> Iterator[tuple[str, str, str]]:
    if remote.type == "builtin":
        if remote.credentials is not None:
            yield "credentials", "the builtin store makes its own credentials", "remove this line"
        if remote.options:
            yield "options", "the builtin store has no options", "remove them"
        return
    if remote.credentials is None:
        said = f"a remote of type {remote.type} needs credentials"
        yield "type", said, "write credentials: and the name of the secret that holds them"
    for option in _NEEDED.get(remote.type, ()):
        if not remote.options.get(option):
            said = f"a remote of type {remote.type} needs the option `{option}`"
            yield "options" if remote.options else "type", said, f"write options: {{{option}: …}}"
    if remote.type == "s3" and remote.options.get("provider", "AWS") != "AWS" and not remote.options.get("endpoint"):
        said = f"provider {remote.options['provider']} needs the option `endpoint`"
        yield "options", said, "write options: {endpoint: https://…}"


def bucket_twice(world: World, sources: Sources) -> Iterator[Problem]:
    """A bucket is one tenant's: whoever has its credentials reads and deletes all of it. Its own twice is fine."""
    for one, owner in claimed_twice(_remotes(world), _bucket):
        if one.tenant.name == owner.tenant.name:
            continue
        where = sources.place("tenants", owner.tenant.name, ("remotes", owner.index, "bucket"))
        said = f"bucket `{one.remote.bucket}` belongs to tenant `{owner.tenant.name}` already ({where})"
        yield one.problem(sources, "bucket", said, "write a bucket of the tenant's own")


def _bucket(one: _Declared) -> tuple[str, ...] | None:
    store = _store(one.remote)
    return None if store is None else (*store, one.remote.bucket)


def _store(remote: Remote) -> tuple[str, ...] | None:
    """What tells the store from others; None where the secret alone knows."""
    place = _PLACE.get(remote.type)
    if place is None:
        return (remote.type,)
    value = remote.options.get(place, "").lower().rstrip("/")
    if remote.type == "s3":
        return (remote.type, value.removeprefix("https://").removeprefix("http://"))
    return (remote.type, value) if value else None
