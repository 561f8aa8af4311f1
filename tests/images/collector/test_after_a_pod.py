"""What outlives a Pod: rows of uploads and what instruments have pinned, though the state folder is gone."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from images.collector import tls
from images.collector.history import History, newest
from images.collector.settings import SettingsError
from images.lib.last_rows import unpacked
from tests.images.collector.running import Collector

SEED = b"x" * 43
ADDRESSES = ["192.0.2.205", "::"]


def test_another_folder_gets_the_same_certificate_and_host_key_from_the_same_seed(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two", "other")]
    for folder in folders:
        folder.mkdir()
    one, two = (tls.certificate(folder, ADDRESSES, SEED) for folder in folders[:2])
    assert one[0].read_bytes() == two[0].read_bytes() and one[2] == two[2]
    assert tls.certificate(folders[2], ADDRESSES, SEED[::-1] + b"y")[2] != one[2]
    assert tls.host_key(folders[0], SEED)[1] == tls.host_key(folders[1], SEED)[1]
    tls.context(two[0], two[1])  # certificate and key fit
    assert two[1].stat().st_mode & 0o077 == 0


def test_a_seed_that_could_be_guessed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "seed").write_text("short")
    with pytest.raises(SettingsError, match="seed_file"):
        tls.read_seed(tmp_path / "seed")


def test_the_newest_rows_are_whole_lines(tmp_path: Path) -> None:
    rows = tmp_path / "uploads.jsonl"
    rows.write_text("".join(f'{{"id": {number}}}\n' for number in range(50, 100)))
    rows.with_name("uploads.jsonl.1").write_text("".join(f'{{"id": {number}}}\n' for number in range(50)))
    assert newest(rows, 10_000).splitlines()[0] == b'{"id": 0}'
    kept = newest(rows, 100).splitlines()
    assert kept[-1] == b'{"id": 99}' and all(line.startswith(b"{") for line in kept)


def test_rows_come_back_into_an_empty_folder(tmp_path: Path) -> None:
    from tests.images.transfer.running import RCLONE

    store, config = tmp_path / "store", tmp_path / "rclone.conf"
    store.mkdir()
    config.write_text(f"[lab]\ntype = alias\nremote = {store}\n")
    text = '{"id": "1", "path": "a.tif"}\n'
    for number in range(2):
        folder = tmp_path / f"pod{number}"
        folder.mkdir()
        rows = folder / "uploads.jsonl"
        history = History(rows, "lab:bucket/.tenanthub/uploads/camera.jsonl", Path(RCLONE), config)
        history.start()
        if number == 0:
            rows.write_text(text)
        history.stop()
        assert rows.read_text() == text
    assert (store / "bucket/.tenanthub/uploads/camera.jsonl").read_text() == text


def test_a_store_that_is_away_costs_rows_and_nothing_else(tmp_path: Path) -> None:
    from tests.images.transfer.running import RCLONE

    config = tmp_path / "rclone.conf"
    config.write_text("")
    rows = tmp_path / "uploads.jsonl"
    history = History(rows, "lab:bucket/x.jsonl", Path(RCLONE), config)
    history.start()
    rows.write_text("{}\n")
    history.stop()
    assert rows.read_text() == "{}\n"


def test_a_pod_leaves_its_last_rows_as_its_last_words(
    make_collector: Callable[..., Collector], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = tmp_path / "termination-log"
    words.touch()
    monkeypatch.setenv("TENANTHUB_TERMINATION_LOG", str(words))
    collector = make_collector(history="lab:nowhere/uploads.jsonl").start()
    with collector.client() as client:
        for name in ("a.tif", "b.tif"):
            client.storbinary(f"STOR {name}", io.BytesIO(b"x"))
    assert words.read_bytes() == b"", "only who ends says something"
    assert collector.stop() == 0
    told = unpacked(words.read_text())
    assert told is not None
    assert [json.loads(line)["path"] for line in told.splitlines()] == ["a.tif", "b.tif"]


def test_one_that_has_no_pod_or_no_rows_leaves_nothing(
    make_collector: Callable[..., Collector], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = tmp_path / "termination-log"
    words.touch()
    monkeypatch.setenv("TENANTHUB_TERMINATION_LOG", str(words))
    assert make_collector(history="lab:nowhere/uploads.jsonl").start().stop() == 0
    collector = make_collector().start()
    with collector.client() as client:
        client.storbinary("STOR a.tif", io.BytesIO(b"x"))
    assert collector.stop() == 0
    assert words.read_bytes() == b""
