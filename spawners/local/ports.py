"""Loopback ports: found once, used ever after by the hub's own parts, and by each interactive process."""

from __future__ import annotations

import random
import socket
from collections.abc import Collection

_LEAST, _MOST = 10_000, 32_767
"""Below those that systems give to outgoing connections (Linux: from 32768; macOS, Windows, IANA: from 49152). One of
these could be in use as the far end of somebody's connection just when a part wants to listen on it again."""
_DRAWS = 10_000


def is_free(port: int) -> bool:
    """Whether *port* of loopback can be bound now."""
    with socket.socket() as probe:
        # As servers bind: connections of an earlier one that are still being closed do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_port(taken: Collection[int | None] = ()) -> int:
    """A port that nobody listens on now and that is not among *taken*; its process binds it a moment later.

    Drawn by chance, so that two that look at once rarely find the same. OSError where none is found.
    """
    for _ in range(_DRAWS):
        port = random.randint(_LEAST, _MOST)  # noqa: S311  (no secret)
        if port not in taken and is_free(port):
            return port
    raise OSError("no loopback port is free")
