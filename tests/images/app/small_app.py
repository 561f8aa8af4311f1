"""A small real app for the tests: tells what it was asked, echoes websockets, sends much. `port=N` or `socket=PATH`."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

from tornado import httpserver, netutil, web, websocket


class Tell(web.RequestHandler):
    def prepare(self) -> None:
        body = {"path": self.request.path, "query": self.request.query, "method": self.request.method}
        body["headers"] = dict(self.request.headers)
        body["token"] = os.environ.get("JUPYTERHUB_API_TOKEN")
        body["user"] = os.environ.get("JUPYTERHUB_USER")
        self.add_header("Set-Cookie", "one=1")
        self.add_header("Set-Cookie", "two=2")
        self.finish(body)


class Much(web.RequestHandler):
    async def get(self) -> None:
        for _ in range(int(self.get_argument("mib"))):
            self.write(b"x" * 1024 * 1024)
            await self.flush()


class Away(web.RequestHandler):
    def get(self) -> None:
        self.redirect("/elsewhere")


class Echo(websocket.WebSocketHandler):
    def on_message(self, message: str | bytes) -> None:
        self.write_message(f"echo {message!s}")


class Pids(web.RequestHandler):
    def get(self) -> None:
        self.finish({"pids": [os.getpid(), CHILD.pid]})


async def main() -> None:
    how = dict(word.split("=", 1) for word in sys.argv[1:])
    base = how.get("base", "/").rstrip("/")
    app = web.Application(
        [(f"{base}/much", Much), (f"{base}/away", Away), (f"{base}/echo", Echo), (f"{base}/pids", Pids), (".*", Tell)]
    )
    server = httpserver.HTTPServer(app)
    if "socket" in how:
        server.add_socket(netutil.bind_unix_socket(how["socket"]))
    else:
        server.listen(int(how["port"]), how.get("address", "127.0.0.1"))
    await asyncio.Event().wait()


CHILD = subprocess.Popen(["sleep", "1000"])
asyncio.run(main())
