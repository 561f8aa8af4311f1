"""`python -m tests.bench.kube.answers PORT`: the program of every fake Pod, one for all of them.

It answers any HTTP request on any address of 127.0.0.0/8 with 200 and `{}`. kwok's Pods have no network; they are given
addresses of that network (simulated.py), so that a hub finds each of them at an address of its own, as it would.
"""

from __future__ import annotations

import asyncio
import socket
import sys

_SO_BINDTODEVICE = 25  # <asm-generic/socket.h>; the module socket does not name it everywhere
_END = b"\r\n\r\n"
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Requests without a body, one after the other, until the client closes."""
    try:
        while await reader.readuntil(_END):
            writer.write(_ANSWER)
            await writer.drain()
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
        pass
    finally:
        writer.close()


def _listening(port: int) -> socket.socket:
    """A socket for all addresses that the loopback device leads to. OSError for who is not root."""
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, _SO_BINDTODEVICE, b"lo\0")
    made.bind(("", port))
    made.listen(1024)
    return made


async def main(port: int) -> None:
    """Serve until the process is ended."""
    server = await asyncio.start_server(_answer, sock=_listening(port))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
