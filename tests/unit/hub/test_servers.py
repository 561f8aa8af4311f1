"""Bodies of requests for servers: what is refused before JupyterHub keeps it."""

from __future__ import annotations

from typing import Any

import pytest

from hub.servers import MOST_LEVELS, too_deep, wrong_patch


def nested(levels: int) -> Any:
    value: Any = 1
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


def test_depth_is_counted_without_recursion() -> None:
    assert not too_deep(1)
    assert not too_deep(nested(MOST_LEVELS))
    assert too_deep(nested(MOST_LEVELS + 1))
    assert too_deep(nested(100_000))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"cmd": "sh"}, "unknown field 'cmd'"),
        ({"name": 5}, "name must be text"),
        ({"display_name": None}, "display_name must be text"),
        ({"user_options": []}, "user_options must be an object"),
        ({"name": "a", "display_name": "A", "user_options": {}}, ""),
        ({}, ""),
    ],
)
def test_what_a_patch_may_hold(body: dict[str, Any], words: str) -> None:
    assert words in wrong_patch(body)
    assert bool(words) == bool(wrong_patch(body))
