"""Folders, listings, renames, and what the settings allow beyond uploading."""

from __future__ import annotations

import ftplib
import io
from collections.abc import Callable

import pytest

from tests.images.collector.running import Collector
from tests.images.s3 import S3Server


def test_a_folder_made_is_there_before_anything_is_in_it(collector: Collector) -> None:
    with collector.client() as client:
        with pytest.raises(ftplib.error_perm, match="550 No such folder"):
            client.cwd("run1")
        assert client.mkd("run1") == "/run1"
        client.cwd("run1")
        client.mkd("deep")
        client.cwd("deep")
        assert client.pwd() == "/run1/deep"
        assert client.nlst() == []
        assert collector.put("scan.tif", b"scan", client).startswith("226")
        client.cwd("/")
        assert "run1" in client.nlst()
        with pytest.raises(ftplib.error_perm, match="550"):
            client.mkd("run1")
        with pytest.raises(ftplib.error_perm, match="553 There is a folder"):
            collector.put("run1", b"x", client)
    assert collector.object("run1/deep/scan.tif") == b"scan"


def test_folders_are_remembered_over_a_restart(make_collector: Callable[..., Collector]) -> None:
    collector = make_collector().start()
    with collector.client() as client:
        client.mkd("empty")
    collector.kill()
    collector.start()
    with collector.client() as client:
        client.cwd("empty")


def test_listings_show_sizes_and_kinds(collector: Collector) -> None:
    with collector.client() as client:
        client.mkd("list")
        collector.put("list/a.bin", b"12345", client)
        collector.put("list/b/c.bin", b"1", client)
        facts = dict(client.mlsd("list"))
        lines: list[str] = []
        client.dir("list", lines.append)
        assert client.size("list/a.bin") == 5
        assert client.sendcmd("MDTM list/a.bin").startswith("213 20")
        assert client.sendcmd("MLST list/a.bin").startswith("250")
        client.cwd("list/b")
    assert facts["a.bin"]["type"] == "file"
    assert facts["a.bin"]["size"] == "5"
    assert facts["b"]["type"] == "dir"
    assert any(line.startswith("-rw") and " 5 " in line and line.endswith("a.bin") for line in lines)
    assert any(line.startswith("d") and line.endswith(" b") for line in lines)


def test_upload_under_a_temporary_name_and_rename(collector: Collector) -> None:
    with collector.client() as client:
        collector.put("done.tif", b"older", client)
        collector.put("done.tif.tmp", b"newer", client)
        assert client.rename("done.tif.tmp", "done.tif").startswith("250")
        with pytest.raises(ftplib.error_perm, match="550"):
            client.rename("done.tif.tmp", "done.tif")
        client.rename("done.tif", "sorted/into/done.tif")
        client.cwd("sorted/into")
    assert collector.object("done.tif") is None
    assert collector.object("done.tif.tmp") is None
    assert collector.object("sorted/into/done.tif") == b"newer"
    renamed = collector.row("done.tif", "renamed")
    assert renamed["from"] == "done.tif.tmp"
    assert renamed["bytes"] == 5


@pytest.mark.parametrize("target", ["bad\x01name", "x" * 300])
def test_rename_to_a_name_that_cannot_be_kept(collector: Collector, target: str) -> None:
    with collector.client() as client:
        collector.put("named.bin", b"x", client)
        with pytest.raises(ftplib.error_perm, match="550"):
            client.rename("named.bin", target)
    assert collector.object("named.bin") == b"x"


def test_what_may_be_allowed(make_collector: Callable[..., Collector]) -> None:
    collector = make_collector(allow_delete=True, allow_download=True).start()
    content = bytes(range(256)) * 2000
    with collector.client() as client:
        client.mkd("d")
        collector.put("d/f.bin", content, client)
        back = io.BytesIO()
        client.retrbinary("RETR d/f.bin", back.write)
        assert back.getvalue() == content
        with pytest.raises(ftplib.error_perm, match="550 The folder is not empty"):
            client.rmd("d")
        client.delete("d/f.bin")
        assert collector.object("d/f.bin") is None
        client.rmd("d")
        with pytest.raises(ftplib.error_perm, match="550"):
            client.retrbinary("RETR d/f.bin", back.write)
    assert collector.spooled() == []


def test_listing_a_store_that_is_down(own_s3: S3Server, make_collector: Callable[..., Collector]) -> None:
    collector = make_collector(own_s3).start()
    with collector.client() as client:
        own_s3.kill()
        for attempt in (
            lambda: client.size("x"),
            client.nlst,
            lambda: client.rename("x", "y"),
            lambda: client.mkd("m"),
        ):
            with pytest.raises(ftplib.Error, match="The object store does not answer"):
                attempt()
        own_s3.start()
        assert client.nlst() == []
