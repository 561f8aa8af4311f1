"""Looks into what the watch does not hold: a program's small files, and the metadata of a collection.

A program's progress and uploads are files in its Pod. They are read by a fixed command through the API server (exec),
only while somebody looks at the page of that one workload. The ways that were not taken: to write each upload and each
step into the container's log would bury what people look for there, and the kubelet rotates it away; to open a port in
each Pod would need a way through the tenant's network policies and a sign-in of its own; a side-car would cost each
workload memory for what is looked at for a minute a day. What exec costs: the right `pods/exec` in tenants' namespaces,
which cannot be narrowed to a command. It adds little to what creating Pods and reading Secrets there gives already, but
it belongs to the portal's service account alone. One exec starts a process in the container (tens of milliseconds of
the kubelet), so each answer serves everybody for SHOWN_S seconds, and no more than AT_ONCE run at a time, however many
pages are open; a list of workloads needs none.

Sources: Kubernetes, "Pod v1 core" (exec), k8s.io/apimachinery pkg/util/remotecommand (channels of v4 and v5),
"API Concepts" (PartialObjectMetadataList).
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import urlencode

import aiohttp
import orjson

from spawners.kube.client import ApiError, Client, path_of
from spawners.kube.plan import RUNS, STATE

SHOWN_S = 4.0
"""Seconds that an answer is shown again to whoever asks: pages ask every few seconds, each visitor's by itself."""
AT_ONCE = 8
READ_LIMIT = 2**18
"""Bytes of a file that are read at most: some 1,000 uploads."""
_EXEC_S = 10.0
_PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
_STDOUT, _ERROR = 1, 3
UPLOADS = ("tail", "-c", str(READ_LIMIT), f"{STATE}/collector/uploads.jsonl")
PROGRESS = ("sh", "-c", f"tail -c {READ_LIMIT} {RUNS}/*/progress.json")
"""The run's folder is called as the program in the Pod has called it; a Pod has one run. Nothing of a request is ever
put into a command."""
HOME = ("tail", "-c", str(READ_LIMIT), f"{STATE}/home.json")
HOME_KEEPER = "images.lib.home"
"""What it tells of a kept home. The one look into a Pod that a person's own programs run in: it starts what the image
has as `tail`, and what comes back is shown as text to those who may see the page."""
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_REMEMBERED = 2048


class Peeker(Client):
    """A client with these two looks. A few connections of its own, so that pages never hold up a launch."""

    async def run(self, namespace: str, pod: str, container: str, command: Sequence[str]) -> bytes:
        """What *command* writes to stdout, at most READ_LIMIT bytes; b"" where it fails, e.g. for want of the file.

        ApiError where the server refuses it (no right, no such Pod), KubeError where it is not reached.
        """
        query = [("container", container), ("stdout", "true"), ("stderr", "false")]
        query += [("command", word) for word in command]
        path = f"{path_of('Pod', namespace, pod)}/exec"
        headers = await self._headers()
        try:
            async with (
                asyncio.timeout(_EXEC_S),
                self._session.ws_connect(
                    f"{self.host}{path}?{urlencode(query)}",
                    protocols=_PROTOCOLS,
                    headers={"Authorization": headers["authorization"]} if "authorization" in headers else {},
                    max_msg_size=READ_LIMIT * 2,
                ) as socket,
            ):
                return await _stdout(socket)
        except aiohttp.WSServerHandshakeError as error:
            raise ApiError(error.status, {"message": f"exec answered {error.status}"}, f"GET {path}") from None
        except (aiohttp.ClientError, TimeoutError) as error:
            raise self._unreached(error) from None

    async def metadata(self, path: str, selector: str) -> list[dict[str, Any]]:
        """The metadata of all objects of a collection that carry a label; answered from the server's own cache."""
        query = {"labelSelector": selector, "resourceVersion": "0"}
        what = f"GET {path}"
        try:
            async with self._session.get(
                self._url(path, query), headers={**await self._headers(), "Accept": _METADATA}
            ) as answer:
                told = await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise self._unreached(error) from None
        if answer.status >= 400:
            raise ApiError(answer.status, {"message": f"answered {answer.status}"}, what)
        found: list[dict[str, Any]] = orjson.loads(told).get("items") or []
        return found


async def _stdout(socket: aiohttp.ClientWebSocketResponse) -> bytes:
    """What comes on the channel of stdout, until the server says how the command ended."""
    found = bytearray()
    async for message in socket:
        if message.type is not aiohttp.WSMsgType.BINARY or not message.data:
            continue
        channel, data = message.data[0], message.data[1:]
        if channel == _STDOUT:
            found += data
            if len(found) > READ_LIMIT:
                break
        elif channel == _ERROR:
            return bytes(found) if _succeeded(data) else b""
    return bytes(found[:READ_LIMIT])


def _succeeded(status: bytes) -> bool:
    try:
        said = orjson.loads(status)
    except orjson.JSONDecodeError:
        return False
    return isinstance(said, dict) and said.get("status") == "Success"


class Shown:
    """Answers that are shown to everybody for a while; whoever asks for the same meanwhile waits for the one answer."""

    def __init__(self, at_once: int = AT_ONCE, for_s: float = SHOWN_S, clock: Callable[[], float] = time.monotonic):
        self._for_s, self._clock = for_s, clock
        self._free = asyncio.Semaphore(at_once)
        self._found: OrderedDict[tuple[str, ...], tuple[float, asyncio.Task[Any]]] = OrderedDict()

    async def get(self, key: tuple[str, ...], ask: Callable[[], Awaitable[Any]]) -> Any:
        """What *ask* gives, or gave at most `for_s` seconds ago. Its error is everybody's who waits for it."""
        now = self._clock()
        known = self._found.get(key)
        if known is None or (known[1].done() and now - known[0] > self._for_s):
            known = (now, asyncio.ensure_future(self._ask(ask)))
            self._found[key] = known
            self._found.move_to_end(key)
            self._trim()
        # Shielded: a visitor who closes the page must not take the answer from the others.
        return await asyncio.shield(known[1])

    def forget(self, key: tuple[str, ...]) -> None:
        """It has changed by our own hand."""
        self._found.pop(key, None)

    async def _ask(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        async with self._free:
            return await ask()

    def _trim(self) -> None:
        while len(self._found) > _REMEMBERED:
            self._found.popitem(last=False)
