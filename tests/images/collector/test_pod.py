"""What a collector meets in a Pod: one socket for both families, and what an earlier container left behind."""

from __future__ import annotations

import ftplib
import socket
from collections.abc import Callable

import pytest

from images.lib.files import replace_json
from tests.images.collector.running import PASSWORD, Collector
from tests.images.s3 import wait_for
from tests.tiers import need


def ipv6() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        need("images", False, f"no IPv6 loopback here: {error}")


def client(collector: Collector, address: str, passive: bool = True) -> ftplib.FTP:
    found = ftplib.FTP()
    found.connect(address, collector.port, timeout=30)
    found.login("microscope", PASSWORD)
    found.set_pasv(passive)
    return found


def test_both_families_by_one_address(make_collector: Callable[..., Collector]) -> None:
    ipv6()
    collector = make_collector(address="::", public_address="192.0.2.7").start()
    assert collector.ready["address"] == "192.0.2.7"
    with client(collector, "127.0.0.1") as four:
        assert four.sendcmd("PASV").startswith("227 Entering passive mode (192,0,2,7,")
        four.trust_server_pasv_ipv4_address = False
        assert collector.put("four.bin", b"four", four).startswith("226")
    with client(collector, "::1") as six:
        assert collector.put("six.bin", b"six", six).startswith("226")
    assert (collector.object("four.bin"), collector.object("six.bin")) == (b"four", b"six")
    assert [row["source"] for row in collector.rows()] == ["127.0.0.1", "::1"]


@pytest.mark.parametrize("protocol", ["ftp", "sftp"])
def test_a_ready_file_of_a_killed_one_is_gone_before_the_new_one_serves(
    make_collector: Callable[..., Collector], protocol: str
) -> None:
    """The kubelet's probe asks only whether the file is there."""
    collector = make_collector(protocol=protocol, **({"passive_ports": None} if protocol == "sftp" else {}))
    collector.state.mkdir()
    replace_json(collector.state / "ready.json", {"pid": 1})
    with socket.create_server(("127.0.0.1", collector.port)):  # it cannot serve
        collector.launch()
        wait_for(lambda: not collector.ready, "the old ready.json is gone")
