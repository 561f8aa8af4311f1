"""The tenant's Secret with rclone's configuration: what is in it, when it is written, and what never gets in."""

from __future__ import annotations

import asyncio
import base64
import configparser
import logging
from typing import Any

import pytest

from config.models import Tenant
from config.names import keys
from spawners.kube.client import ApiError
from spawners.kube.launching import texts
from spawners.kube.remotes import Remotes, lacking, made_of
from tests.unit.spawners.kube import launches
from tests.unit.spawners.kube.cloud import Cloud

LOG = logging.getLogger("remotes-test")
SITE, OWN = launches.SITE, keys(launches.SITE)
HOLDS = f"{SITE.label_domain}/holds"
MEANT = {"labels": {HOLDS: "remote-credentials"}}
SPACE, NAME = launches.TENANT, "tenanthub.remotes"


def encoded(**values: str) -> dict[str, str]:
    return {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}


def secret(metadata: dict[str, Any] | None = None, /, **values: str) -> dict[str, Any]:
    return {"metadata": {"name": "physics-s3", **(MEANT if metadata is None else metadata)}, "data": encoded(**values)}


def tenant(*remotes: dict[str, Any]) -> Tenant:
    return launches.tenant(remotes=list(remotes))


def s3(name: str = "data", **more: Any) -> dict[str, Any]:
    options = {"provider": "Ceph", "endpoint": "https://s3.example.org"}
    return {
        "name": name,
        "type": "s3",
        "bucket": "physics-data",
        "credentials": "physics-s3",
        "options": options,
        **more,
    }


KEYS = {"access_key_id": "AK", "secret_access_key": "100%sure"}


def test_options_and_credentials_come_together() -> None:
    made = made_of(tenant(s3(), s3("open", credentials=None)), {"physics-s3": secret(**KEYS)}, OWN)
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(made.text or "")
    options = {"type": "s3", "provider": "Ceph", "endpoint": "https://s3.example.org"}
    assert {name: dict(parser[name]) for name in parser.sections()} == {"data": {**options, **KEYS}, "open": options}
    assert made.problems == {}


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (None, "missing in the hub's namespace"),
        (secret({}, access_key_id="AK"), "not meant for remotes"),
        (secret(access_key_id="a\n[other]\ntype = local"), "access_key_id must be text of one line"),
        (secret(type="local"), "'type' is no option"),
        ({"metadata": {"name": "x", **MEANT}, "data": {"access_key_id": "/w=="}}, "holds what is no text"),
    ],
)
def test_a_remote_that_cannot_be_used_says_why_and_leaves_the_others_alone(found: Any, why: str) -> None:
    made = made_of(tenant(s3(), s3("open", credentials=None)), {"physics-s3": found}, OWN)
    assert why in made.problems["data"]
    assert "[open]" in (made.text or "")
    assert "[data]" not in (made.text or "")
    assert "[other]" not in (made.text or "")


def test_the_embedded_hubs_store_is_not_on_a_cluster() -> None:
    made = made_of(tenant({"name": "data", "type": "builtin", "bucket": "physics-data"}), {}, OWN)
    assert made.text is None
    assert "builtin" in made.problems["data"]


def cloud_with_credentials() -> Cloud:
    cloud = Cloud()
    cloud.put("Secret", "hub", "physics-s3", metadata=MEANT, data=encoded(**KEYS))
    return cloud


def writes(cloud: Cloud) -> list[str]:
    return [one for one in cloud.asked if one.partition(" ")[0] in ("apply", "delete")]


def test_it_is_written_once_and_again_only_when_something_changed() -> None:
    async def run() -> None:
        cloud = cloud_with_credentials()
        remotes = Remotes(cloud, "hub", LOG)
        for _ in range(2):
            assert await remotes.ensure(tenant(s3()), SITE) == {}
        assert writes(cloud) == [f"apply Secret {SPACE}/{NAME}"]
        cloud.put("Secret", "hub", "physics-s3", metadata=MEANT, data=encoded(access_key_id="NEW"))
        await remotes.ensure(tenant(s3()), SITE)
        assert len(writes(cloud)) == 2
        text = base64.b64decode(cloud.objects["Secret", SPACE, NAME]["data"]["rclone.conf"]).decode()
        assert "access_key_id = NEW" in text

    asyncio.run(run())


def test_it_goes_with_the_last_remote_unless_somebody_else_made_it() -> None:
    async def run() -> None:
        cloud = cloud_with_credentials()
        remotes = Remotes(cloud, "hub", LOG)
        await remotes.ensure(tenant(s3()), SITE)
        await remotes.ensure(tenant(), SITE)
        assert ("Secret", SPACE, NAME) not in cloud.objects
        cloud.put("Secret", SPACE, NAME, data=encoded(mine="x"))
        await remotes.ensure(tenant(), SITE)
        assert ("Secret", SPACE, NAME) in cloud.objects

    asyncio.run(run())


def test_what_is_lacking_is_logged_once_and_never_with_a_value(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        cloud = Cloud()
        cloud.put("Secret", "hub", "physics-s3", metadata=MEANT, data=encoded(**KEYS, bad="se\ncret"))
        remotes = Remotes(cloud, "hub", LOG)
        for _ in range(2):
            await remotes.sync(launches.world(tenant(s3())))
        cloud.error = ApiError(404, {"message": "namespaces not found"}, "PATCH")
        await remotes.sync(launches.world(tenant(s3())))

    with caplog.at_level(logging.WARNING, logger=LOG.name):
        asyncio.run(run())
    assert [record.getMessage() for record in caplog.records] == [
        "Remotes of physics, data: bad must be text of one line",
        "Remotes of physics: namespace tenant-physics is not there yet",
    ]


def test_who_has_no_remotes_is_asked_after_once_and_again_after_having_had_some() -> None:
    async def run() -> None:
        cloud = cloud_with_credentials()
        remotes = Remotes(cloud, "hub", LOG)
        await remotes.sync(launches.world(tenant()))
        assert cloud.asked == [f"get Secret {SPACE}/{NAME}"]
        await remotes.sync(launches.world(tenant()))
        assert len(cloud.asked) == 1
        await remotes.sync(launches.world(tenant(s3())))
        assert ("Secret", SPACE, NAME) in cloud.objects
        await remotes.sync(launches.world(tenant()))
        assert ("Secret", SPACE, NAME) not in cloud.objects

    asyncio.run(run())


def test_a_world_that_changes_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spawners.kube.remotes.LOOK_S", 0.001)

    async def run() -> None:
        cloud = cloud_with_credentials()
        world = launches.world(tenant())
        task = asyncio.create_task(Remotes(cloud, "hub", LOG).run(lambda: world))
        await cloud.until(lambda: bool(cloud.asked))
        world = launches.world(tenant(s3()))
        await cloud.until(lambda: ("Secret", SPACE, NAME) in cloud.objects)
        task.cancel()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("problems", "found"),
    [
        ({}, []),
        ({"data": "no Secret"}, ["data"]),
        ({"cold": "no Secret"}, []),  # of the tenant, but not of this launch
        ({"cold": "no Secret", "data": "no Secret"}, ["cold", "data"]),  # there is no Secret to mount at all
    ],
)
def test_a_launch_lacks_what_it_uses_and_nothing_else(problems: dict[str, str], found: list[str]) -> None:
    launch = launches.cases()["crawler"]
    assert [name for name, _ in lacking(problems, texts(launch.plan), launch.tenant)] == found


def test_an_address_on_the_web_is_no_remote() -> None:
    of = tenant(s3("https"), s3("data"))
    assert lacking({"https": "no Secret"}, ["https://example.org/a"], of) == []
    assert lacking({"https": "no Secret"}, ["https:bucket/folder"], of) == [("https", "no Secret")]


def test_a_tenant_without_remotes_is_told_so() -> None:
    assert lacking({}, ["data:bucket"], tenant()) == [("(none)", "its file declares no remotes")]
