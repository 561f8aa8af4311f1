"""Who is let in, by which way, and what another page cannot make a browser do."""

from __future__ import annotations

import stat
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from hub.portal.hub_client import HubUser
from hub.portal.sealing import Sealer, load_key
from tests.unit.hub.portal.parts import NAVIGATE, PREFIX, Bench, bench, scopes_of, seen


def begin(portal: Bench, path: str = "") -> str:
    answer = portal.get(path)
    assert answer.status_code == 302
    return parse_qs(urlsplit(answer.headers["location"]).query)["state"][0]


def test_a_stranger_is_sent_to_the_hub_and_comes_back_to_the_page(portal: Bench) -> None:
    portal.hub.users["token-c1"] = HubUser("physics-member", scopes_of("physics-member", "physics"))
    state = begin(portal, "new/physics/crawl?from=a/b")
    back = portal.get(f"oauth_callback?code=c1&state={state}")
    assert (back.status_code, back.headers["location"]) == (303, f"{PREFIX}new/physics/crawl?from=a/b")
    cookie = next(c for c in back.headers.get_list("set-cookie") if c.startswith("service-portal="))
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert f"Path={PREFIX}" in cookie
    assert "token-c1" not in cookie
    assert portal.get("").status_code == 200


def test_the_cookie_is_secure_behind_https(portal: Bench) -> None:
    answer = portal.get("", headers={"x-forwarded-proto": "https,http"})
    assert "Secure" in answer.headers["set-cookie"]


@pytest.mark.parametrize("query", ["code=c1", "code=c1&state=made-up", "state=x", "error=access_denied"])
def test_a_callback_that_nobody_began_signs_nobody_in(portal: Bench, query: str) -> None:
    portal.hub.users["token-c1"] = HubUser("physics-member", scopes_of("physics-member"))
    begin(portal)
    answer = portal.get(f"oauth_callback?{query}")
    assert answer.status_code == 403
    assert "Open the portal again" in answer.text
    assert not portal.hub.codes


def test_the_way_back_cannot_lead_elsewhere(portal: Bench) -> None:
    portal.hub.users["token-c1"] = HubUser("physics-member", scopes_of("physics-member"))
    state = begin(portal, "?next=https://evil.test/")
    location = portal.get(f"oauth_callback?code=c1&state={state}").headers["location"]
    assert location == f"{PREFIX}?next=https://evil.test/"


def test_a_token_that_the_hub_no_longer_knows_signs_in_again(portal: Bench) -> None:
    portal.sign_in()
    portal.hub.users.clear()
    assert portal.get("").status_code == 302


def test_a_made_up_cookie_is_nobody(portal: Bench) -> None:
    portal.client.cookies.set("service-portal", "token-physics-member")
    assert portal.get("").status_code == 302


def test_without_the_access_scope_nobody_is_let_in(portal: Bench) -> None:
    portal.sign_in()
    portal.hub.users["token-physics-member"] = HubUser("physics-member", frozenset(["servers!user=physics-member"]))
    assert portal.get("").status_code == 403


def test_a_service_is_not_a_person(portal: Bench) -> None:
    portal.sign_in()
    portal.hub.users["token-physics-member"] = HubUser("x", scopes_of("x"), kind="service")
    assert portal.get("").status_code == 403


def test_a_post_without_the_token_of_this_session_does_nothing(portal: Bench) -> None:
    csrf = portal.sign_in()
    portal.runtime.add(seen())
    other = portal.sign_in("both-member")
    portal.sign_in()
    path = "w/physics/tenant-physics/camera/stop"
    for data in ({}, {"_csrf": "x"}, {"_csrf": other}):
        assert portal.post(path, data).status_code == 403
    assert not portal.hub.stopped
    assert portal.post(path, {"_csrf": csrf}).status_code == 303
    assert portal.hub.stopped == [("token-physics-member", "tenant-physics", "camera")]


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site_cannot_post_even_with_the_token(portal: Bench, site: str) -> None:
    csrf = portal.sign_in()
    portal.runtime.add(seen())
    answer = portal.post("w/physics/tenant-physics/camera/stop", {"_csrf": csrf}, headers={"sec-fetch-site": site})
    assert answer.status_code == 403
    assert not portal.hub.stopped


def test_a_script_of_another_page_cannot_read_ours(portal: Bench) -> None:
    """Servers of other people live on the same origin: their scripts may fetch, but not with our CSRF token."""
    csrf = portal.sign_in()
    fetched = {"sec-fetch-mode": "cors", "sec-fetch-site": "same-origin"}
    assert portal.get("", headers=fetched).status_code == 403
    assert portal.get("api/v1/tenants", headers=fetched).status_code == 403
    assert portal.get("api/v1/tenants", headers={**fetched, "X-CSRF-Token": csrf}).status_code == 200


def test_a_live_part_of_a_lost_session_reloads_its_page(portal: Bench) -> None:
    answer = portal.get("live", headers={"HX-Request": "true", "sec-fetch-mode": "cors"})
    assert (answer.status_code, answer.headers["HX-Refresh"]) == (401, "true")


def test_signing_out_forgets_the_session_and_goes_to_the_hub(portal: Bench) -> None:
    portal.sign_in()
    answer = portal.get("sign-out")
    assert answer.headers["location"] == "/hub/logout"
    assert 'service-portal=""' in answer.headers["set-cookie"]


def test_every_answer_carries_the_security_headers(portal: Bench) -> None:
    portal.sign_in()
    for path in ("", "nowhere", "api/v1/tenants", "static/portal.css", "health"):
        headers = portal.get(path).headers
        policy = headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-content-type-options"] == "nosniff"
    assert portal.get("").headers["cache-control"] == "no-store"
    assert "immutable" in portal.get("static/portal.css?v=1").headers["cache-control"]


def test_pages_hold_no_inline_script_or_style(portal: Bench) -> None:
    portal.sign_in()
    portal.runtime.add(seen())
    for path in ("", "new/physics/crawl", "w/physics/tenant-physics/camera", "api/"):
        html = portal.get(path).text
        assert " style=" not in html
        assert " onclick=" not in html
        assert html.count("<script") == html.count("<script src=")


def test_a_huge_body_is_not_read(portal: Bench) -> None:
    answer = portal.post("new/physics/crawl", {"_csrf": "x" * (1 << 20)})
    assert answer.status_code == 413


def test_the_key_is_private_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "portal" / "cookie.key"
    key = load_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_key(path) == key
    path.write_bytes(b"short")
    with pytest.raises(OSError, match="damaged"):
        load_key(path)


def test_a_seal_is_taken_only_from_us_and_only_for_a_while() -> None:
    sealer, other = Sealer(b"a" * 32), Sealer(b"b" * 32)
    sealed = sealer.seal({"token": "t"})
    assert sealer.unseal(sealed, 60) == {"token": "t"}
    assert other.unseal(sealed, 60) is None
    assert sealer.unseal(sealed, -1) is None
    assert sealer.unseal("nonsense", 60) is None
    assert sealer.csrf("t") != other.csrf("t")
    assert not sealer.csrf_ok("t", "é")


def test_a_restart_signs_nobody_out(tmp_path: Path) -> None:
    with bench(tmp_path) as first:
        first.sign_in()
        cookie = first.client.cookies["service-portal"]
    with bench(tmp_path) as second:
        second.hub.users = first.hub.users
        second.client.cookies.set("service-portal", cookie)
        assert second.client.get(PREFIX, headers=NAVIGATE).status_code == 200
