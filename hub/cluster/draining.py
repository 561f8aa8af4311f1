"""A web server that leaves behind a proxy without anybody noticing, as each Pod of a rolling update should."""

from __future__ import annotations

import asyncio
import socket

import uvicorn

DRAIN_S = 8.0
"""How long a Pod that goes takes new requests, in seconds. Longer than the nodes need to hear that it is no endpoint
any more (one or two), and than the home page rests between two questions (five), so that the proxy's connections are
used once more meanwhile and end by `Connection: close`."""
GRACE_S = 65
"""How long what is being answered may still take, in seconds: longer than the longest call to the hub, START_TIMEOUT_S
in hub/portal/hub_client.py. uvicorn answers 500 to what it cuts off. Both together are less than the Pod's
terminationGracePeriodSeconds in the chart."""
_LOOK_S = 0.1


class DrainingServer(uvicorn.Server):
    """uvicorn, which at SIGTERM goes on serving for a while before it closes its port.

    uvicorn itself closes the port and its idle connections at once. But the proxy keeps connections and uses them
    again, and nodes go on sending new ones here until they have heard that the Pod goes: both become a 503 of the
    proxy's. So each answer from now on says `Connection: close`, and the proxy's next question goes to another Pod.
    """

    def __init__(self, config: uvicorn.Config, drain_s: float = DRAIN_S) -> None:
        super().__init__(config)
        self._drain_s = drain_s

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, after the wait. A second SIGINT ends the wait."""
        # uvicorn renews these headers while it serves, which is over: they stay as they are set here.
        self.server_state.default_headers = [*self.server_state.default_headers, (b"connection", b"close")]
        now = asyncio.get_running_loop().time
        over = now() + self._drain_s
        while not self.force_exit and now() < over:  # noqa: ASYNC110  uvicorn's handler of signals sets it, and no event
            await asyncio.sleep(_LOOK_S)
        await super().shutdown(sockets)
