"""A line to a bed's API server that a test can cut: for those who use its kubeconfig the server is gone, and nobody
else on the bed notices."""

from __future__ import annotations

import contextlib
import json
import socket
from pathlib import Path
from threading import Lock, Thread
from urllib.parse import urlsplit

import yaml

from tests.cluster.bed import Bed


class Line:
    """Passes bytes on, until it is cut."""

    def __init__(self, bed: Bed, folder: Path) -> None:
        told = yaml.safe_load(bed.kubeconfig.read_text())
        server = urlsplit(told["clusters"][0]["cluster"]["server"])
        self._to = (str(server.hostname), int(server.port or 443))
        self._open: list[socket.socket] = []
        self._lock = Lock()
        self._listener: socket.socket | None = None
        self._port = 0
        self.mend()
        cluster = told["clusters"][0]["cluster"]
        cluster["server"] = f"https://127.0.0.1:{self._port}"
        del cluster["certificate-authority-data"]
        cluster["insecure-skip-tls-verify"] = True  # its certificate is for another address
        self.kubeconfig = folder / "line.kubeconfig"
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(json.dumps(told))

    def mend(self) -> None:
        """Answer, at the same port as ever. Nothing where it does."""
        if self._listener is not None:
            return
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self._port))
        listener.listen(64)
        self._port, self._listener = int(listener.getsockname()[1]), listener
        Thread(target=self._accept, args=(listener,), daemon=True).start()

    def cut(self) -> None:
        """Refuse connections, and break those that are there."""
        if self._listener is not None:
            # shutdown: close() alone does not wake a thread that waits in accept()
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        with self._lock:
            every, self._open = self._open, []
        for one in every:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
                far = socket.create_connection(self._to)
            except OSError:
                return
            with self._lock:
                self._open += [near, far]
            for source, target in ((near, far), (far, near)):
                Thread(target=_pass_on, args=(source, target), daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for one in (source, target):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
