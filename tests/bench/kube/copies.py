"""Thousands of servers out of one that was really launched: its objects and its rows in the hub's database, renamed.

To launch them all would take half an hour a hub, and say nothing of a restart. A copy is exact but for names, addresses
and tokens, since names are so short that none is shortened: what stands for one account stands nowhere else.
"""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from spawners.kube.client import Client, path_of
from tests.bench.contest import CannotRun
from tests.bench.kube import setups
from tests.cluster.bed import Bed, processes

T = TypeVar("T")
COPIED = ("Secret", "ConfigMap", "Pod")
_OF_ITS_OWN = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "ownerReferences")
Row = dict[str, Any]


@dataclass(frozen=True)
class Person:
    """Account number *member* of tenant number *tenant*."""

    tenant: int
    member: int

    @property
    def account(self) -> str:
        """What it is called."""
        return setups.account_name(self.tenant, self.member)


FIRST = Person(0, 0)
"""Whose server is copied."""


def renamed(value: T, to: Person) -> T:
    """*value* (of JSON) with the account and the tenant of FIRST replaced, wherever they stand in any text."""
    if isinstance(value, str):
        text = value.replace(FIRST.account, to.account)
        return cast(T, text.replace(setups.tenant_name(FIRST.tenant), setups.tenant_name(to.tenant)))
    if isinstance(value, Mapping):
        return cast(T, {renamed(key, to): renamed(one, to) for key, one in value.items()})
    if isinstance(value, list | tuple):
        return cast(T, [renamed(one, to) for one in value])
    return value


def object_for(found: Mapping[str, Any], to: Person) -> dict[str, Any]:
    """The same object as *found* for somebody else, as it is to be created: without status, place and identity."""
    made: dict[str, Any] = renamed({name: value for name, value in found.items() if name != "status"}, to)
    made["metadata"] = {name: value for name, value in made["metadata"].items() if name not in _OF_ITS_OWN}
    if made["kind"] == "Pod":
        made["spec"] = {name: value for name, value in made["spec"].items() if name != "nodeName"}
    return made


# -- on the cluster ---------------------------------------------------------------------------------------------------


def copy_objects(bed: Bed, namespace: str, people: Sequence[Person]) -> dict[str, str]:
    """Make for each of *people* what FIRST's server has in *namespace*; the address of each one's Pod, by account.

    CannotRun where not all of the Pods come up.
    """
    return asyncio.run(_copy_objects(bed, namespace, people))


async def _copy_objects(bed: Bed, namespace: str, people: Sequence[Person]) -> dict[str, str]:
    places = asyncio.Semaphore(16)
    async with await Client.connect(bed.kubeconfig) as client:
        found = [
            {**one, "apiVersion": "v1", "kind": kind}
            for kind in COPIED
            for one in await client.all(path_of(kind, namespace))
            if FIRST.account in str(one["metadata"])
        ]

        async def make(person: Person) -> None:
            async with places:
                for one in found:
                    await client.create(object_for(one, person))

        await asyncio.gather(*map(make, people))
        (pod,) = (one["metadata"] for one in found if one["kind"] == "Pod")
        names = {(renamed(pod["namespace"], one), renamed(pod["name"], one)): one.account for one in [FIRST, *people]}
        return await _addresses(bed, client, names)


async def _addresses(bed: Bed, client: Client, names: Mapping[tuple[str, str], str]) -> dict[str, str]:
    deadline = asyncio.get_running_loop().time() + 300
    while True:
        pods = await client.all("/api/v1/pods")
        found = {
            names[where]: str(one["status"]["podIP"])
            for one in pods
            if (where := (one["metadata"]["namespace"], one["metadata"]["name"])) in names
            and one["status"].get("podIP")
        }
        if len(found) == len(names):
            return found
        if asyncio.get_running_loop().time() > deadline:
            last = " | ".join(processes.tail(bed, "kwok", 1))
            raise CannotRun(f"{len(found)} of {len(names)} Pods have come up: {last}")
        await asyncio.sleep(1)


# -- in the database --------------------------------------------------------------------------------------------------


def copy_rows(database: Path, addresses: Mapping[str, str], people: Iterable[Person]) -> None:
    """Make for each of *people* the rows that FIRST's server has in the *database* (SQLite) of a hub that does not run;
    their accounts are there. CannotRun where FIRST has no server."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.row_factory = sqlite3.Row
        users = {row["name"]: row["id"] for row in connection.execute("SELECT id, name FROM users")}
        first = _one(connection, "spawners", "user_id", users.get(FIRST.account))
        server = _one(connection, "servers", "id", first["server_id"])
        client = _one(connection, "oauth_clients", "identifier", first["oauth_client_id"])
        tokens = _all(connection, "api_tokens", "user_id", first["user_id"])
        for person in people:
            user, address = users[person.account], addresses[person.account]
            made = _insert(connection, "servers", {**renamed(server, person), "ip": address})
            _insert(connection, "oauth_clients", renamed(client, person))
            _insert(connection, "spawners", {**renamed(first, person), "user_id": user, "server_id": made})
            for token in tokens:
                # What a token is checked by: nobody has this one, so it may be anything that no other has.
                hashed = f"{token['hashed'].rpartition(':')[0]}:{secrets.token_hex(32)}"
                _insert(connection, "api_tokens", {**renamed(token, person), "user_id": user, "hashed": hashed})


def _all(connection: sqlite3.Connection, table: str, column: str, value: Any) -> list[Row]:
    rows = connection.execute(f"SELECT * FROM {table} WHERE {column} = ?", (value,))
    return [dict(row) for row in rows]


def _one(connection: sqlite3.Connection, table: str, column: str, value: Any) -> Row:
    every = _all(connection, table, column, value)
    found = [row for row in every if row.get("server_id", True)]  # an account has a spawner without a server besides
    if not found:
        raise CannotRun(f"{FIRST.account} has no server that could be copied: nothing in {table}")
    return found[0]


def _insert(connection: sqlite3.Connection, table: str, row: Row) -> int:
    kept = {name: value for name, value in row.items() if name != "id"}
    columns, marks = ", ".join(kept), ", ".join("?" * len(kept))
    done = connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", tuple(kept.values()))
    return int(done.lastrowid or 0)
