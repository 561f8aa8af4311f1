"""JupyterHub and servers that the portal answers for."""

from __future__ import annotations

import asyncio
import logging
import socket
from types import SimpleNamespace

import jupyterhub
from jupyterhub.objects import Server
from jupyterhub.user import User

from spawners.portalside import counts_as_up


def test_jupyterhub_does_not_wait_for_a_portal_that_is_away() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        server = Server.from_url(f"http://127.0.0.1:{nobody.getsockname()[1]}/user/ada/news/")
        counts_as_up(server)
        spawner = SimpleNamespace(server=server, http_timeout=3600, _start_pending=True, _waiting_for_response=True)
        user = SimpleNamespace(settings={}, log=logging.getLogger("test"), name="ada")
        asyncio.run(User._wait_up(user, spawner))
    assert not spawner._start_pending
    assert not spawner._waiting_for_response
    assert spawner._jupyterhub_version == jupyterhub.__version__  # or each launch would warn of an old server


def test_a_server_that_is_not_there_is_nothing_to_wait_for() -> None:
    counts_as_up(None)
