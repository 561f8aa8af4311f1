"""What the rows about launches on a cluster count and make, as far as it needs no cluster."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
import yaml
from jupyterhub import orm
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from config.load import load
from tests.bench.contest import CannotRun
from tests.bench.kube import audit, bare, copies, crowd, setups, simulated
from tests.bench.kube.copies import FIRST, Person
from tests.bench.kube.crowd import Crowd, Launched
from tests.bench.kube.hubs import Place, Setup
from tests.bench.rows import kuberestart
from tests.cluster.bed.names import bed_of

HUB = "system:serviceaccount:bench:ours"
OTHER = Person(37, 12)


def _line(number: int, verb: str, user: str = HUB, stage: str = "ResponseComplete") -> str:
    return json.dumps({"auditID": str(number), "verb": verb, "stage": stage, "user": {"username": user}})


def test_requests_are_counted_once_and_for_one_account() -> None:
    lines = [
        _line(1, "watch", stage="ResponseStarted"),
        _line(1, "watch"),
        _line(2, "get"),
        _line(3, "get", user="system:kube-scheduler"),
        _line(4, "list")[:20],
    ]
    assert audit.count(lines, HUB) == {"watch": 1, "get": 1}


def test_a_line_that_is_being_written_is_left_for_the_next_reading(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.write_text(f"{_line(1, 'get')}\n{_line(2, 'list')[:15]}")
    log = audit.AuditLog(path)
    assert log.taken(HUB) == {"get": 1}
    with path.open("a") as file:
        file.write(_line(2, "list")[15:] + "\n")
    assert log.taken(HUB) == {"list": 1}
    assert not log.taken(HUB)


def test_what_failed_is_no_part_of_the_times() -> None:
    good = [Launched(ready_s=float(second), answers_s=float(second)) for second in range(20, 0, -1)]
    went = Crowd((*good, Launched(problem="full"), Launched(problem="late"), Launched(problem="full")), 30.0)
    assert (went.failed, len(went.good)) == (3, 20)
    assert (went.median_s, went.slow_s) == (10.5, 19.0)
    assert went.problems() == "2 ×: full; 1 ×: late"


def test_a_crowd_of_which_none_came_through_has_no_times() -> None:
    went = Crowd((Launched(problem="full"),), 1.0)
    assert (went.median_s, went.slow_s, went.failed) == (0.0, 0.0, 1)


def test_a_progress_stream_has_events_and_lines_between_them() -> None:
    assert crowd.events(b"\n") is None
    assert crowd.events(b'data: {"progress": 100, "ready": true}\n') == {"progress": 100, "ready": True}


def test_a_copy_is_somebody_elses_in_every_name() -> None:
    record = json.dumps({"tenant": "g0000", "owner": "g0000-m0000", "id": "g0000/g0000-m0000/bench"})
    found: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "bench--g0000-m0000",
            "namespace": "tenant-g0000",
            "uid": "1",
            "resourceVersion": "2",
            "ownerReferences": [{"uid": "3"}],
            "annotations": {"example.org/record": record},
        },
        "spec": {"nodeName": "fake-00", "containers": [{"env": [{"name": "USER", "value": "g0000-m0000"}]}]},
        "status": {"podIP": "127.200.0.2"},
    }
    made = copies.object_for(found, OTHER)
    assert "g0000" not in str(made)
    assert made["metadata"] == {
        "name": "bench--g0037-m0012",
        "namespace": "tenant-g0037",
        "annotations": {"example.org/record": record.replace("g0000", "g0037").replace("m0000", "m0012")},
    }
    assert made["spec"] == {"containers": [{"env": [{"name": "USER", "value": "g0037-m0012"}]}]}
    assert "status" not in made
    assert found["spec"]["nodeName"] == "fake-00"


def _database(path: Path, **spawner: object) -> None:
    """JupyterHub's own tables, with FIRST, whose server has *spawner* besides, and OTHER, who has none."""
    engine = create_engine(f"sqlite:///{path}")
    orm.Base.metadata.create_all(engine)
    tables = orm.Base.metadata.tables
    url, identifier = "/user/g0000-m0000/bench/", "jupyterhub-user-g0000-m0000-bench"
    rows: list[tuple[str, dict[str, object]]] = [
        ("users", {"id": 1, "name": FIRST.account, "cookie_id": "a"}),
        ("users", {"id": 2, "name": OTHER.account, "cookie_id": "b"}),
        ("servers", {"id": 9, "proto": "http", "ip": "127.200.0.2", "port": 8888, "base_url": url}),
        ("oauth_clients", {"id": 4, "identifier": identifier, "secret": "x"}),
        ("api_tokens", {"id": 6, "user_id": 1, "hashed": "sha512:1:salt:abc", "note": f"Server at {url}"}),
        ("spawners", {"id": 7, "user_id": 1, "name": "", "state": {}}),
        ("spawners", {"id": 8, "user_id": 1, "name": "bench", "state": {"pod_name": "g0000-m0000"}, **spawner}),
    ]
    with engine.begin() as connection:
        for table, row in rows:
            connection.execute(tables[table].insert().values(**row))
    engine.dispose()


def test_a_copys_rows_are_its_accounts_own(tmp_path: Path) -> None:
    path = tmp_path / "hub.sqlite"
    _database(path, server_id=9, oauth_client_id="jupyterhub-user-g0000-m0000-bench")
    copies.copy_rows(path, {OTHER.account: "127.200.0.3"}, [OTHER])
    url = "/user/g0037-m0012/bench/"
    with Session(create_engine(f"sqlite:///{path}")) as session:
        (spawner,) = session.query(orm.Spawner).filter_by(user_id=2)
        assert (spawner.name, spawner.state) == ("bench", {"pod_name": "g0037-m0012"})
        assert (spawner.server.ip, spawner.server.base_url) == ("127.200.0.3", url)
        assert spawner.oauth_client.identifier == "jupyterhub-user-g0037-m0012-bench"
        first, second = session.query(orm.APIToken).order_by(orm.APIToken.id)
        assert (second.user_id, second.note) == (2, f"Server at {url}")
        assert second.hashed != first.hashed
        assert session.query(orm.Server).filter_by(id=9).one().ip == "127.200.0.2"


def test_without_a_server_there_is_nothing_to_copy(tmp_path: Path) -> None:
    path = tmp_path / "hub.sqlite"
    _database(path)
    with pytest.raises(CannotRun, match=FIRST.account):
        copies.copy_rows(path, {OTHER.account: "127.200.0.3"}, [OTHER])


def test_a_crew_fills_one_tenant_after_the_other() -> None:
    people = kuberestart.crew(45)
    assert people[0] == FIRST
    assert people[-1] == Person(2, 4)
    assert len(set(people)) == 45
    assert kuberestart.tenants_of(people) == 3


def test_the_declared_world_has_room_for_every_launch(tmp_path: Path) -> None:
    folder = setups.write_world(tmp_path / "world", bed_of("none", 3), 2, 4)
    world = load(folder)
    asks = setups.our_asks(2, 4)
    assert len({ask.owner for ask in asks}) == 8
    for ask in asks:
        tenant = world.tenants[ask.options["tenant"]]
        assert ask.owner in tenant.members
        assert ask.options["profile"] in tenant.profiles
        assert tenant.quota.workloads is not None
        assert tenant.quota.workloads >= 4
    assert [ask.owner for ask in setups.stock_asks(2, 4)] == [ask.owner for ask in asks]


def _place(folder: Path) -> Place:
    here = "http://127.0.0.1:"
    return Place(folder, f"{here}1", f"{here}2", f"{here}3", "proxy-secret", "bench-secret", folder / "kubeconfig")


@pytest.mark.parametrize("setup", [setups.stock("i"), setups.stock_by_tenant("i"), setups.stock_one_watch("i")])
def test_stocks_configurations_are_python_and_private(tmp_path: Path, setup: Setup) -> None:
    command = setup.prepare(_place(tmp_path))
    config = tmp_path / "jupyterhub_config.py"
    compile(config.read_text(), str(config), "exec")
    assert str(config) in command.argv
    assert config.stat().st_mode & 0o077 == 0
    assert not any("secret" in word for word in command.argv)


def test_stocks_hook_finds_the_namespaces_that_were_made(tmp_path: Path) -> None:
    setups.stock_by_tenant("i").prepare(_place(tmp_path))
    text = (tmp_path / "jupyterhub_config.py").read_text()

    values: dict[str, Any] = {"get_config": MagicMock}
    exec(compile(text, "config", "exec"), values)
    spawner = SimpleNamespace(user=SimpleNamespace(name=setups.account_name(7, 3)), namespace="")
    values["c"].KubeSpawner.pre_spawn_hook(spawner)
    assert spawner.namespace == setups.stock_namespace(7)


def test_ours_is_told_everything_by_files_and_environment(tmp_path: Path) -> None:
    command = setups.ours(tmp_path / "world", "i").prepare(_place(tmp_path))
    assert not any("secret" in value for value in (*command.argv, *command.environment.values()) if "/" not in value)
    assert (tmp_path / "secrets" / "proxy-token").read_text() == "proxy-secret"
    compile((tmp_path / "extra.py").read_text(), "extra", "exec")


def test_a_bare_pod_has_what_the_hubs_launch() -> None:
    (container,) = bare.manifest("one")["spec"]["containers"]
    assert container["args"] == ["http", str(bare.PORT)]
    assert container["resources"]["requests"]["cpu"] == str(setups.CPU)


def test_only_kubernetes_own_word_counts_as_ready() -> None:
    assert not bare.is_ready(None)
    assert not bare.is_ready({"status": {"phase": "Running"}})
    assert not bare.is_ready({"status": {"conditions": [{"type": "Ready", "status": "False"}]}})
    assert bare.is_ready({"status": {"conditions": [{"type": "Ready", "status": "True"}]}})


def test_kwoks_stages_are_whole_and_told_apart() -> None:
    names = [one["metadata"]["name"] for one in simulated.STAGES]
    assert len(set(names)) == len(names) == 3
    for one in simulated.STAGES:
        assert yaml.safe_load(json.dumps(one))["kind"] == "Stage"
        text = one["spec"]["next"].get("statusTemplate", "")
        assert text.count("{{ range") + text.count("{{ with") == text.count("{{ end }}")
