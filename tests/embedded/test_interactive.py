"""Notebook and own app by REST: launched, used through the proxy, culled by rule, stopped."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from tornado.httpclient import HTTPRequest
from tornado.ioloop import IOLoop
from tornado.websocket import websocket_connect

from tests.embedded.harness import Hub, until


def run_cell(url: str, token: str, code: str) -> str:
    """Run *code* in a new kernel of the notebook server at *url*, over the websocket that JupyterLab uses."""
    headers = {"Authorization": f"token {token}"}
    kernel = httpx.post(f"{url}/api/kernels", headers=headers, json={}, timeout=60, trust_env=False).json()["id"]
    header = {
        "msg_id": "1", "msg_type": "execute_request", "username": "", "session": "1", "version": "5.3",
        "date": datetime.now(UTC).isoformat(),
    }  # fmt: skip
    content = {"code": code, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False}
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}

    async def talk() -> str:
        request = HTTPRequest(url.replace("http", "ws", 1) + f"/api/kernels/{kernel}/channels", headers=headers)
        socket = await websocket_connect(request)
        await socket.write_message(json.dumps(message))
        text = ""
        while True:
            answer = json.loads(await socket.read_message())
            if answer["parent_header"].get("msg_id") != "1":
                continue
            if answer["msg_type"] == "stream":
                text += answer["content"]["text"]
            if answer["msg_type"] == "status" and answer["content"]["execution_state"] == "idle":
                socket.close()
                return text

    found: str = IOLoop().run_sync(talk, timeout=60)
    return found


def get(hub: Hub, user: str, path: str) -> httpx.Response:
    headers = {"Authorization": f"token {hub.token(user)}"}
    return httpx.get(hub.url + path, headers=headers, timeout=30, trust_env=False, follow_redirects=False)


def test_a_cell_runs_and_files_survive_a_stop(hub: Hub) -> None:
    assert hub.launch("physics-member", "physics-member", "lab", "notebook", {"size": "medium"}).status_code == 201
    url = f"{hub.url}/user/physics-member/lab"
    code = (
        "open('kept.txt','w').write('kept'); import os; print(6*7, sorted(k for k in os.environ if 'TENANTHUB' in k))"
    )
    assert run_cell(url, hub.token("physics-member"), code).startswith("42")
    assert hub.api("physics-member", "DELETE", "/users/physics-member/servers/lab").status_code in (202, 204)
    until("it is stopped", lambda: hub.record("physics-member", "lab")["phase"] == "stopped")
    assert hub.launch("physics-member", "physics-member", "lab", "notebook", {}).status_code == 201
    assert run_cell(url, hub.token("physics-member"), "print(open('kept.txt').read())").strip() == "kept"
    hub.api("physics-member", "DELETE", "/users/physics-member/servers/lab")


def test_a_notebook_is_its_owners_alone(hub: Hub) -> None:
    assert hub.launch("physics-member", "physics-member", "mine", "notebook", {}).status_code == 201
    assert get(hub, "physics-member", "/user/physics-member/mine/api/status").status_code == 200
    for other in ("physics-admin", "history-member", "both-member"):
        assert get(hub, other, "/user/physics-member/mine/api/status").status_code in (302, 403), other
    hub.api("physics-member", "DELETE", "/users/physics-member/servers/mine")


@pytest.mark.parametrize("owner", ["physics-member", "tenant-physics"])
def test_an_own_app_is_behind_the_sign_in_and_shared_when_the_tenant_owns_it(hub: Hub, owner: str) -> None:
    (hub.state / "homes" / "physics" / owner).mkdir(parents=True, exist_ok=True)
    (hub.state / "homes" / "physics" / owner / "index.html").write_text("my own page")
    command = f"{sys.executable} -m http.server --bind 127.0.0.1 {{port}}"
    answer = hub.launch("physics-member", owner, "page", "own-app", {"command": command})
    assert answer.status_code == 201, answer.text
    path = f"/user/{owner}/page/"
    assert "my own page" in get(hub, "physics-member", path).text
    assert get(hub, "physics-admin", path).status_code == (200 if owner == "tenant-physics" else 403)
    assert get(hub, "history-member", path).status_code == 403
    nobody = httpx.get(hub.url + path, trust_env=False)
    assert nobody.status_code == 302
    assert "my own page" not in nobody.text
    hub.api("physics-member", "DELETE", f"/users/{owner}/servers/page")


def test_an_app_that_ends_at_once_tells_why_and_stays_listed(hub: Hub) -> None:
    command = f"{sys.executable} -c \"raise SystemExit('no data in {{port}}')\""
    answer = hub.launch("physics-member", "physics-member", "broken", "own-app", {"command": command})
    assert answer.status_code == 409, answer.text
    assert "no data in" in answer.json()["message"]
    seen = hub.portal("physics-member", "GET", "/tenants/physics/workloads/physics-member/broken").json()
    assert seen["state"] == "failed"
    assert "no data in" in seen["message"]


def test_the_idle_rule_of_the_profile_stops_a_quiet_notebook_and_no_busy_or_unattended_one(hubs: Any) -> None:
    """Its own hub, with a rule of a minute: the shortest there is. The busy one runs a silent kernel all the while."""
    hub = hubs()
    profile = hub.world / "profiles" / "notebook.yaml"
    profile.write_text(profile.read_text().replace("stop_after_s: 3600", "stop_after_s: 60"))
    hub.start()
    for name in ("quiet", "busy"):
        assert hub.launch("physics-member", "physics-member", name, "notebook", {}).status_code == 201
    schedule = {"start_urls": ["http://127.0.0.1:9/"], "remote": "data", "cron": "0 0 1 1 *"}
    assert hub.launch("physics-member", "tenant-physics", "yearly", "crawl", schedule).status_code == 201
    url = f"{hub.url}/user/physics-member/busy"
    headers = {"Authorization": f"token {hub.token('physics-member')}"}
    terminal = httpx.post(f"{url}/api/terminals", headers=headers, json={}, timeout=60, trust_env=False).json()["name"]

    async def type_command() -> None:
        request = HTTPRequest(url.replace("http", "ws", 1) + f"/terminals/websocket/{terminal}", headers=headers)
        socket = await websocket_connect(request)
        await socket.write_message(json.dumps(["stdin", "sleep 600\r"]))
        await socket.read_message()
        socket.close()

    IOLoop().run_sync(type_command, timeout=30)
    until("the quiet one is stopped", lambda: hub.server("physics-member", "physics-member", "quiet") is None, 240)
    assert hub.server("physics-member", "physics-member", "busy"), "a command in a terminal is activity"
    assert hub.server("physics-member", "tenant-physics", "yearly"), "what the tenant owns is never culled"
    hub.stop()
