"""The hub with its database in Postgres, by the chart: it waits with one clear line, and outlives a kill."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import postgres
from tests.cluster.chart import CHART, RELEASE, Installed
from tests.cluster.chart_people import PATIENCE_S, Person
from tests.cluster.journeys import world
from tests.cluster.kube import eventually
from tests.cluster.postgres import Postgres
from tests.embedded.harness import free_port

pytestmark = pytest.mark.timeout(1200)
"""Seconds; one minute is usual."""
SECRET = "database"


@pytest.fixture
def server(installed: Installed) -> Iterator[Postgres]:
    """A Postgres that does not run yet, in the chart's values; afterwards the hub has SQLite again."""
    postgres.needed()
    with tempfile.TemporaryDirectory(prefix="tenanthub-postgres-") as folder:
        yield from _in_the_chart(installed, Path(folder))


def _in_the_chart(installed: Installed, folder: Path) -> Iterator[Postgres]:
    made = Postgres(folder, str(installed.bed.host[0]), free_port())
    url = base64.b64encode(made.url.encode()).decode()
    meta = {"name": SECRET, "namespace": installed.namespace}
    installed.kube.apply({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": {"db-url": url}})
    database = {"type": "postgres", "postgres": {"existingSecret": SECRET}}
    way = {"to": [{"ipBlock": {"cidr": f"{made.host}/32"}}], "ports": [{"port": made.port}]}
    values = {**installed.values(), "hub": {"database": database}, "networkPolicy": {"hubEgress": [way]}}
    try:
        installed.helm("upgrade", RELEASE, str(CHART), values=values)  # and no --wait: there is no database yet
        yield made
    finally:
        installed.upgrade()
        installed.wait()
        installed.kube.must("delete", "secret", SECRET, f"--namespace={installed.namespace}")


def test_a_hub_with_postgres_waits_for_it_and_knows_its_servers_after_a_kill(
    installed: Installed, server: Postgres
) -> None:
    refused = eventually("the hub says why it waits", lambda: _refusals(installed), patience_s=PATIENCE_S)
    [line] = refused.splitlines()
    assert line.startswith("tenanthub hub: the database cannot be used: ")
    assert str(server.port) in line
    told = refused
    with server.running():
        _kill(installed)  # not to wait for the kubelet, which tries again ever more seldom
        member = Person(installed, world.MEMBER)
        member.launch(world.MEMBER, "ledger", "notebook")
        assert "ledger" in server.ask("select name from spawners where server_id is not null")
        before = _pod(installed)
        told += _log(installed)
        _kill(installed)
        assert member.server(world.MEMBER, "ledger").get("ready"), "by the token of before, too"
        assert _pod(installed) == before
        told += _log(installed)
        assert "Traceback" not in told
        server.restart()
        eventually("the hub goes on with new connections", lambda: _stopped(member), patience_s=PATIENCE_S)
        told += _log(installed) + installed.helm("get", "all", RELEASE)
        told += installed.kube.must(
            "get", "pods,deployments,events", "--output=yaml", f"--namespace={installed.namespace}"
        )
        assert server.password not in told


def _refusals(made: Installed) -> str:
    """What a hub said that found no database; "" where none has ended yet."""
    where = (f"--namespace={made.namespace}", "--container=hub")
    pods = [one["metadata"]["name"] for one in made.pods("hub")]
    texts = [made.kube.kubectl("logs", f"pod/{name}", *where) for name in pods]
    return "".join(one.stdout for one in texts if one.returncode == 0)


def _stopped(member: Person) -> bool:
    """Ask for the end of the server, which the hub has to write down; whether it has."""
    path = f"/users/{world.MEMBER}"
    asked = member.made.api("DELETE", f"{path}/servers/ledger", member.token)
    seen = member.made.api("GET", path, member.token)
    return asked.status_code < 500 and seen.is_success and "ledger" not in seen.json()["servers"]


def _kill(made: Installed) -> None:
    """SIGKILL to the hub, with its Pod and the folder in it; then wait until another answers."""
    before = made.uids("hub")
    where = ("--selector=app.kubernetes.io/component=hub", f"--namespace={made.namespace}")
    made.kube.must("delete", "pod", *where, "--grace-period=0", "--force")
    eventually("another hub is there", lambda: made.uids("hub") - before, patience_s=PATIENCE_S)
    eventually("it is ready", lambda: made.ready("hub"), patience_s=PATIENCE_S)
    made.wait()


def _log(made: Installed) -> str:
    return made.kube.must("logs", "deployment/hub", f"--namespace={made.namespace}")


def _pod(made: Installed) -> list[tuple[str, int]]:
    """Uid and restarts of the notebook."""
    label = f"--selector={world.DOMAIN}/workload=ledger"
    found = made.kube.get("pods", f"--namespace=tenant-{world.PHYSICS}", label)["items"]
    return [(one["metadata"]["uid"], one["status"]["containerStatuses"][0]["restartCount"]) for one in found]
