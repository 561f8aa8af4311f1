"""What a person with a token, a notebook or a shell on this machine might try against others; none of it may work."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import httpx
import psutil
import pytest

from spawners.local.identity import ProcessRef, with_environment
from tests.embedded.harness import Hub, until

NOTEBOOK: dict[str, Any] = {"tenant": "physics", "profile": "notebook", "options": {}}
YEARLY = {"start_urls": ["http://127.0.0.1:9/"], "remote": "data", "cron": "0 0 1 1 *"}


def call(hub: Hub, token: str, method: str, path: str, body: Any = None) -> httpx.Response:
    headers = {"Authorization": f"token {token}"}
    return httpx.request(method, hub.url + path, headers=headers, json=body, timeout=90, trust_env=False)


def processes(hub: Hub, owner: str, name: str) -> list[ProcessRef]:
    """What runs for a workload, whatever any record says."""
    return with_environment("TENANTHUB_WORKLOAD_FOLDER", str(hub.folder(owner, name)))


@contextmanager
def signed_in(
    hub: Hub, user: str, password: str = "", next_url: str = "/services/portal/"
) -> Iterator[tuple[httpx.Client, httpx.Response]]:
    """A browser's way, the page and then the form: the browser, and the page that it was led to."""
    with httpx.Client(base_url=hub.url, follow_redirects=True, timeout=30, trust_env=False) as browser:
        browser.get("/hub/login", params={"next": next_url})
        xsrf = next(cookie.value for cookie in browser.cookies.jar if cookie.name == "_xsrf")
        form = {"username": user, "password": password or hub.account_password(user), "_xsrf": xsrf or ""}
        yield browser, browser.post("/hub/login", params={"next": next_url}, data=form)


@pytest.fixture(scope="module")
def lab(hub: Hub) -> Iterator[str]:
    """A running notebook of physics-member, and the token that is inside it."""
    assert hub.launch("physics-member", "physics-member", "target", "notebook", {}).status_code == 201
    pid = hub.record("physics-member", "target")["process"]["pid"]
    yield psutil.Process(pid).environ()["JUPYTERHUB_API_TOKEN"]
    hub.api("physics-member", "DELETE", "/users/physics-member/servers/target")


NOT_THEIRS: list[tuple[str, str, Any]] = [
    ("GET", "/users/tenant-physics", None),
    ("GET", "/users/physics-admin", None),
    ("POST", "/users/tenant-physics/servers/theirs", {"user_options": NOTEBOOK}),
    ("POST", "/users/physics-admin/servers/theirs", {"user_options": NOTEBOOK}),
    ("PUT", "/users/physics-admin/servers/theirs", {"user_options": NOTEBOOK}),
    ("PATCH", "/users/physics-admin/servers/theirs", {"display_name": "mine"}),
    ("DELETE", "/users/physics-admin/servers/theirs", {"remove": True}),
    ("GET", "/users/physics-admin/servers/theirs/progress", None),
    ("POST", "/users/physics-admin/tokens", {"note": "stolen"}),
    ("POST", "/users/tenant-physics/tokens", {"note": "stolen"}),
    ("GET", "/users/tenant-physics/tokens", None),
    ("POST", "/users/physics-admin/activity", {}),
    ("GET", "/groups", None),
    ("GET", "/groups/tenanthub:physics", None),
    ("POST", "/groups/tenanthub:physics:admin/users", {"users": ["history-member", "physics-member"]}),
    ("POST", "/groups/tenanthub:mine", None),
    ("DELETE", "/groups/tenanthub:physics", None),
    ("POST", "/users/somebody-new", None),
    ("POST", "/users/tenant-mine", None),
    ("DELETE", "/users/physics-admin", None),
    ("GET", "/proxy", None),
    ("PATCH", "/proxy", {"ip": "127.0.0.1"}),
    ("POST", "/shutdown", {}),
    ("GET", "/services/cli", None),
    ("POST", "/services/mine", {"url": "http://127.0.0.1:1"}),
]


@pytest.mark.parametrize(("method", "path", "body"), NOT_THEIRS)
@pytest.mark.parametrize("user", ["history-member", "notebook"])
def test_what_is_not_theirs_is_out_of_reach(hub: Hub, lab: str, user: str, method: str, path: str, body: Any) -> None:
    """The admin of another tenant, and the token that each notebook holds."""
    token = lab if user == "notebook" else hub.token(user)
    answer = call(hub, token, method, f"/hub/api{path}", body)
    assert answer.status_code in (403, 404), answer.text


TENANTS_OWN = [(method, path, body) for method, path, body in NOT_THEIRS if "/tenant-physics" not in path]
TENANTS_OWN += [row for row in NOT_THEIRS if row[1] == "/users/tenant-physics/tokens"]


@pytest.mark.parametrize(("method", "path", "body"), TENANTS_OWN)
def test_a_member_gets_no_more_than_the_tenants_servers(hub: Hub, method: str, path: str, body: Any) -> None:
    answer = hub.api("physics-member", method, path, body)
    assert answer.status_code in (403, 404), answer.text


def test_nobody_makes_themselves_an_admin_or_somebody_else(hub: Hub) -> None:
    for change in ({"admin": True}, {"name": "physics-admin"}, {"name": "tenant-physics"}):
        assert hub.api("physics-member", "PATCH", "/users/physics-member", change).status_code == 403
    more = {"scopes": ["admin:users", "servers", "inherit"]}
    token = hub.api("physics-member", "POST", "/users/physics-member/tokens", more)
    assert token.status_code in (400, 403) or not any("admin" in s for s in token.json()["scopes"]), token.text
    listed = {user["name"] for user in hub.api("history-member", "GET", "/users").json()}
    assert listed <= {"history-member", "tenant-history"}


def test_no_server_is_shared_beyond_its_tenant(hub: Hub, lab: str) -> None:
    for owner, name in (("physics-member", "target"), ("tenant-physics", "camera")):
        for body in ({"user": "history-member"}, {"group": "tenanthub:history"}):
            for token in (hub.token("physics-member"), lab):
                assert call(hub, token, "POST", f"/hub/api/shares/{owner}/{name}", body).status_code in (403, 404)
                code = call(hub, token, "POST", f"/hub/api/share-codes/{owner}/{name}", {})
                assert code.status_code in (403, 404)
    assert hub.api("history-member", "GET", "/users/history-member/shared").json()["items"] == []


def test_a_notebooks_token_is_no_key_to_the_portal(hub: Hub, lab: str) -> None:
    assert call(hub, lab, "GET", "/services/portal/api/v1/tenants").status_code == 403
    assert call(hub, lab, "GET", "/user/physics-member/target/api/status").status_code == 200


def test_the_portals_token_makes_no_tokens_and_opens_no_servers(hub: Hub) -> None:
    with signed_in(hub, "history-member") as (browser, first):
        assert (first.status_code, first.url.path) == (200, "/services/portal/"), first.text
        tokens = hub.api("history-member", "GET", "/users/history-member/tokens").json()["api_tokens"]
        held = {scope.partition("!")[0] for t in tokens if "portal" in t["oauth_client"] for scope in t["scopes"]}
        assert "start:servers" in held
        assert not {"tokens", "access:servers", "users:activity", "list:users"} & held, held
        page = browser.get("/services/portal/").text
        assert "History" in page
        assert "physics" not in page.lower()


HOSTILE: list[Any] = [
    {**NOTEBOOK, "options": {"size": "small\0"}},
    {**NOTEBOOK, "options": {"size": "\ud800"}},
    {**NOTEBOOK, "options": {"size": {"$ne": None}}},
    {**NOTEBOOK, "options": {"__proto__": {"size": "big"}, "constructor": 1}},
    {**NOTEBOOK, "options": {"x" * 100_000: 1}},
    {**NOTEBOOK, "options": [["size", "small"]]},
    {**NOTEBOOK, "tenant": "../history"},
    {**NOTEBOOK, "tenant": "physics\n"},
    {**NOTEBOOK, "tenant": "ｐhysics"},
    {**NOTEBOOK, "profile": "notebook\0"},
    {**NOTEBOOK, "profile": "__class__"},
    {**NOTEBOOK, "cmd": ["sh"], "environment": {"PATH": "/tmp"}, "notebook_dir": "/"},
    {"__proto__": NOTEBOOK},
    {},
]


@pytest.mark.parametrize("options", HOSTILE)
def test_hostile_options_are_refused_in_words(hub: Hub, options: Any) -> None:
    body = {"user_options": options}
    raw = json.dumps(body)
    for method in ("POST", "PUT"):
        answer = httpx.request(
            method,
            f"{hub.url}/hub/api/users/both-member/servers/hostile",
            headers={"Authorization": f"token {hub.token('both-member')}"},
            content=raw,
            timeout=60,
            trust_env=False,
        )
        assert answer.status_code in ((201, 409) if method == "PUT" else (400, 403)), answer.text
        assert len(answer.text) < 5000 or method == "PUT", "an answer is for people"
    assert hub.api("both-member", "POST", "/users/both-member/servers/hostile").status_code in (400, 403)
    assert hub.api("both-member", "DELETE", "/users/both-member/servers/hostile", {"remove": True}).status_code == 204
    assert processes(hub, "both-member", "hostile") == []


@pytest.mark.parametrize(
    "raw",
    [
        '{"user_options": ' + "[" * 5000 + "]" * 5000 + "}",
        '{"user_options": {"tenant": "physics", "options": ' + '{"a":' * 900 + "1" + "}" * 900 + "}}",
        '{"user_options": {"tenant": "' + "x" * 300_000 + '"}}',
        "[1, 2]",
        '"notebook"',
        '{"display_name": 5, "user_options": {}}',
        '{"display_name": "a\\u0000b", "user_options": {}}',
        '{"user_options": {"tenant": NaN, "profile": Infinity}}',
        "{",
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_hostile_body_never_fails_the_hub(hub: Hub, method: str, raw: str) -> None:
    answer = httpx.request(
        method,
        f"{hub.url}/hub/api/users/both-member/servers/bodies",
        headers={"Authorization": f"token {hub.token('both-member')}"},
        content=raw,
        timeout=60,
        trust_env=False,
    )
    assert answer.status_code < 500, answer.text
    assert hub.server("both-member", "both-member", "bodies") is None


@pytest.mark.parametrize("change", [{"cmd": "sh"}, {"name": 5}, {"display_name": 5}, {"user_options": "x"}, {}, [1]])
def test_a_patch_that_means_nothing_is_refused_clearly(hub: Hub, change: Any) -> None:
    hub.api("both-member", "PUT", "/users/both-member/servers/patched", {"user_options": NOTEBOOK})
    answer = hub.api("both-member", "PATCH", "/users/both-member/servers/patched", change)
    assert answer.status_code == 400, answer.text
    hub.api("both-member", "DELETE", "/users/both-member/servers/patched", {"remove": True})


@pytest.mark.parametrize("name", ["a" * 31, "-a", "a--b", "A", "..", "%2e%2e", "a%2fb", "a%00", "ａ", "1a", "a_b", "*"])
def test_names_that_are_none_are_refused(hub: Hub, name: str) -> None:
    answer = hub.api("both-member", "POST", f"/users/both-member/servers/{name}", {"user_options": NOTEBOOK})
    assert answer.status_code in (400, 403, 404, 405), answer.text
    assert hub.server("both-member", "both-member", name) is None


def test_there_is_no_default_server(hub: Hub) -> None:
    answer = hub.api("both-member", "POST", "/users/both-member/server", {"user_options": NOTEBOOK})
    assert answer.status_code == 400, answer.text
    assert "start a named server" in answer.json()["message"]


def test_a_display_name_is_text_and_no_html(hub: Hub) -> None:
    evil = "<img src=x onerror=alert(1)>"
    body = {"display_name": evil, "user_options": {"tenant": "physics", "profile": "crawl", "options": YEARLY}}
    answer = hub.api("physics-member", "POST", "/users/tenant-physics/servers/evil-name", body)
    assert answer.status_code in (201, 400), answer.text
    with signed_in(hub, "physics-admin") as (browser, _):
        for page in ("/services/portal/", "/user/tenant-physics/evil-name/", "/hub/home", "/hub/token"):
            assert evil not in browser.get(page).text, page
    hub.api("physics-member", "DELETE", "/users/tenant-physics/servers/evil-name")


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example/", "/\\evil.example/", "http:evil.example", "///evil.example"]
)
def test_after_sign_in_nobody_is_sent_elsewhere(hub: Hub, target: str) -> None:
    with signed_in(hub, "history-member", next_url=target) as (browser, last):
        visited = [*last.history, last]
        assert {answer.url.host for answer in visited} == {"127.0.0.1"}
        sent_to = browser.get("/services/portal//evil.example/", follow_redirects=False).headers.get("location", "/")
        assert re.match(r"/(?![/\\])|http://127\.0\.0\.1:", sent_to), sent_to


def test_the_inner_ports_want_their_tokens(hub: Hub) -> None:
    ports = json.loads((hub.state / "ports.json").read_text())
    inner = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}

    def ask(url: str, method: str = "GET", **headers: str) -> int:
        body = {"target": "http://127.0.0.1:1"} if method == "POST" else None
        return httpx.request(method, url, headers=headers, json=body, trust_env=False, timeout=30).status_code

    assert ask(f"{inner['proxy_api']}/api/routes") == 403
    assert ask(f"{inner['proxy_api']}/api/routes", Authorization="token x") == 403
    assert ask(f"{inner['proxy_api']}/api/routes/user/x", "POST") == 403
    assert ask(f"{inner['hub']}/hub/api/users") == 403
    assert ask(f"{inner['hub']}/hub/metrics") in (302, 403)
    spoofed = {"X-Forwarded-User": "physics-admin", "Remote-User": "physics-admin", "X-Forwarded-For": "127.0.0.1"}
    assert ask(f"{inner['portal']}/services/portal/api/v1/tenants", **spoofed) == 401
    assert ask(f"{inner['objectstore']}/physics-data/") == 403
    assert ask(f"{inner['objectstore']}/physics-data/", Authorization="AWS physics:x") == 403


def test_another_tenants_page_is_not_found_by_its_server_url(hub: Hub) -> None:
    assert hub.launch("physics-admin", "tenant-physics", "hidden", "crawl", YEARLY).status_code == 201
    with signed_in(hub, "history-member") as (browser, _):
        for page in (
            "/user/tenant-physics/hidden/",
            "/services/portal/tenants/physics/workloads/tenant-physics/hidden",
        ):
            answer = browser.get(page)
            assert answer.status_code in (403, 404), page
            assert "http://127.0.0.1:9/" not in answer.text
    hub.api("physics-admin", "DELETE", "/users/tenant-physics/servers/hidden")


def test_twenty_starts_of_one_server_are_one(hub: Hub) -> None:
    hub.token("physics-member")
    with ThreadPoolExecutor(20) as pool:
        starts = [
            pool.submit(hub.launch, "physics-member", "physics-member", "once", "notebook", {}) for _ in range(20)
        ]
        codes = [start.result().status_code for start in starts]
    assert set(codes) <= {201, 202, 400}, codes
    assert 201 in codes
    assert len(processes(hub, "physics-member", "once")) == 1
    hub.api("physics-member", "DELETE", "/users/physics-member/servers/once")
    until("it is stopped", lambda: processes(hub, "physics-member", "once") == [])


def begun(hub: Hub, start: Future[httpx.Response]) -> bool:
    """It is under way, or the answer is there already."""
    return hub.folder("physics-member", "hasty").exists() or start.done()


def test_a_stop_during_a_start_and_a_start_during_a_stop_leave_nothing_behind(hub: Hub) -> None:
    path = "/users/physics-member/servers/hasty"
    hub.token("physics-member")
    with ThreadPoolExecutor(2) as pool:
        for _ in range(3):
            start = pool.submit(hub.launch, "physics-member", "physics-member", "hasty", "notebook", {})
            until("it has begun", partial(begun, hub, start))
            assert hub.api("physics-member", "DELETE", path).status_code < 500
            assert start.result().status_code < 500, start.result().text
            stop = pool.submit(hub.api, "physics-member", "DELETE", path)
            assert hub.launch("physics-member", "physics-member", "hasty", "notebook", {}).status_code < 500
            stop.result()
    until("the last stop is accepted", lambda: hub.api("physics-member", "DELETE", path).status_code in (202, 204))
    until("nothing runs", lambda: processes(hub, "physics-member", "hasty") == [])
    until("its record says so", lambda: hub.record("physics-member", "hasty")["wanted"] == "stopped")


def over(hub: Hub, name: str) -> bool:
    return hub.server("physics-member", "tenant-physics", name) is None


def test_a_planted_link_leads_no_transfer_out_of_the_shared_folder(hub: Hub) -> None:
    shared = hub.state / "shared" / "physics"
    shared.mkdir(parents=True, exist_ok=True)
    (shared / "leak").symlink_to(hub.state / "secrets")
    (shared / "file").symlink_to(hub.state / "passwords.txt")
    for name, source in (("leak-folder", "shared:leak"), ("leak-all", "shared:")):
        options = {"source": source, "destination": f"data:{name}"}
        assert hub.launch("physics-member", "tenant-physics", name, "transfer", options).status_code == 201
        until("it is over", partial(over, hub, name))
        stolen = [path.name for path in (hub.objects() / name).rglob("*") if path.is_file()]
        assert not any(word in file for file in stolen for word in ("json", "passwords", "file")), stolen
    (shared / "leak").unlink()
    (shared / "file").unlink()


def test_no_password_is_in_any_log(hub: Hub) -> None:
    password = hub.account_password("history-member")
    with signed_in(hub, "history-member", password), signed_in(hub, "history-member", "my-other-secret-0815") as wrong:
        assert wrong[1].url.path == "/hub/login"
    text = hub.output.read_text() + "".join(path.read_text() for path in hub.state.glob("logs/*.log"))
    assert password not in text
    assert "my-other-secret-0815" not in text
    assert hub.token("history-member") not in text
