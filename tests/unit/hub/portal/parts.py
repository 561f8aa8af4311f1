"""A portal on parts that remember what they were asked: a hub, a runtime, a world."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from config.models import World
from hub.portal.app import create_app, portal_in
from hub.portal.hub_client import HubDown, HubRefused, HubUser
from hub.portal.settings import Settings
from spawners.plan import Tools
from spawners.resolve import resolve_options
from spawners.runtime import RunSeen, Seen, State
from spawners.workload import Workload
from tests.unit.spawners.worlds import ASKED, KINDS, world

TOOLS = Tools(python=Path("/usr/bin/python3"), rclone=Path("/usr/bin/rclone"))
PREFIX = "/services/portal/"
NAVIGATE = {"sec-fetch-mode": "navigate", "sec-fetch-site": "none"}
ACCESS = "access:services!service=portal"


def scopes_of(name: str, *tenants: str) -> frozenset[str]:
    """What the hub's roles give a member: oneself and the accounts of one's tenants."""
    owners = [name, *(f"tenant-{tenant}" for tenant in tenants)]
    scopes = [f"{scope}!user={owner}" for owner in owners for scope in ("servers", "start:servers", "delete:servers")]
    return frozenset([ACCESS, *scopes])


@dataclass
class FakeHub:
    """Accounts by token. *refuse* or *down* make every act fail so."""

    users: dict[str, HubUser] = field(default_factory=dict)
    started: list[tuple[str, str, str, str, dict[str, Any]]] = field(default_factory=list)
    stopped: list[tuple[str, str, str]] = field(default_factory=list)
    asked: int = 0
    refuse: HubRefused | None = None
    down: bool = False
    events: list[dict[str, Any]] = field(default_factory=list)
    runtime: FakeRuntime | None = None
    lost: list[tuple[str, str]] = field(default_factory=list)
    decided: list[tuple[str, str, str, str]] = field(default_factory=list)
    codes: dict[str, tuple[str, str]] = field(default_factory=dict)

    def authorize_url(self, state: str, challenge: str) -> str:
        return f"/hub/api/oauth2/authorize?state={state}&code_challenge={challenge}"

    async def exchange(self, code: str, verifier: str) -> str:
        self._fail()
        self.codes[code] = (code, verifier)
        return f"token-{code}"

    async def user(self, token: str) -> HubUser | None:
        self.asked += 1
        if self.down:
            raise HubDown("down")
        return self.users.get(token)

    async def start(self, token: str, owner: str, name: str, display_name: str, user_options: dict[str, Any]) -> bool:
        self._fail()
        self.started.append((token, owner, name, display_name, user_options))
        if self.runtime:
            profile = user_options["profile"]
            here = world()
            found, group = here.profiles[profile], here.tenants[user_options["tenant"]]
            options = resolve_options(KINDS[found.kind], found, group, here, user_options["options"])
            self.runtime.add(seen(owner=owner, name=name, profile=profile, options={**options, "size": "small"}))
        return True

    async def stop(self, token: str, owner: str, name: str) -> None:
        self._fail()
        self.stopped.append((token, owner, name))

    async def orphans(self, token: str, tenant: str) -> list[tuple[str, str]]:
        self._fail()
        return self.lost

    async def take_back(self, token: str, tenant: str, owner: str, name: str) -> None:
        self._decide("take-back", tenant, owner, name)

    async def remove_orphan(self, token: str, tenant: str, owner: str, name: str) -> None:
        self._decide("remove", tenant, owner, name)

    def _decide(self, act: str, tenant: str, owner: str, name: str) -> None:
        self._fail()
        self.decided.append((act, tenant, owner, name))
        self.lost.remove((owner, name))

    async def progress(self, token: str, owner: str, name: str) -> AsyncIterator[dict[str, Any]]:
        self._fail()
        for event in self.events:
            yield event

    def _fail(self) -> None:
        if self.down:
            raise HubDown("down")
        if self.refuse:
            raise self.refuse


class FakeRuntime:
    """Workloads in a list."""

    def __init__(self) -> None:
        self.all: dict[str, Seen] = {}
        self.secret = "pass-word-1234"
        self.upload_rows: list[dict[str, Any]] = []
        self.run_rows: list[RunSeen] = []
        self.now: dict[str, Any] = {}
        self.log_text = ""
        self.acted: list[tuple[str, str]] = []
        self.why_not = ""
        self.problem = ""

    def add(self, one: Seen) -> Seen:
        self.all[one.workload.id] = one
        return one

    def workloads(self, tenant: str) -> Sequence[Seen]:
        return [one for one in self.all.values() if one.workload.tenant == tenant]

    def workload(self, tenant: str, owner: str, name: str) -> Seen:
        return self.all[f"{tenant}/{owner}/{name}"]

    def password(self, tenant: str, owner: str, name: str) -> str:
        return self.secret

    def uploads(self, tenant: str, owner: str, name: str, limit: int = 50) -> Sequence[dict[str, Any]]:
        return self.upload_rows[:limit]

    def runs(self, tenant: str, owner: str, name: str, limit: int = 50) -> Sequence[RunSeen]:
        return self.run_rows[:limit]

    def progress(self, tenant: str, owner: str, name: str) -> dict[str, Any]:
        return self.now

    def log(self, tenant: str, owner: str, name: str, run: str | None = None, tail: int = 65536) -> str:
        return f"{run or 'own'}: {self.log_text}"

    def run_now(self, tenant: str, owner: str, name: str) -> None:
        self._act("run-now", name)

    def forget(self, tenant: str, owner: str, name: str) -> None:
        self._act("forget", name)

    def _act(self, act: str, name: str) -> None:
        if self.why_not:
            raise RuntimeError(self.why_not)
        self.acted.append((act, name))


def seen(
    owner: str = "tenant-physics",
    name: str = "camera",
    profile: str = "upload",
    state: State = "running",
    options: dict[str, Any] | None = None,
    **more: Any,
) -> Seen:
    """A workload of physics as a runtime shows it."""
    here = world()
    found = here.profiles[profile]
    work: dict[str, Any] = {
        "tenant": "physics",
        "owner": owner,
        "name": name,
        "display_name": more.pop("display_name", name.capitalize()),
        "kind": found.kind,
        "profile": profile,
        "size": found.sizes[0],
        "network": None,
        "options": {"size": "small", **(options or {})},
        "started_by": "physics-admin",
        "asked": ASKED,
    }
    return Seen(workload=Workload(**{**work, **more.pop("work", {})}), state=state, changed=ASKED, **more)


class FakeWorlds:
    """A world that a test may change."""

    def __init__(self, here: World) -> None:
        self.here = here
        self.problems: tuple[str, ...] = ()

    def current(self) -> World:
        return self.here


@dataclass
class Bench:
    """A running portal with its parts."""

    client: TestClient
    hub: FakeHub
    runtime: FakeRuntime
    worlds: FakeWorlds

    def sign_in(self, name: str = "physics-member", *tenants: str) -> str:
        """Give the client the cookie of a signed-in person; their CSRF token."""
        portal = portal_in(self.client.app)  # type: ignore[arg-type]
        token = f"token-{name}"
        self.hub.users[token] = HubUser(name, scopes_of(name, *(tenants or ("physics",))))
        self.client.cookies.set(portal.settings.cookie, portal.sealer.seal({"token": token}))
        return portal.sealer.csrf(token)

    def token(self, name: str = "physics-member", scopes: frozenset[str] | None = None) -> dict[str, str]:
        """Headers of an API token."""
        self.hub.users[f"api-{name}"] = HubUser(name, scopes_of(name, "physics") if scopes is None else scopes)
        return {"Authorization": f"token api-{name}"}

    def get(self, path: str, **more: Any) -> Any:
        """A page, as a browser navigates to it."""
        headers = {**NAVIGATE, **more.pop("headers", {})}
        return self.client.get(PREFIX + path, headers=headers, follow_redirects=False, **more)

    def post(self, path: str, data: dict[str, Any], **more: Any) -> Any:
        """A form, as a browser sends it."""
        headers = {"sec-fetch-mode": "navigate", "sec-fetch-site": "same-origin", **more.pop("headers", {})}
        return self.client.post(PREFIX + path, data=data, headers=headers, follow_redirects=False, **more)


@contextmanager
def bench(state: Path, here: World | None = None, **settings: Any) -> Iterator[Bench]:
    """A portal in this process."""
    hub, runtime, worlds = FakeHub(), FakeRuntime(), FakeWorlds(here or world())
    hub.runtime = runtime
    made = Settings(
        api_url="http://127.0.0.1:9/hub/api",
        api_token="of-the-service",
        client_id="service-portal",
        access_scopes=frozenset([ACCESS]),
        state=state,
        **settings,
    )
    app = create_app(made, worlds, KINDS, runtime, hub, TOOLS, clock=lambda: datetime(2026, 11, 21, 12, tzinfo=UTC))
    with TestClient(app, base_url="http://hub.test", raise_server_exceptions=False) as client:
        yield Bench(client, hub, runtime, worlds)
