"""Records, addresses and secrets of one machine."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from spawners.local.folder import Record
from spawners.local.secrets import builtin_keys, keep_password, rclone_config
from spawners.local.state import StateFolder
from spawners.local.store import Store, allocate, is_live
from spawners.refusal import Refusal
from tests.unit.spawners.worlds import ASKED, launch, tenant

UPLOAD = {"remote": "data"}


def record(name: str, **more: Any) -> Record:
    workload = launch("tenant-physics", "upload", UPLOAD, name=name)
    return Record(workload=workload, **{"wanted": "running", "phase": "running", "changed": ASKED, **more})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    state = StateFolder(tmp_path)
    state.make()
    return Store(state)


def test_a_record_is_found_again_by_another_process(store: Store) -> None:
    kept = record("camera", address="127.20.0.2")
    store.save(kept)
    again = Store(store.state)
    assert again.record("physics", "tenant-physics", "camera") == kept
    assert list(again.records("physics")) == [kept]
    assert list(again.records("history")) == []


def test_a_torn_record_hides_no_other(store: Store) -> None:
    store.save(record("camera"))
    store.save(record("scanner"))
    store.folder(record("camera").workload).record.write_text("{")
    assert [r.workload.name for r in store.records()] == ["scanner"]


def test_addresses_are_never_shared_and_stay_with_a_stopped_workload() -> None:
    physics = tenant("physics")
    network = physics.networks[0]
    camera = record("camera", wanted="stopped", phase="stopped", address="127.20.0.2")
    assert allocate(network, physics, record("scanner").workload, [camera]) == "127.20.0.3"
    assert allocate(network, physics, camera.workload, [camera]) == "127.20.0.2"


def test_a_used_up_pool_names_who_holds_it() -> None:
    physics = tenant("physics")
    held = [record("a", address="127.20.0.2"), record("b", address="127.20.0.3")]
    with pytest.raises(Refusal, match=r"taken \(by a, b\)"):
        allocate(physics.networks[0], physics, record("c").workload, held)


def test_an_address_that_left_the_pool_is_given_up() -> None:
    physics = tenant("physics")
    moved = record("camera", address="127.99.0.2")
    assert allocate(physics.networks[0], physics, moved.workload, [moved]) == "127.20.0.2"


@pytest.mark.parametrize("name", ["..", ".hidden", "a/b", "", "a\0b"])
def test_a_name_cannot_leave_the_state_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not a name"):
        StateFolder(tmp_path).folder("physics", "tenant-physics", name)


def test_only_what_runs_takes_quota() -> None:
    assert is_live(record("a", phase="starting"))
    assert not is_live(record("a", phase="failed"))
    assert not is_live(record("a", wanted="stopped", phase="stopped"))


def test_passwords_and_keys_stay_the_same_and_private(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "password"
    first = keep_password(path)
    assert keep_password(path) == first
    assert len(first) == 19
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert builtin_keys(store.state, "physics") == builtin_keys(store.state, "physics")
    assert builtin_keys(store.state, "physics") != builtin_keys(store.state, "history")


def test_rclone_gets_a_section_a_remote_and_a_missing_secret_is_named(store: Store) -> None:
    outside = {
        "name": "cold",
        "type": "s3",
        "bucket": "cold-data",
        "options": {"provider": "Ceph", "endpoint": "https://s3.example.org"},
        "credentials": "cold-key",
    }
    physics = tenant("physics", remotes=[{"name": "data", "type": "builtin", "bucket": "physics-data"}, outside])
    with pytest.raises(Refusal, match="the secret cold-key is missing"):
        rclone_config(store.state, physics, "http://127.0.0.1:9000")
    secret = store.state.secrets / "cold-key.json"
    secret.write_text('{"access_key_id": "AK", "secret_access_key": "SK%1"}')
    secret.chmod(0o644)
    with pytest.raises(Refusal, match="others can read"):
        rclone_config(store.state, physics, "http://127.0.0.1:9000")
    secret.chmod(0o600)
    text = rclone_config(store.state, physics, "http://127.0.0.1:9000")
    assert "[data]" in text
    assert "endpoint = https://s3.example.org" in text
    assert "secret_access_key = SK%1" in text
