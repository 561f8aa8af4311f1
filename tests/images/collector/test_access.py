"""Who may come in, and what they may do."""

from __future__ import annotations

import ftplib
import hashlib
import io
import socket
import ssl
from collections.abc import Callable

import pytest

from tests.images.collector.running import PASSWORD, Collector
from tests.images.s3 import wait_for

QUICK = {"login_delay_s": 0.05}


def _try(collector: Collector, user: str, password: str) -> str:
    client = ftplib.FTP()
    try:
        client.connect("127.0.0.1", collector.port, timeout=30)
        return client.login(user, password)
    except (ftplib.Error, EOFError) as error:
        return str(error)
    finally:
        client.close()


@pytest.mark.parametrize(
    ("user", "password"),
    [
        ("microscope", "wrong"),
        ("microscope", ""),
        ("microscope", PASSWORD + " "),
        ("other", PASSWORD),
        ("anonymous", "a@b"),
    ],
)
def test_a_wrong_login_is_refused(make_collector: Callable[..., Collector], user: str, password: str) -> None:
    collector = make_collector(limits=QUICK).start()
    assert _try(collector, user, password).startswith("530")
    wait_for(lambda: "127.0.0.1: wrong user or password" in collector.log.read_text(), "its line, with the address")
    assert _try(collector, "microscope", PASSWORD).startswith("230")


def test_too_many_wrong_passwords_lock_the_address_out(make_collector: Callable[..., Collector]) -> None:
    limits = {**QUICK, "login_failures": 3, "lockout_s": 1.5}
    collector = make_collector(limits=limits, address="0.0.0.0").start()
    for _ in range(3):
        assert _try(collector, "microscope", "secret-guess").startswith("530")
    wait_for(lambda: "127.0.0.1: locked out" in collector.log.read_text(), "its line")
    assert _try(collector, "microscope", PASSWORD).startswith("421 Too many wrong passwords")
    # Another address is not locked out.
    other = ftplib.FTP(source_address=("127.0.0.9", 0))
    other.connect("127.0.0.1", collector.port, timeout=30)
    assert other.login("microscope", PASSWORD).startswith("230")
    other.close()
    wait_for(lambda: _try(collector, "microscope", PASSWORD).startswith("230"), "the end of the lockout")
    log = collector.log.read_text()
    assert "secret-guess" not in log
    assert PASSWORD not in log


def test_a_wrong_password_is_answered_late(make_collector: Callable[..., Collector]) -> None:
    collector = make_collector(limits={"login_delay_s": 30}).start()
    client = ftplib.FTP()
    client.connect("127.0.0.1", collector.port, timeout=1)
    with pytest.raises(TimeoutError):
        client.login("microscope", "wrong")
    client.close()
    assert _try(collector, "microscope", PASSWORD).startswith("230")  # others do not wait for it


@pytest.mark.parametrize("command", ["STOR x", "LIST", "PASV", "RETR x", "DELE x", "MKD x", "RNFR x", "SIZE x"])
def test_nothing_without_a_login(collector: Collector, command: str) -> None:
    client = ftplib.FTP()
    client.connect("127.0.0.1", collector.port, timeout=30)
    with pytest.raises(ftplib.error_perm, match="530"):
        client.sendcmd(command)
    client.close()


def test_ftps_demands_tls_for_everything(make_collector: Callable[..., Collector]) -> None:
    collector = make_collector(protocol="ftps").start()
    plain = ftplib.FTP()
    plain.connect("127.0.0.1", collector.port, timeout=30)
    with pytest.raises(ftplib.error_perm, match="550 SSL/TLS required"):
        plain.login("microscope", PASSWORD)
    plain.close()
    client = ftplib.FTP_TLS(context=ssl._create_unverified_context())
    client.connect("127.0.0.1", collector.port, timeout=30)
    client.login("microscope", PASSWORD)
    with pytest.raises(ftplib.error_perm, match="550 SSL/TLS required on the data channel"):
        collector.put("clear.bin", b"x", client)
    client.prot_p()
    assert collector.put("tls.bin", b"x", client).startswith("226")
    client.close()


def test_the_certificate_is_the_one_that_ready_names_and_stays(make_collector: Callable[..., Collector]) -> None:
    collector = make_collector(protocol="ftps").start()
    named = collector.ready["tls_fingerprint"]
    client = collector.client(ftplib.FTP_TLS)
    assert isinstance(client.sock, ssl.SSLSocket)
    assert client.sock.version() in ("TLSv1.2", "TLSv1.3")
    shown = client.sock.getpeercert(binary_form=True)
    assert shown is not None
    assert hashlib.sha256(shown).digest().hex(":").upper() == named
    client.close()
    assert collector.stop() == 0
    assert collector.start().ready["tls_fingerprint"] == named
    assert (collector.state / "tls-key.pem").stat().st_mode & 0o077 == 0


def test_a_data_connection_from_another_address_is_refused(make_collector: Callable[..., Collector]) -> None:
    collector = make_collector(address="0.0.0.0").start()
    with collector.client() as client:
        client.voidcmd("TYPE I")
        port = client.makepasv()[1]
        client.putcmd("STOR mine.bin")
        assert client.getresp().startswith("150")
        with socket.create_connection(("127.0.0.1", port), source_address=("127.0.0.9", 0)) as thief:
            thief.settimeout(30)
            assert thief.recv(1) == b""
        # The client itself is not disturbed.
        with socket.create_connection(("127.0.0.1", port)) as data:
            data.sendall(b"mine")
        assert client.voidresp().startswith("226")
    assert collector.object("mine.bin") == b"mine"
    assert "another address (127.0.0.9) refused" in collector.log.read_text()


@pytest.mark.parametrize("command", ["PORT 127,0,0,9,200,10", "PORT 192,0,2,1,200,10", "EPRT |1|192.0.2.1|51210|"])
def test_no_bounce(collector: Collector, command: str) -> None:
    with collector.client() as client, pytest.raises(ftplib.error_perm, match="501 Rejected"):
        client.sendcmd(command)


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("APPE kept.bin", "502 APPE is not offered"),
        ("REST 10", "502 REST is not offered"),
        ("DELE kept.bin", "550 deleting is not allowed"),
        ("RMD folder", "550 deleting is not allowed"),
        ("RETR kept.bin", "550 downloading is not allowed"),
        ("SITE CHMOD 777 kept.bin", "50[02]"),
        ("MFMT 20200101000000 kept.bin", "50[02]"),
        ("STOR x", "425 No data connection"),
    ],
)
def test_what_is_not_offered_says_so(collector: Collector, command: str, reply: str) -> None:
    with collector.client() as client:
        collector.put("kept.bin", b"kept", client)
        with pytest.raises(ftplib.Error, match=reply):
            client.sendcmd(command)
        assert client.sendcmd("REST 0").startswith("350")
        assert client.sendcmd("NOOP").startswith("200")
    assert collector.object("kept.bin") == b"kept"


def test_feat_promises_only_what_there_is(collector: Collector) -> None:
    with collector.client() as client:
        features = client.sendcmd("FEAT")
    assert "AUTH TLS" in features
    assert "REST" not in features
    assert "MFMT" not in features


def test_sessions_are_limited(make_collector: Callable[..., Collector]) -> None:
    collector = make_collector(limits={"max_connections": 3, "max_connections_per_ip": 2}, address="0.0.0.0").start()
    kept = [collector.client() for _ in range(2)]
    assert _try(collector, "microscope", PASSWORD).startswith("421 Too many connections from the same IP")
    third = ftplib.FTP(source_address=("127.0.0.9", 0))
    third.connect("127.0.0.1", collector.port, timeout=30)
    third.login("microscope", PASSWORD)
    fourth = ftplib.FTP(source_address=("127.0.0.10", 0))
    with pytest.raises((ftplib.error_temp, EOFError), match=r"421 Too many connections|^$"):
        fourth.connect("127.0.0.1", collector.port, timeout=30)
    # Data connections are not counted as sessions.
    assert kept[0].storbinary("STOR full.bin", io.BytesIO(b"x")).startswith("226")
    kept[1].close()
    wait_for(lambda: _try(collector, "microscope", PASSWORD).startswith("230"), "room again")
    for client in (*kept, third):
        client.close()


def test_listing_can_be_forbidden(make_collector: Callable[..., Collector]) -> None:
    collector = make_collector(allow_list=False).start()
    with collector.client() as client:
        collector.put("seen.bin", b"12345", client)
        for attempt in (client.nlst, client.dir, lambda: list(client.mlsd())):
            with pytest.raises(ftplib.error_perm, match="550 listing is not allowed"):
                attempt()
        assert client.size("seen.bin") == 5
