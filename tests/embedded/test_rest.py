"""JupyterHub's own REST API gives what the form gives, with the same refusals, and never a 500."""

from __future__ import annotations

from typing import Any

import pytest

from tests.embedded.harness import Hub

COPY = {"source": "shared:nothing", "destination": "data:copies"}


@pytest.mark.parametrize(
    ("user", "owner", "body", "status", "words"),
    [
        ("physics-member", "physics-member", {"tenant": "history", "profile": "notebook"}, 403, "does not belong"),
        ("history-member", "history-member", {"tenant": "history", "profile": "instrument-upload"}, 403, "it may use"),
        ("physics-member", "physics-member", {"tenant": "physics", "profile": "crawl"}, 403, "tenant-physics"),
        (
            "physics-member",
            "physics-member",
            {"tenant": "physics", "profile": "notebook", "options": {"size": "huge"}},
            400,
            "choose one of",
        ),
        (
            "physics-member",
            "physics-member",
            {"tenant": "physics", "profile": "notebook", "options": {"cmd": "sh"}},
            400,
            "unknown option",
        ),
        ("physics-member", "physics-member", {"image": "evil"}, 400, "unknown key"),
        ("physics-member", "physics-member", {"tenant": ["physics"], "profile": {}}, 400, "must be a name"),
        (
            "physics-member",
            "tenant-physics",
            {"tenant": "physics", "profile": "crawl", "options": {"start_urls": [], "cron": "x", "remote": "y"}},
            400,
            "cron",
        ),
    ],
)
def test_refusals_have_a_reason_and_a_status(
    hub: Hub, user: str, owner: str, body: dict[str, Any], status: int, words: str
) -> None:
    answer = hub.api(user, "POST", f"/users/{owner}/servers/refused", {"user_options": body})
    assert (answer.status_code, words in answer.json()["message"]) == (status, True), answer.text
    assert hub.server(user, owner, "refused") is None


@pytest.mark.parametrize("body", [{}, {"user_options": None}, {"user_options": "notebook"}, {"user_options": [1]}])
def test_a_body_of_another_shape_is_refused_clearly(hub: Hub, body: dict[str, Any]) -> None:
    answer = hub.api("physics-member", "POST", "/users/physics-member/servers/odd", body)
    assert answer.status_code == 400, answer.text


def test_another_tenants_servers_are_out_of_reach(hub: Hub) -> None:
    body = {"user_options": {"tenant": "physics", "profile": "transfer", "options": COPY}}
    for method in ("POST", "DELETE"):
        answer = hub.api("history-member", method, "/users/tenant-physics/servers/theirs", body)
        assert answer.status_code in (403, 404)
    assert hub.api("history-member", "GET", "/users/tenant-physics").status_code == 404


def test_nobody_signs_in_as_the_tenants_account(hub: Hub) -> None:
    assert "tenant-" not in (hub.state / "passwords.txt").read_text()


def test_an_overrun_of_the_quota_is_refused_before_anything_starts(hub: Hub) -> None:
    """In the tenant that no other test starts anything unattended in."""
    # A broken world in between is kept out.
    hub.edit_tenant("history", lambda text: text.replace("workloads: 10", "workloads: 0x"))
    hub.edit_tenant("history", lambda text: text.replace("workloads: 0x", "workloads: 1"))
    schedule = {"start_urls": ["http://127.0.0.1:9/"], "remote": "data", "cron": "0 0 1 1 *"}
    try:
        first = hub.launch("history-member", "tenant-history", "first", "crawl", schedule, "history")
        assert first.status_code == 201, first.text
        refused = hub.launch("history-member", "tenant-history", "second", "crawl", schedule, "history")
        assert refused.status_code == 409, refused.text
        assert "runs 1 of 1 workloads" in refused.json()["message"]
        assert not hub.folder("tenant-history", "second", "history").exists()
    finally:
        hub.edit_tenant("history", lambda text: text.replace("workloads: 1", "workloads: 10"))
        hub.api("history-member", "DELETE", "/users/tenant-history/servers/first")


def test_a_secret_is_in_no_option_log_or_database(hub: Hub) -> None:
    upload = {"remote": "data", "folder": "secretive"}
    assert hub.launch("physics-admin", "tenant-physics", "secretive", "instrument-upload", upload).status_code == 201
    password = hub.password("tenant-physics", "secretive").encode()
    secret = hub.state / "secrets" / "objectstore-physics.json"
    key = secret.read_text().split('"secret_access_key": "')[1].split('"')[0].encode()
    hub.api("physics-admin", "DELETE", "/users/tenant-physics/servers/secretive")
    exposed = [
        str(path.relative_to(hub.state))
        for path in hub.state.rglob("*")
        if path.is_file() and not path.is_symlink() and "secrets" not in path.relative_to(hub.state).parts
        if password in path.read_bytes() or key in path.read_bytes()
    ]
    assert exposed == []
    open_to_others = [
        str(p) for p in hub.state.rglob("*") if not p.is_symlink() and p.stat().st_mode & 0o077 and p.is_file()
    ]
    assert [p for p in open_to_others if "/secrets/" in p or p.endswith("passwords.txt")] == []
