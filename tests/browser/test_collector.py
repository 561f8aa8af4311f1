"""An instrument's address by its page alone, and what the instrument uploads, live on that page."""

from __future__ import annotations

import ftplib
import io
import secrets
import socket
import struct
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from playwright.sync_api import expect

from tests.browser.people import Person
from tests.embedded.harness import Hub

Visit = Callable[..., Person]


def start_collector(person: Person, display_name: str, folder: str) -> str:
    """By the form; the workload's name."""
    page = person.choose("Instrument upload", display_name)
    page.get_by_label("Remote").select_option("data")
    page.get_by_label("Folder").fill(folder)
    person.start()
    expect(person.status()).to_contain_text("Running")
    return person.name_in_url()


def test_address_and_password_of_the_page_let_an_instrument_upload(visit: Visit, hub: Hub) -> None:
    person = visit("physics-admin")
    name = start_collector(person, "Microscope 2", "microscope/raw")
    page, where = person.page, person.rows("Address")
    assert {"Address", "Port", "User", "Password"} <= set(where), where
    secret = hub.password("tenant-physics", name)
    assert secret not in page.content()
    page.get_by_role("button", name="Show password").click()
    expect(page.locator("#password")).to_have_text(secret)

    expect(person.panel("Last uploads")).to_contain_text("Nothing was uploaded yet")
    person.mark()
    before = datetime.now(UTC).replace(microsecond=0)
    data = secrets.token_bytes(300_000)
    with ftplib.FTP() as ftp:
        ftp.connect(where["Address"], int(where["Port"]), timeout=30)
        ftp.login(where["User"], page.locator("#password").inner_text())
        assert ftp.storbinary("STOR image 1.tif", io.BytesIO(data)).startswith("226")
    row = person.panel("Last uploads").get_by_role("row").filter(has_text="image 1.tif")
    expect(row).to_contain_text("Complete")
    expect(row).to_contain_text("293 KiB")
    expect(row).to_contain_text("127.0.0.1")
    shown = datetime.fromisoformat(row.locator("time").get_attribute("datetime") or "")
    assert before <= shown <= datetime.now(UTC)
    assert person.same_document(), "the row came by loading the page again"
    expect(page.locator("#password")).to_have_text(secret)
    assert (hub.objects() / "microscope" / "raw" / "image 1.tif").read_bytes() == data


def test_a_broken_upload_is_shown_as_incomplete(visit: Visit, hub: Hub) -> None:
    person = visit("physics-admin")
    name = start_collector(person, "Shaky scanner", "scanner")
    where = person.rows("Address")
    person.mark()
    with ftplib.FTP() as ftp:
        ftp.connect(where["Address"], int(where["Port"]), timeout=30)
        ftp.login(where["User"], hub.password("tenant-physics", name))
        ftp.voidcmd("TYPE I")
        channel = ftp.transfercmd("STOR page 7.tif")
        channel.sendall(b"x" * 200_000)
        # The cable is pulled: a reset, not the orderly end that means "this is the whole file".
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        channel.close()
        with pytest.raises(ftplib.error_temp, match="426"):
            ftp.voidresp()
        row = person.panel("Last uploads").get_by_role("row").filter(has_text="page 7.tif")
        expect(row).to_contain_text("Incomplete")
    assert person.same_document()
    assert not (hub.objects() / "scanner" / "page 7.tif").exists()


def test_every_member_may_look_and_stop_what_the_tenant_owns(visit: Visit) -> None:
    admin = visit("physics-admin")
    start_collector(admin, "Shared camera", "camera")
    member = visit("physics-member")
    member.home()
    row = member.workload("Shared camera")
    expect(row).to_contain_text("of the tenant")
    row.get_by_role("link", name="Shared camera", exact=True).click()
    member.stop()
    expect(admin.status()).to_contain_text("Stopped")
