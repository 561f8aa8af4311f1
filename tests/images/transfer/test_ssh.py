"""rsync and rclone with real ssh servers: to one, from one to another, and only to those whose key is pinned."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.images.transfer.running import need_rsync, tree
from tests.images.transfer.sshd import SshHost, keypair, sshd


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SshHost, SshHost]]:
    need_rsync()
    folder = tmp_path_factory.mktemp("ssh")
    with sshd(folder / "one") as one, sshd(folder / "two") as two:
        yield one, two


@pytest.fixture
def config(hosts: tuple[SshHost, SshHost], tmp_path: Path) -> Iterator[Path]:
    """rclone.conf with the two as remotes; their folders are empty again afterwards."""
    yield _written(tmp_path, "".join(host.section(name) for name, host in zip(("one", "two"), hosts, strict=True)))
    for host in hosts:
        shutil.rmtree(host.home)
        host.home.mkdir()


def _written(folder: Path, text: str) -> Path:
    path = folder / "rclone.conf"
    path.touch(0o600)
    path.write_text(text)
    return path


def _fill(host: SshHost, bucket: str = "lab/raw") -> dict[str, bytes]:
    folder = host.home / bucket
    (folder / "deep").mkdir(parents=True)
    (folder / "a.txt").write_text("alpha")
    (folder / "-n.txt").write_text("a name like an option")
    (folder / "deep" / "b.bin").write_bytes(bytes(range(256)) * 4096)
    return tree(folder)


def _no_keys_left(folder: Path) -> None:
    left = [path.name for path in folder.rglob("*") if path.is_file() and b"PRIVATE KEY" in path.read_bytes()]
    assert not left, "a key outlived its run"
    assert not (folder / "staging").exists()


def test_to_a_host_and_back_with_the_key_and_the_pinned_host_key_of_the_remote(
    hosts: tuple[SshHost, SshHost], config: Path, data: Path, start: Any
) -> None:
    there = {"tool": "rsync", "source": data / "in", "destination": "one:lab/new/folder", "rclone_config": config}
    run = start(**there, checksum=True)
    assert run.wait() == 0, run.log
    assert tree(hosts[0].home / "lab/new/folder") == tree(data / "in")
    assert run.result["counts"]["files"] == 3
    back = start(
        tool="rsync", source="one:lab/new/folder", destination=data / "out", rclone_config=config, folder="back"
    )
    assert back.wait() == 0, back.log
    assert tree(data / "out") == tree(data / "in")
    for one in (run, back):
        _no_keys_left(one.folder)
        assert "PRIVATE" not in one.log


def test_from_one_host_to_another_only_what_changed_the_second_time(
    hosts: tuple[SshHost, SshHost], config: Path, start: Any
) -> None:
    sent = _fill(hosts[0])
    settings = {
        "tool": "rsync",
        "source": "one:lab/raw",
        "destination": "two:lab/copy",
        "rclone_config": config,
        "checksum": True,
    }
    run = start(**settings)
    assert run.wait() == 0, run.log
    assert tree(hosts[1].home / "lab/copy") == sent
    assert (run.result["counts"]["files"], run.result["counts"]["different"]) == (3, 0)
    (hosts[0].home / "lab/raw/a.txt").write_text("alpha, changed")
    again = start(**settings, folder="again")
    assert again.wait() == 0, again.log
    assert again.result["counts"]["files"] == 1
    _no_keys_left(run.folder)


def test_a_sync_deletes_at_the_destination_and_a_move_at_the_source(
    hosts: tuple[SshHost, SshHost], config: Path, start: Any
) -> None:
    sent = _fill(hosts[0])
    (hosts[1].home / "lab/copy").mkdir(parents=True)
    (hosts[1].home / "lab/copy/gone.txt").write_text("old")
    sides = {"tool": "rsync", "source": "one:lab/raw", "destination": "two:lab/copy", "rclone_config": config}
    run = start(**sides, mode="sync")
    assert run.wait() == 0, run.log
    assert tree(hosts[1].home / "lab/copy") == sent and run.result["counts"]["deleted"] == 1
    moved = start(**{**sides, "destination": "two:lab/moved"}, mode="move", checksum=True, folder="moved")
    assert moved.wait() == 0, moved.log
    assert tree(hosts[1].home / "lab/moved") == sent and tree(hosts[0].home / "lab/raw") == {}


def test_a_sync_from_a_mistyped_folder_deletes_nothing(
    hosts: tuple[SshHost, SshHost], config: Path, start: Any
) -> None:
    kept = _fill(hosts[1], "lab/copy")
    run = start(tool="rsync", source="one:lab/rwa", destination="two:lab/copy", mode="sync", rclone_config=config)
    assert run.wait() == 1
    assert "does not exist" in run.result["message"]
    assert tree(hosts[1].home / "lab/copy") == kept


def test_what_does_not_fit_in_between_is_not_begun(hosts: tuple[SshHost, SshHost], config: Path, start: Any) -> None:
    _fill(hosts[0])
    run = start(
        tool="rsync",
        source="one:lab/raw",
        destination="two:lab/copy",
        rclone_config=config,
        staging_bytes=1_000_000,
    )
    assert run.wait() == 1
    assert "there is room for 1000000" in run.result["message"]
    assert not (hosts[1].home / "lab").exists()


@pytest.mark.parametrize("tool", ["rsync", "rclone"])
def test_a_host_whose_key_is_another_or_not_pinned_gets_nothing(
    hosts: tuple[SshHost, SshHost], tmp_path: Path, data: Path, start: Any, tool: str
) -> None:
    other = " ".join(keypair(tmp_path / "other").split()[:2])
    for number, (changed, words) in enumerate(
        [({"host_keys": other}, "not known|mismatch|host key"), ({"host_keys": ""}, "is not pinned")]
    ):
        config = _written(tmp_path, hosts[0].section("one", **changed))
        run = start(
            tool=tool,
            source=data / "in",
            destination="one:lab/x",
            rclone_config=config,
            folder=f"run{number}",
            retries=0,
        )
        assert run.wait() == 1
        assert re.search(words, run.result["message"]), run.result["message"]
        assert not (hosts[0].home / "lab").exists()
        _no_keys_left(run.folder)


def test_another_key_is_refused_in_words(
    hosts: tuple[SshHost, SshHost], tmp_path: Path, data: Path, start: Any
) -> None:
    keypair(tmp_path / "strangers")
    text = (tmp_path / "strangers").read_text().strip().replace("\n", "\\n")
    config = _written(tmp_path, hosts[0].section("one", key_pem=text))
    run = start(tool="rsync", source=data / "in", destination="one:lab/x", rclone_config=config, retries=0)
    assert run.wait() == 1
    assert "refused the key" in run.result["message"]


def test_rclone_reaches_the_same_hosts_with_the_same_remotes(
    hosts: tuple[SshHost, SshHost], tmp_path: Path, data: Path, start: Any
) -> None:
    # shell_type none: rclone runs no programs there, each of which costs a busy machine seconds
    config = _written(tmp_path, hosts[0].section("one", shell_type="none"))
    run = start(source=data / "in", destination="one:lab/rclone", rclone_config=config)
    assert run.wait() == 0, run.log
    assert tree(hosts[0].home / "lab/rclone") == tree(data / "in")
