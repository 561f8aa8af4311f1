"""Addresses on pages: each in a row of its own, so that each can be copied."""

from __future__ import annotations

import pytest

from hub.portal.views.clients import client_help
from spawners import reached

BOTH = "192.0.2.205, 2001:db8:120::205"


def test_joined_puts_ipv4_first_and_names_each_once() -> None:
    assert reached.joined(["2001:db8:120::205", "192.0.2.205", "192.0.2.205"]) == BOTH
    assert reached.joined([]) is None


@pytest.mark.parametrize(
    ("text", "scheme", "rows"),
    [
        (None, "", [("Address", "is being allocated")]),
        ("192.0.2.205", "", [("Address", "192.0.2.205")]),
        ("2001:db8::5", "http", [("Address", "http://[2001:db8::5]")]),
        (BOTH, "", [("Address", "192.0.2.205"), ("IPv6 address", "2001:db8:120::205")]),
        (BOTH, "http", [("Address", "http://192.0.2.205"), ("IPv6 address", "http://[2001:db8:120::205]")]),
    ],
)
def test_each_address_has_a_row(text: str | None, scheme: str, rows: list[tuple[str, str]]) -> None:
    assert reached.rows(text, scheme) == rows


def test_a_dual_stack_collector_says_how_to_connect() -> None:
    rows = [("Protocol", "FTP"), *reached.rows(BOTH), ("Port", "21"), ("User", "camera")]
    assert "ftp://192.0.2.205:21/" in client_help(rows)[0].command
