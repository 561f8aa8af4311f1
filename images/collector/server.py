"""The FTP service from its start to its end: the listening socket, the threads, the way out."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from typing import Any

from OpenSSL import SSL
from pyftpdlib.ioloop import IOLoop
from pyftpdlib.servers import ThreadedFTPServer

from images.collector.ftp import handler_class
from images.collector.receive import Receiver
from images.collector.service import Service

_log = logging.getLogger("collector")
_TICK_S = 0.2


class CollectorServer(ThreadedFTPServer):  # type: ignore[misc]  # pyftpdlib has no types
    """A thread for each session, so that one which waits for the object store delays no other."""

    poll_timeout = 1.0
    acceptor: threading.Thread | None = None

    def _accept_new_cons(self) -> bool:
        # pyftpdlib asks for data connections too (from the session's thread), which are no sessions of their own, and
        # lets one session more in than it was told.
        return threading.current_thread() is not self.acceptor or self._map_len() < self.max_cons

    def handle_error(self) -> None:
        """One line; the listening socket stays open (stock pyftpdlib closes it)."""
        _log.error("accepting a connection failed")


class FtpService:
    """Serves until stop(). OSError from the constructor where the port cannot be had."""

    def __init__(self, service: Service, context: SSL.Context) -> None:
        settings = service.settings
        self._service = service
        self._listening = listen(settings.address, settings.port)
        self._server = CollectorServer(self._listening, handler_class(service, context), ioloop=IOLoop())
        self._server.max_cons = settings.limits.max_connections
        self._server.max_cons_per_ip = settings.limits.max_connections_per_ip
        CollectorServer._exit.clear()
        self._thread = threading.Thread(target=self._accept, name="ftp-accept", daemon=True)
        self._server.acceptor = self._thread

    def start(self) -> None:
        """Begin to accept connections."""
        self._thread.start()

    def stop(self, grace_s: float) -> None:
        """Accept nothing new, let running uploads end within *grace_s* seconds, then cut what is left.

        What was received and is not stored by then stays in the spool, for the next start; what is half received is
        gone.
        """
        self._service.stopping.set()
        self._thread.join(5)
        deadline = time.monotonic() + grace_s
        while self._service.busy and time.monotonic() < deadline:
            time.sleep(0.02)
        CollectorServer._exit.set()
        for left in list(self._service.busy):
            if isinstance(left, Receiver) and not left.ended:
                _log.warning("%s: cut off: the collector stops", left.upload.path)

    def _accept(self) -> None:
        loop = self._server.ioloop
        while not self._service.stopping.is_set():
            loop.poll(_TICK_S)
            loop.sched.poll()
        self._server.socket.close()


def listen(address: str, port: int) -> socket.socket:
    """A listening TCP socket; OSError with the address in its text where that fails."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address, port))
        listening.listen(100)
    except OSError as error:
        listening.close()
        raise OSError(error.errno, f"port {port} of {address}: {os.strerror(error.errno or 0)}") from None
    return listening


def one_line_for_threads(arguments: Any) -> None:
    """For threading.excepthook: a session that fails in a way nobody foresaw is one line in the log."""
    _log.error("a session ended by an unexpected %s: %s", arguments.exc_type.__name__, arguments.exc_value)
