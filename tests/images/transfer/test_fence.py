"""What a run refuses: paths outside its folders, options in disguise, remote shells, secrets that others may read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from images.transfer import rclone, rsync
from images.transfer.fence import FenceError, escaping_link, fenced, private_file, resolve_endpoints
from images.transfer.legs import steps
from images.transfer.settings import TransferSettings

SSH = {"ssh_key": "/keys/id", "ssh_known_hosts": "/keys/hosts"}


def settings(**fields: Any) -> TransferSettings:
    base = {"run_id": "r", "run_dir": "/runs/r", "source": "/data/in", "destination": "/data/out", "folders": ["/data"]}
    return TransferSettings.model_validate({**base, **fields})


@pytest.mark.parametrize(
    "fields",
    [
        {"source": "relative/path"},
        {"source": "-e sh -c id"},
        {"source": "--config=/etc/passwd"},
        {"source": ":local:/etc"},
        {"source": ":sftp,ssh='sh -c id':/x"},
        {"source": "store,endpoint=http://elsewhere:bucket", "rclone_config": "/c"},
        {"source": "store:bucket/../other", "rclone_config": "/c"},
        {"source": "store:bucket"},
        {"source": "/data/in\n--delete"},
        {"tool": "rsync", "source": "rsync://host/module"},
        {"tool": "rsync", "source": "user@host::module", **SSH},
        {"tool": "rsync", "source": "user@-oProxyCommand=id:/x", **SSH},
        {"tool": "rsync", "source": "-oProxyCommand=id@host:/x", **SSH},
        {"tool": "rsync", "source": "host:/x", **SSH},
        {"tool": "rsync", "source": "user@host:/x"},
        {"tool": "rsync", "source": "user@host:/x/../../etc", **SSH},
        {"tool": "rsync", "source": "user@host:/x", "destination": "user@host:/y", **SSH},
        {"tool": "rsync", "source": "user@host:/x", **SSH, "ssh_key": '/k"\nProxyCommand id'},
        {"tool": "rsync", "source": "user@host:/x", **SSH, "ssh_key": "/keys/%h"},
        {"exclude": ["a\n+ **"]},
        {"bandwidth": "10M --delete"},
        {"mode": "copy", "max_delete": 3},
        {"rclone_flags": ["--delete-excluded"]},
        {"run_id": "../x"},
    ],
)
def test_settings_refuse(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings(**fields)


def test_nothing_from_the_settings_becomes_an_option() -> None:
    hostile = settings(tool="rsync", source="user@host:-e sh", include=["--delete"], exclude=["+ /etc", "-e sh"], **SSH)
    argv = rsync.command(hostile, "transfer", "user@host:-e sh", "/data/out")
    assert argv[-3:] == ["--", "user@host:-e sh", "/data/out"]
    assert "-s" in argv and argv[argv.index("-e") + 1] == f"ssh -F {rsync.SSH_CONFIG}"
    assert [part for part in argv if "sh" in part and part.startswith("--filter")] == ["--filter=- -e sh"]
    plain = settings(include=["--config=/x"], exclude=["-v"])
    argv = rclone.command(plain, "transfer", "/data/in", "/data/out")
    assert argv[2:4] == ["/data/in", "/data/out"]
    assert {"--filter=+ --config=/x", "--filter=- -v", "--filter=- **"} <= set(argv)
    assert "--config=/x" not in argv and "-v" not in argv


def test_the_ssh_configuration_is_ours_alone() -> None:
    text = rsync.ssh_config(settings(tool="rsync", source="user@host:/x", **SSH), "user@host:/x")
    for line in ("BatchMode yes", "StrictHostKeyChecking yes", "IdentitiesOnly yes", 'IdentityFile "/keys/id"'):
        assert f"  {line}" in text.splitlines()


def test_local_paths_stay_inside(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    (inside / "door").symlink_to(outside)
    (inside / "own").symlink_to(inside)
    assert fenced(str(inside / "new/deep"), [inside]) == (inside / "new/deep").resolve()
    assert fenced(str(inside / "own"), [inside]) == inside.resolve()
    for path in (outside, inside / "door", inside / "door" / "x", inside / ".." / "out", Path("/etc"), Path("/")):
        with pytest.raises(FenceError, match="outside the folders"):
            fenced(str(path), [inside])
    with pytest.raises(FenceError):
        fenced(f"{inside}side", [inside])
    assert escaping_link(inside, [inside]) == inside / "door"
    assert escaping_link(inside, [inside, outside]) is None


def test_rclone_is_not_let_write_through_a_link(data: Path, tmp_path: Path, start) -> None:
    (tmp_path / "secret").mkdir()
    (data / "out").mkdir()
    (data / "out" / "deep").symlink_to(tmp_path / "secret")
    run = start(source=data / "in", destination=data / "out")
    assert run.wait() == 1
    assert "a link that leads outside" in run.result["message"]
    assert list((tmp_path / "secret").iterdir()) == []


def test_nested_sides_are_refused(tmp_path: Path) -> None:
    for source, destination in (("a", "a"), ("a", "a/b"), ("a/b", "a")):
        (tmp_path / "a" / "b").mkdir(parents=True, exist_ok=True)
        nested = settings(source=str(tmp_path / source), destination=str(tmp_path / destination), folders=[tmp_path])
        with pytest.raises(FenceError, match="within one another"):
            resolve_endpoints(nested)


def test_secrets_must_be_private(tmp_path: Path) -> None:
    secret = tmp_path / "rclone.conf"
    secret.touch()
    secret.chmod(0o640)
    with pytest.raises(FenceError, match="0600"):
        private_file(secret, "rclone configuration")
    secret.chmod(0o600)
    private_file(secret, "rclone configuration")
    with pytest.raises(FenceError, match="No such file"):
        private_file(tmp_path / "missing", "ssh key")


def test_wrong_settings_are_told_in_a_result(tmp_path: Path, start) -> None:
    run = start(source="relative", destination="/x", colour="red")
    assert run.wait() == 1
    assert "colour" in run.result["message"]
    assert "Traceback" not in run.log


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ["transfer"]),
        ({"checksum": True}, ["transfer", "check"]),
        ({"dry_run": "only"}, ["dry-run"]),
        ({"dry_run": "first"}, ["dry-run", "transfer"]),
        ({"mode": "sync"}, ["dry-run", "transfer"]),
        ({"mode": "move", "checksum": True}, ["transfer", "check", "transfer"]),
    ],
)
def test_steps(fields: dict[str, Any], expected: list[str]) -> None:
    planned = steps(settings(**fields))
    assert [step.step for step in planned] == expected
    if fields.get("mode") == "move":
        assert [step.settings.mode for step in planned] == ["copy", "copy", "move"]
