"""rclone's configuration: one form of it, on one machine and on a cluster."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from config.models import Remote
from spawners.local.secrets import rclone_config
from spawners.local.state import StateFolder
from spawners.rclone import rclone_conf, section
from tests.unit.spawners.kube import launches

KEYS = {"access_key_id": "AK", "secret_access_key": "100%sure"}


def remote(**more: object) -> Remote:
    found = {"name": "data", "type": "s3", "bucket": "physics-data", "credentials": "physics-s3"}
    return Remote.model_validate({**found, "options": {"provider": "Ceph"}, **more})


def test_it_is_the_text_that_the_embedded_hub_writes(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    state.secrets.mkdir()
    path = state.secrets / "physics-s3.json"
    path.write_text(json.dumps(KEYS))
    path.chmod(0o600)
    tenant = launches.tenant()
    sections = {one.name: section(one, KEYS) for one in tenant.remotes}
    assert len(sections) == 2
    assert rclone_conf(sections) == rclone_config(state, tenant, "http://127.0.0.1:1")


def test_the_backend_is_the_declared_one() -> None:
    assert section(remote(options={"type": "local"}), {}) == {"type": "s3"}


@pytest.mark.parametrize(
    "bad", [{"type": "local"}, {"Key": "x"}, {"key": "a\nb"}, {"key": "a\0"}, {"key": "x" * 10_001}]
)
def test_what_is_no_option_of_one_line_is_refused_without_its_value(bad: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))) as refused:
        section(remote(), bad)
    assert not any(value in str(refused.value) for value in bad.values() if len(value) > 2 and value != "local")
