"""What arrives whole is in the object store, under its name, at the moment of 226."""

from __future__ import annotations

import contextlib
import ftplib
import hashlib
import io
import os
import select
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.images.collector.running import PASSWORD, Collector
from tests.tiers import need

LARGE = os.urandom(1 << 20) * 24


@pytest.mark.parametrize("kind", [ftplib.FTP, ftplib.FTP_TLS])
@pytest.mark.parametrize("content", [b"", b"one\r\ntwo\n\x00\xff", LARGE], ids=["empty", "small", "large"])
def test_226_means_that_the_object_is_there(collector: Collector, kind: type[ftplib.FTP], content: bytes) -> None:
    name = f"{kind.__name__}-{len(content)}.bin"
    with collector.client(kind) as client:
        client.voidcmd("TYPE I")
        data = client.transfercmd(f"STOR {name}")
        data.sendall(content)
        if isinstance(data, ftplib.ssl.SSLSocket):
            data.unwrap()
        data.close()
        reply = client.voidresp()
        # Nothing between the reply and this: what the object holds now is what it held when the client was told.
        stored = collector.object(name)
    assert reply.startswith("226")
    assert stored == content
    row = collector.row(name, "stored")
    assert row["bytes"] == len(content)
    assert row["source"] == "127.0.0.1"
    assert row["protocol"] == ("ftps" if kind is ftplib.FTP_TLS else "ftp")
    assert row["reason"] is None
    assert collector.spooled() == []


def test_ascii_mode_does_not_touch_a_byte(collector: Collector) -> None:
    content = b"\r\n\n\r\x00\xff" * 100
    with collector.client() as client:
        client.voidcmd("TYPE A")
        data = client.transfercmd("STOR ascii.bin")
        data.sendall(content)
        data.close()
        assert client.voidresp().startswith("226")
        assert client.sendcmd("SIZE ascii.bin") == f"213 {len(content)}"
    assert collector.object("ascii.bin") == content


def test_an_upload_replaces_the_object(collector: Collector) -> None:
    for content in (b"first, and longer", b"second"):
        collector.put("again.txt", content)
        assert collector.object("again.txt") == content


def test_curl_by_epsv_and_by_tls(collector: Collector, tmp_path: Path) -> None:
    need("images", shutil.which("curl"), "curl is not installed")
    (tmp_path / "file").write_bytes(LARGE)
    url = f"ftp://127.0.0.1:{collector.port}"
    for name, options in (("curl.bin", []), ("curl-tls.bin", ["--ssl-reqd", "--insecure"]), ("made/by/curl", [])):
        argv = ["curl", "-sS", "-T", str(tmp_path / "file"), "--ftp-create-dirs", f"{url}/{name}", *options]
        done = subprocess.run([*argv, "--config", "-"], input=f'user = "microscope:{PASSWORD}"', text=True, check=False)
        assert done.returncode == 0
        assert collector.object(name) == LARGE


def test_lftp_mirrors_a_tree_by_tls(collector: Collector, tmp_path: Path) -> None:
    need("images", shutil.which("lftp"), "lftp is not installed")
    tree = tmp_path / "tree"
    for name in ("a.txt", "sub/b.txt", "sub/deep/c with space.txt"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(name)
    script = (
        f"set ssl:verify-certificate no; set ftp:ssl-force yes; set ftp:ssl-protect-data yes; "
        f"set net:max-retries 1; set cmd:fail-exit yes; open ftp://127.0.0.1:{collector.port}; "
        f"user microscope '{PASSWORD}'; mirror -R {tree} lftp; bye"
    )
    home = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(
        ["lftp", "-f", "/dev/stdin"], input=script, text=True, env=home, capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    for name in ("a.txt", "sub/b.txt", "sub/deep/c with space.txt"):
        assert collector.object(f"lftp/{name}") == name.encode()
        assert collector.row(f"lftp/{name}", "stored")["protocol"] == "ftps"


def test_a_tls_client_that_never_reads_its_data_connection_loses_nothing(collector: Collector) -> None:
    """As lftp does: what the server sends unasked (TLS 1.3: session tickets) lies unread when it closes, so its kernel
    resets the connection (RFC 2525, 2.17) and drops what it has not sent yet."""
    content = os.urandom(1 << 20)
    client = collector.client(ftplib.FTP_TLS)
    assert isinstance(client, ftplib.FTP_TLS)
    client.voidcmd("TYPE I")
    with socket.create_connection(client.makepasv(), timeout=30) as data:
        data.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * len(content))
        client.putcmd("STOR unread.bin")
        assert client.getresp()[:3] in ("125", "150")
        came, goes = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = client.context.wrap_bio(came, goes)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                data.sendall(goes.read())
                came.write(data.recv(65536))
        data.sendall(goes.read())
        select.select([data], [], [], 1)  # time for what the server might send
        tls.write(content)
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.unwrap()  # our close_notify; the server's is not waited for
        data.sendall(goes.read())
    assert client.voidresp().startswith("226")
    assert collector.object("unread.bin") == content


def test_active_mode(collector: Collector) -> None:
    with collector.client() as client:
        client.set_pasv(False)
        assert collector.put("active.bin", LARGE, client).startswith("226")
    assert collector.object("active.bin") == LARGE


def test_ipv6(make_collector: Callable[..., Collector]) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        need("images", False, f"no IPv6 loopback here: {error}")
    collector = make_collector(address="::1").start()
    with collector.client() as client:
        assert collector.put("v6.bin", b"six", client).startswith("226")
        with pytest.raises(ftplib.error_perm, match="522"):
            client.sendcmd("PASV")
    assert collector.object("v6.bin") == b"six"
    assert collector.row("v6.bin", "stored")["source"] == "::1"


def test_the_public_address_is_what_pasv_tells(make_collector: Callable[..., Collector]) -> None:
    collector = make_collector(public_address="192.0.2.7").start()
    assert collector.ready["address"] == "192.0.2.7"
    with collector.client() as client:
        assert client.sendcmd("PASV").startswith("227 Entering passive mode (192,0,2,7,")
        client.trust_server_pasv_ipv4_address = False
        assert collector.put("nat.bin", b"nat", client).startswith("226")


def test_passive_ports_stay_in_their_range_and_run_out_clearly(make_collector: Callable[..., Collector]) -> None:
    collector = make_collector()
    low = collector.settings["passive_ports"][0]
    collector.settings["passive_ports"] = [low, low + 1]
    collector.start()
    clients = [collector.client() for _ in range(3)]
    ports = {int(client.sendcmd("EPSV").split("|")[3]) for client in clients[:2]}
    assert ports == {low, low + 1}
    with pytest.raises(ftplib.error_temp, match="425 All passive ports are in use"):
        clients[2].sendcmd("EPSV")
    clients[0].close()
    for _ in range(20):  # freed with the session, and used again and again
        assert collector.put("reuse.bin", b"x", clients[1]).startswith("226")


def test_sha256_on_request(make_collector: Callable[..., Collector]) -> None:
    collector = make_collector(sha256=True).start()
    collector.put("hashed", LARGE)
    assert collector.row("hashed", "stored")["sha256"] == hashlib.sha256(LARGE).hexdigest()


def test_many_sessions_at_once(collector: Collector) -> None:
    failures: list[BaseException] = []

    def session(number: int) -> None:
        try:
            with collector.client() as client:
                for turn in range(10):
                    collector.put(f"many/{number}/{turn}", f"{number}-{turn}".encode(), client)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=session, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    for number in range(8):
        for turn in range(10):
            assert collector.object(f"many/{number}/{turn}") == f"{number}-{turn}".encode()


@pytest.mark.parametrize(
    "name",
    [
        "with space.txt",
        " leading and trailing ",
        "測定 結果/顕微鏡.tif",
        ".hidden",
        "...",
        "-rf",
        "a%20b?c#d&e=+~",
        "quote\"'`$(x);|<>*",
        "back\\slash",
        "％／:",
        "UPPER.TXT",
        "é composed and e\u0301 not",
        "x" * 255,
        "/".join(["d" * 100] * 9) + "/f",
    ],
)
def test_odd_names_are_kept_as_they_are(collector: Collector, name: str) -> None:
    with collector.client() as client:
        assert collector.put(f"odd/{name}", name.encode(), client).startswith("226")
        assert client.size(f"odd/{name}") == len(name.encode())
        folder, _, base = f"odd/{name}".rpartition("/")
        client.cwd(folder)
        assert base in client.nlst()
    assert collector.rows(f"odd/{name}")[0]["outcome"] == "stored"


@pytest.mark.parametrize(
    ("name", "reply"),
    [
        ("tab\there", "553 control characters"),
        ("bell\x07", "553 control characters"),
        ("c1\x85", "553 control characters"),
        ("x" * 256, "553 a name is longer"),
        ("/".join(["d" * 100] * 11), "553 the whole path is longer"),
        ("/", "553 no file name"),
        ("..", "553 no file name"),
    ],
)
def test_names_that_cannot_be_kept_are_refused(collector: Collector, name: str, reply: str) -> None:
    before = len(collector.rows())
    with collector.client() as client, pytest.raises(ftplib.error_perm, match=reply):
        collector.put(name, b"x", client)
    assert len(collector.rows()) == before


def test_a_name_in_another_encoding_is_refused_or_read_as_told(
    collector: Collector, make_collector: Callable[..., Collector]
) -> None:
    with collector.client(encoding="cp932") as client, pytest.raises(ftplib.error_perm, match="501"):
        collector.put("顕微鏡.tif", b"x", client)
    japanese = make_collector(encoding="cp932").start()
    with japanese.client(encoding="cp932") as client:
        japanese.put("顕微鏡.tif", b"x", client)
    assert japanese.object("顕微鏡.tif") == b"x"


def test_stou_makes_a_name(collector: Collector) -> None:
    with collector.client() as client:
        client.voidcmd("TYPE I")
        host, port = client.makepasv()
        data = socket.create_connection((host, port))
        reply = client.sendcmd("STOU scan")
        name = reply.partition(" FILE: ")[2]  # 150, or 125 where the data connection is open already
        data.sendall(b"unique")
        data.close()
        assert client.voidresp().startswith("226")
    assert name.startswith("scan.")
    assert collector.object(name) == b"unique"


def test_traversal_ends_at_the_folder(collector: Collector) -> None:
    with collector.client() as client:
        client.cwd("/../../..")
        assert client.pwd() == "/"
        client.storbinary("STOR ../../../escape.txt", io.BytesIO(b"inside"))
    assert collector.object("escape.txt") == b"inside"
    assert not (collector.objects.parent / "escape.txt").exists()
    assert not (collector.state / "escape.txt").exists()
