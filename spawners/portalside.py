"""Servers that the portal answers for: an unattended workload has no program of its own at its URL."""

from __future__ import annotations

from typing import Any

from jupyterhub import __version__
from tornado.httputil import HTTPHeaders


class _Up:
    """An answer as JupyterHub's User._wait_up reads it."""

    headers = HTTPHeaders({"X-JupyterHub-Version": __version__})


async def _wait_up(*_: Any, **__: Any) -> _Up:
    return _Up()


def counts_as_up(server: Any) -> None:
    """JupyterHub does not wait until *server* (a jupyterhub.objects.Server; None: nothing is done) answers.

    After a launch and after its own start JupyterHub asks each server's URL, refuses to stop the server meanwhile (with
    a 500), and ends it where nothing answers in time. Of an unattended one the URL is the portal's: a portal that is
    away, as after the loss of the node that both were on, says nothing of the workload.
    """
    if server is not None:
        server.wait_up = _wait_up
