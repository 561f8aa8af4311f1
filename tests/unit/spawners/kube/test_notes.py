"""What the spawner tells the recorder: in order, never at the cost of a launch; and a line that a hub has left."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from config.names import keys
from spawners.kube import beside, keepsake, notes
from spawners.kube.client import ApiError, KubeError
from spawners.kube.index import Index
from spawners.kube.keepsake import Past
from spawners.kube.notes import Notes
from spawners.kube.recorder import Recorder
from spawners.kube.site import KubeSite
from spawners.workload import Workload
from tests.unit.spawners.kube import launches
from tests.unit.spawners.kube.cloud import Cloud

LOG = logging.getLogger("notes-test")
WORKLOAD = launches.workload(
    "jane.doe@example.org", "notebook", tenant=launches.tenant(members=["jane.doe@example.org"])
)


class Site:
    """The part of a KubeSite that notes and a lost line need."""

    def __init__(self) -> None:
        self.cloud = Cloud()
        self.starting: set[str] = set()
        self.kept = Recorder(self.cloud, Index(keys(launches.SITE)), lambda: launches.SITE, LOG)

    async def recorder(self, log: logging.Logger) -> Recorder:
        del log
        return self.kept

    def world(self) -> Any:
        return SimpleNamespace(tenants={"physics": launches.tenant()}, site=launches.SITE)

    def is_starting(self, workload: Workload) -> bool:
        return workload.id in self.starting

    @property
    def as_site(self) -> KubeSite:
        return cast(KubeSite, self)

    async def past(self) -> Past:
        found = await self.kept.past(WORKLOAD)
        assert found is not None
        return found


def test_what_is_said_is_kept_in_the_order_of_saying() -> None:
    async def run() -> None:
        site = Site()
        told = Notes(site.as_site, LOG)
        told.waits(WORKLOAD)
        await told.settled()
        assert keepsake.is_in_line(await site.past())
        told.started(WORKLOAD)
        await told.ended(WORKLOAD, "failed", "no image")
        past = await site.past()
        assert (past.state, past.reason, past.in_line) == ("failed", "no image", False)
        told.started(WORKLOAD)
        told.cancelled(WORKLOAD, "its launch was cancelled")
        await told.settled()
        assert (await site.past()).state == "stopped"

    asyncio.run(run())


@pytest.mark.parametrize(
    "error", [KubeError("away"), ApiError(403, {"message": "exceeded quota"}, "PATCH"), ValueError("a mistake")]
)
def test_nothing_that_goes_wrong_reaches_a_launch_and_all_is_logged(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        site = Site()
        site.cloud.error = cast(KubeError, error)
        told = Notes(site.as_site, LOG)
        told.started(WORKLOAD)
        await told.ended(WORKLOAD, "failed", "no image")

    asyncio.run(run())
    assert sum("not noted for its owner" in one.getMessage() for one in caplog.records) == 2


def test_a_cluster_that_does_not_answer_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(notes, "_GIVEN_UP_S", 0.01)

    async def run() -> None:
        site = Site()

        async def never(*_: Any) -> None:
            await asyncio.Event().wait()

        monkeypatch.setattr(site.cloud, "get", never)
        await Notes(site.as_site, LOG).ended(WORKLOAD, "stopped", "")

    asyncio.run(run())
    assert "does not answer" in caplog.text


def test_who_waited_in_line_when_the_hub_ended_is_told_and_who_waits_now_is_left() -> None:
    async def run() -> None:
        site = Site()
        await site.kept.waits(WORKLOAD)
        site.starting = {WORKLOAD.id}
        await beside.look_through(site.as_site, LOG)
        assert keepsake.is_in_line(await site.past())
        site.starting = set()
        await beside.look_through(site.as_site, LOG)
        past = await site.past()
        assert (past.state, past.reason) == ("failed", beside.LINE_LOST)
        await site.kept.started(WORKLOAD)
        await beside.look_through(site.as_site, LOG)
        assert (await site.past()).state is None

    asyncio.run(run())


def test_old_records_go_when_a_hub_begins_with_one_list_a_tenant() -> None:
    async def run() -> None:
        site = Site()
        old = datetime.now(UTC) - keepsake.KEPT - timedelta(days=1)
        past = keepsake.ended(None, WORKLOAD, "stopped", "", "", old)
        await site.cloud.apply(keepsake.config_map(past, launches.SITE))
        site.cloud.asked.clear()
        await beside.look_through(site.as_site, LOG)
        assert await site.kept.past(WORKLOAD) is None
        assert sum(one.startswith("metadata") for one in site.cloud.asked) == 1

    asyncio.run(run())
