"""An instrument uploads by real FTP into the tenant's bucket."""

from __future__ import annotations

import ftplib
import io
import secrets
import shutil
import ssl
import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
import pytest

from config.models.addresses import AddressRange
from tests.embedded.harness import Hub, until
from tests.tiers import need


def uploads(hub: Hub, name: str) -> list[dict[str, Any]]:
    answer = hub.portal("physics-member", "GET", f"/tenants/physics/workloads/tenant-physics/{name}/uploads")
    assert answer.status_code == 200, answer.text
    found = answer.json()
    rows: list[dict[str, Any]] = found["uploads"] if isinstance(found, dict) else found
    return rows


def upload_to(hub: Hub, name: str, **options: Any) -> httpx.Response:
    asked = {"remote": "data", "folder": name, **options}
    return hub.launch("physics-admin", "tenant-physics", name, "instrument-upload", asked)


def collector(hub: Hub, name: str, **options: Any) -> tuple[str, str]:
    """Start one as an admin; its address and password."""
    answer = upload_to(hub, name, **options)
    assert answer.status_code == 201, answer.text
    return hub.record("tenant-physics", name)["address"], hub.password("tenant-physics", name)


def test_a_226_means_that_the_object_is_there_and_the_page_knows_it(hub: Hub) -> None:
    address, password = collector(hub, "camera")
    data = secrets.token_bytes(300_000)
    with ftplib.FTP() as ftp:
        ftp.connect(address, 2121, timeout=30)
        ftp.login("instrument", password)
        ftp.mkd("scan")
        reply = ftp.storbinary("STOR scan/image 1.tif", io.BytesIO(data))
        assert reply.startswith("226")
        assert (hub.objects() / "camera" / "scan" / "image 1.tif").read_bytes() == data
    (row,) = uploads(hub, "camera")
    assert (row["path"], row["bytes"], row["outcome"], row["source"]) == (
        "scan/image 1.tif",
        len(data),
        "stored",
        "127.0.0.1",
    )


def test_explicit_ftps_of_a_real_client(hub: Hub, tmp_path: Path) -> None:
    need("embedded", shutil.which("curl"), "curl is not installed")
    address, password = collector(hub, "secure-camera", protocol="ftps")
    (tmp_path / "netrc").write_text(f"machine {address} login instrument password {password}\n")
    (tmp_path / "a.bin").write_bytes(b"x" * 100_000)
    curl = ["curl", "-sS", "--netrc-file", tmp_path / "netrc", "--ftp-create-dirs", "-T", tmp_path / "a.bin"]
    target = f"ftp://{address}:2121/in/a.bin"
    done = subprocess.run([*curl, "--ssl-reqd", "-k", target], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert (hub.objects() / "secure-camera" / "in" / "a.bin").stat().st_size == 100_000
    plain = subprocess.run([*curl, target], capture_output=True, text=True, timeout=60, check=False)
    assert plain.returncode != 0, "a collector that demands TLS took a plain password"
    ftps = ftplib.FTP_TLS(context=ssl._create_unverified_context())
    ftps.connect(address, 2121, timeout=30)
    ftps.login("instrument", password)
    ftps.prot_p()
    assert ftps.storbinary("STOR b.bin", io.BytesIO(b"y" * 1000)).startswith("226")
    ftps.quit()


def test_a_broken_transfer_never_replaces_a_good_object_and_is_shown(hub: Hub, tmp_path: Path) -> None:
    """A real client is killed in the middle of an upload over an earlier good object."""
    need("embedded", shutil.which("curl"), "curl is not installed")
    address, password = collector(hub, "shaky")
    ftp = ftplib.FTP()
    ftp.connect(address, 2121, timeout=30)
    ftp.login("instrument", password)
    ftp.storbinary("STOR good.dat", io.BytesIO(b"good" * 1000))
    (tmp_path / "netrc").write_text(f"machine {address} login instrument password {password}\n")
    (tmp_path / "big").write_bytes(b"x" * 5_000_000)
    curl = ["curl", "-sS", "--netrc-file", tmp_path / "netrc", "--limit-rate", "300k", "-T", tmp_path / "big"]
    client = subprocess.Popen([*curl, f"ftp://{address}:2121/good.dat"])
    spool = hub.folder("tenant-physics", "shaky") / "collector"
    until("part of it has arrived", lambda: any(p.stat().st_size > 100_000 for p in spool.rglob("*") if p.is_file()))
    client.kill()
    client.wait()
    until(
        "the page tells of the broken upload",
        lambda: any(r["outcome"] == "incomplete" and r["path"] == "good.dat" for r in uploads(hub, "shaky")),
    )
    assert (hub.objects() / "shaky" / "good.dat").read_bytes() == b"good" * 1000


def test_a_wrong_password_gets_nowhere(hub: Hub) -> None:
    address, _ = collector(hub, "guarded")
    with ftplib.FTP() as ftp:
        ftp.connect(address, 2121, timeout=30)
        with pytest.raises(ftplib.error_perm):
            ftp.login("instrument", "")
    assert until("the log tells of it", lambda: "127.0.0.1" in log(hub, "guarded"))


def log(hub: Hub, name: str) -> str:
    return (hub.folder("tenant-physics", name) / "log.txt").read_text()


def test_addresses_are_the_tenants_own_never_shared_and_stable(hub: Hub) -> None:
    first, password = collector(hub, "stable-one")
    second, _ = collector(hub, "stable-two")
    assert first != second
    pools = [AddressRange.parse(text) for text in hub.tenant("physics")["networks"][0]["loadbalancer"]]
    assert all(any(ip_address(address) in pool for pool in pools) for address in (first, second))
    assert hub.api("physics-member", "DELETE", "/users/tenant-physics/servers/stable-one").status_code in (202, 204)
    until("it is stopped", lambda: hub.record("tenant-physics", "stable-one")["phase"] == "stopped")
    assert collector(hub, "stable-three")[0] not in (first, second)
    assert collector(hub, "stable-one") == (first, password)


def test_the_tenant_owns_it_when_its_author_leaves(hub: Hub) -> None:
    address, password = collector(hub, "outlives")
    assert hub.record("tenant-physics", "outlives")["workload"]["started_by"] == "physics-admin"
    hub.edit_tenant("physics", lambda text: text.replace("physics-admin", "somebody-else"))
    try:
        until(
            "physics-admin has lost the rights",
            lambda: hub.api("physics-admin", "GET", "/users/tenant-physics").status_code == 404,
        )
        with ftplib.FTP() as ftp:
            ftp.connect(address, 2121, timeout=30)
            ftp.login("instrument", password)
            assert ftp.storbinary("STOR later.dat", io.BytesIO(b"later")).startswith("226")
        assert hub.server("physics-member", "tenant-physics", "outlives")
        stop = hub.api("physics-admin", "DELETE", "/users/tenant-physics/servers/outlives")
        assert stop.status_code in (403, 404)
    finally:
        hub.edit_tenant("physics", lambda text: text.replace("somebody-else", "physics-admin"))
        until(
            "physics-admin is back",
            lambda: hub.api("physics-admin", "GET", "/users/tenant-physics").status_code == 200,
        )


def test_a_used_up_pool_is_refused_with_the_holders(hub: Hub) -> None:
    network = hub.tenant("physics")["networks"][0]
    first = str(network["loadbalancer"][0])
    only = first.split("-")[0]
    hub.edit_tenant("physics", lambda text: text.replace(first, only))
    try:
        for i in range(2):  # the world's files are read again within two seconds; until then there is room
            refused = until("a launch is refused", lambda i=i: _refused(hub, f"crowd-{i}"))
            assert "is taken" in refused
            assert hub.record("tenant-physics", f"crowd-{i}")["phase"] == "failed", "a failed launch stays listed"
    finally:
        hub.edit_tenant("physics", lambda text: text.replace(only, first, 1))
        until("the pool is whole again", lambda: upload_to(hub, "crowd-1").status_code == 201)


def _refused(hub: Hub, name: str) -> str:
    """The message of a refused launch; a launch that went well is taken back, and its address given up."""
    answer = upload_to(hub, name)
    if answer.status_code == 409:
        return str(answer.json()["message"])
    hub.api("physics-admin", "DELETE", f"/users/tenant-physics/servers/{name}")
    until("it is stopped", lambda: hub.record("tenant-physics", name)["phase"] == "stopped")
    gone = hub.portal("physics-admin", "POST", f"/tenants/physics/workloads/tenant-physics/{name}/forget")
    assert gone.status_code < 300, gone.text
    return ""


@pytest.mark.parametrize("protocol", ["sftp", "webdav"])
def test_sftp_and_webdav_serve_at_the_same_kind_of_address(hub: Hub, protocol: str) -> None:
    address, password = collector(hub, f"by-{protocol}", protocol=protocol)
    rclone = str(Path(sys.executable).with_name("rclone"))
    obscured = subprocess.run([rclone, "obscure", "-"], input=password, capture_output=True, text=True, check=True)
    where = {
        "sftp": f":sftp,host={address},port=2022,user=instrument,pass={obscured.stdout.strip()}:",
        "webdav": f":webdav,url='https://{address}:8080',user=instrument,pass={obscured.stdout.strip()}:",
    }[protocol]
    source = hub.root / f"{protocol}.dat"
    source.write_bytes(b"z" * 50_000)
    copy = [
        rclone,
        "--config",
        "/dev/null",
        "--no-check-certificate",
        "copyto",
        str(source),
        f"{where}up/{protocol}.dat",
    ]
    done = subprocess.run(copy, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    stored = hub.objects() / f"by-{protocol}" / "up" / f"{protocol}.dat"
    until("the object is stored", lambda: stored.exists() and stored.stat().st_size == 50_000)
    assert until("the page shows it", lambda: [r for r in uploads(hub, f"by-{protocol}") if r["bytes"] == 50_000])
