"""A transfer's places, tool and times: what is refused at which field, and what it becomes."""

from __future__ import annotations

from typing import Any

import pytest

from spawners.kube.manifests import manifests
from spawners.refusal import Refusal
from tests.unit.spawners.kube.launches import TENANT, launch, tenant

SSH = {"name": "nas", "type": "sftp", "bucket": "lab-data", "options": {"host": "nas.example.org", "user": "lab"}}
OTHER = {**SSH, "name": "far"}
S3 = {"name": "data", "type": "s3", "bucket": "physics-data", "credentials": "physics-s3"}
HERE = tenant(remotes=[SSH, OTHER, S3])
SIDES = {"tool": "rsync", "source": "nas:raw", "destination": "far:copies"}


@pytest.mark.parametrize(
    ("options", "field", "told"),
    [
        ({**SIDES, "destination": "data:copies"}, "destination", "choose rclone"),
        ({**SIDES, "source": "nowhere:raw"}, "source", "no remote"),
        ({**SIDES, "cron": "every night"}, "cron", ""),
        ({**SIDES, "cron": "0 3 * * *", "timezone": "Kyoto"}, "timezone", ""),
        ({**SIDES, "source": "nas:../other"}, "source", "must be a folder"),
    ],
)
def test_what_is_refused(options: dict[str, Any], field: str, told: str) -> None:
    with pytest.raises(Refusal) as refused:
        launch(TENANT, "transfer", options, tenant=HERE)
    said = {one.field: one.message for one in refused.value.violations}
    assert field in said and told in said[field]


def test_a_cluster_has_no_shared_folder() -> None:
    with pytest.raises(Refusal, match="no shared folder") as refused:
        launch(TENANT, "transfer", {**SIDES, "destination": "shared:copies"}, tenant=HERE)
    assert [one.field for one in refused.value.violations] == ["destination"]


def test_rsync_between_hosts_has_room_for_what_lies_in_between() -> None:
    made = launch(TENANT, "transfer", {**SIDES, "staging_gib": 7}, tenant=HERE)
    settings = made.plan.settings or {}
    assert (settings["source"], settings["destination"]) == ("nas:lab-data/raw", "far:lab-data/copies")
    state = next(one for one in made.plan.scratch if one.name == "state")
    assert settings["staging_bytes"] == 7 * 2**30 < state.size


def test_with_a_time_it_is_a_cron_job_and_without_a_job() -> None:
    often = launch(TENANT, "transfer", {**SIDES, "cron": "30 2 * * 1", "timezone": "Asia/Tokyo"}, tenant=HERE)
    (made,) = manifests(often)
    assert (made["kind"], made["spec"]["schedule"], made["spec"]["timeZone"]) == ("CronJob", "30 2 * * 1", "Asia/Tokyo")
    (once,) = manifests(launch(TENANT, "transfer", SIDES, tenant=HERE))
    assert once["kind"] == "Job"
