"""Which idle servers are stopped: the profile's rule, and nothing that runs unattended."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from config.models import World
from hub.culling import rule_of, should_stop
from tests.unit.spawners.worlds import KINDS, profile, tenant, world

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def a_world() -> World:
    return world(
        profiles=[
            profile("notebook", "notebook", idle={"stop_after_s": 600}),
            profile("patient", "notebook", idle={"stop_after_s": 86400, "max_age_s": 7200}),
            profile("plain", "notebook"),
            profile("crawl", "crawler"),
            profile("own-app", "app", idle={"stop_after_s": 600}),
        ]
    )


def server(profile_name: Any, owner: str = "physics-member", started: str | None = "2026-11-21T11:00:00Z") -> Any:
    options = {"tenant": "physics", "profile": profile_name, "options": {}}
    return {"full_name": f"{owner}/lab", "user_options": options, "started": started}


@pytest.mark.parametrize(
    ("what", "inactive_s", "stops"),
    [
        (server("notebook"), 599, False),
        (server("notebook"), 600, True),
        (server("notebook"), None, False),
        (server("plain"), 3599, False),
        (server("patient"), 3600, False),
        (server("patient", started="2026-11-21T10:00:01Z"), 10, False),
        (server("patient", started="2026-11-21T10:00:00Z"), 10, True),
        (server("patient", started="2026-11-21T10:00:00.123456Z"), None, False),
        (server("patient", started="2026-11-21T09:59:59.123456+00:00"), None, True),
        (server("patient", started=None), 10, False),
        (server("own-app"), 600, True),
        (server("own-app", owner="tenant-physics"), 10**9, False),
        (server("crawl", owner="tenant-physics"), 10**9, False),
        (server("crawl"), 10**9, False),
        (server("notebook", owner="tenant-gone"), 10**9, False),
        (server("no-such-profile"), 10**9, False),
        (server(None), 10**9, False),
        ({"full_name": "physics-member/lab", "user_options": None}, 10**9, False),
        ({"full_name": "physics-member/", "user_options": {"image": "x"}}, 10**9, False),
    ],
)
def test_what_is_stopped(what: Any, inactive_s: int | None, stops: bool) -> None:
    inactive = None if inactive_s is None else timedelta(seconds=inactive_s)
    assert should_stop(a_world(), KINDS, what, inactive, NOW) is stops


def test_a_profile_without_a_rule_has_the_default_one() -> None:
    rule = rule_of(a_world(), KINDS, server("plain"))
    assert rule is not None
    assert should_stop(a_world(), KINDS, server("plain"), timedelta(seconds=rule.stop_after_s), NOW)


def test_a_tenant_may_have_a_person_called_like_one() -> None:
    """Only accounts with the prefix are tenants': a person's notebook is culled whatever the tenant is called."""
    a = world(tenants=[tenant("physics", members=["physics"])], profiles=a_world().profiles.values())
    assert should_stop(a, KINDS, server("notebook", owner="physics"), timedelta(days=1), NOW)
