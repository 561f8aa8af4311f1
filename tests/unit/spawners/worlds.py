"""A small world for tests of the launch path."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from config.models import Profile, Site, Tenant, World
from spawners.kinds.registry import load_kinds
from spawners.refusal import Refusal
from spawners.request import parse
from spawners.resolve import resolve
from spawners.workload import Workload

ASKED = datetime(2026, 11, 21, 10, 15, tzinfo=UTC)
KINDS = load_kinds()


def profile(name: str, kind: str, **more: Any) -> Profile:
    sizes = [{"name": "small", "cpu": "500m", "memory": "1Gi"}, {"name": "large", "cpu": 4, "memory": "8Gi"}]
    return Profile.model_validate({"name": name, "kind": kind, "title": name.title(), "sizes": sizes, **more})


def tenant(name: str, **more: Any) -> Tenant:
    subnet = 20 if name == "physics" else 21
    network = {
        "name": "lab-a",
        "subnets": [f"127.{subnet}.0.0/24"],
        "loadbalancer": [f"127.{subnet}.0.2-127.{subnet}.0.3"],
    }
    return Tenant.model_validate(
        {
            "name": name,
            "admins": [f"{name}-admin"],
            "members": [f"{name}-member", "both-member"],
            "networks": [network],
            "quota": {"workloads": 3, "cpu": 6, "memory": "12Gi"},
            "profiles": ["notebook", "vscode", "upload", "crawl", "transfer", "own-app", "locked-crawl"],
            "remotes": [{"name": "data", "type": "builtin", "bucket": f"{name}-data"}],
            **more,
        }
    )


def world(**changes: Any) -> World:
    profiles = [
        profile("notebook", "notebook"),
        profile("vscode", "ide"),
        profile("upload", "collector"),
        profile("crawl", "crawler"),
        profile("transfer", "transfer"),
        profile("own-app", "app"),
        profile(
            "locked-crawl",
            "crawler",
            defaults={"max_pages": 10, "delay_s": 5.0},
            locked=["delay_s"],
            hidden=["exclude"],
            choices={"max_pages": [10, 20]},
        ),
    ]
    tenants = [tenant("physics"), tenant("history", profiles=["notebook"])]
    return World(
        changes.get("site", Site(contact="help@example.org")),
        {p.name: p for p in changes.get("profiles", profiles)},
        {t.name: t for t in changes.get("tenants", tenants)},
    )


def launch(owner: str, profile_name: str, options: dict[str, Any] | None = None, **more: Any) -> Workload:
    user_options = more.pop("user_options", {"tenant": "physics", "profile": profile_name, "options": options or {}})
    asked = {"name": "one", "display_name": "One", "started_by": owner, "asked": ASKED, "world": world(), **more}
    return resolve(asked.pop("world"), KINDS, parse(user_options), owner=owner, **asked)


def refusal(owner: str, profile_name: str, options: dict[str, Any] | None = None, **more: Any) -> Refusal:
    try:
        workload = launch(owner, profile_name, options, **more)
    except Refusal as refused:
        return refused
    raise AssertionError(f"not refused: {workload}")


def fields(refused: Refusal) -> list[str]:
    return [violation.field for violation in refused.violations]
