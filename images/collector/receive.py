"""Receiving one file: the bytes into the spool, and the decision whether what came is the whole file.

FTP's stream mode ends a file by closing the data connection, so a client that dies looks at first like one that is
done. What tells them apart, and is used here: a reset; under TLS a missing close_notify; ABOR; the control
connection, which a dead client loses as well; and the size, where the client announced it (ALLO).
"""

from __future__ import annotations

import hashlib
import re
import select
import socket
import time
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, BinaryIO

from OpenSSL import SSL

from images.collector.spool import Spool, Upload

_PENDING_ABOR = re.compile(rb"(?:^|\n)[\xf0-\xff]*ABOR\r?\n", re.IGNORECASE)
_PENDING_QUIT = re.compile(rb"(?:^|\n)[\xf0-\xff]*QUIT\r?\n", re.IGNORECASE)
_SETTLE_SHARE = 0.1
_SETTLE_LEAST_S = 0.0003
_GONE = select.POLLRDHUP | select.POLLHUP | select.POLLERR


class Refused(Exception):
    """The upload ends here; *reply* is the FTP answer ("452 …"), its text the reason for the row."""

    def __init__(self, reply: str) -> None:
        super().__init__(reply[4:])
        self.reply = reply


class Control(Enum):
    """What the control connection says about the client at the end of the data."""

    OPEN = "open"
    GONE = "the client's control connection was gone when the data ended"
    ABORTED = "aborted by the client"


def settling_time(transfer_s: float, longest_s: float) -> float:
    """How long, in seconds, to wait for the control connection to end too, after a transfer of *transfer_s* seconds.

    A killed process closes one connection, may lose the processor, and closes the other: milliseconds on a busy
    machine. Whoever is killed is mostly killed in a long transfer, so a tenth of its time, which nobody notices, covers
    the risk where it is, and costs small files next to nothing.
    """
    return min(longest_s, max(_SETTLE_LEAST_S, _SETTLE_SHARE * transfer_s))


def control_state(control: Any, settle_s: float = 0.0) -> Control:
    """Look at the control connection (a socket or an SSL.Connection) without taking anything from it.

    A killed client closes both connections, in either order; *settle_s* is how many seconds we wait for the second. A
    client that said QUIT and left is no broken one: it wanted to end after this file.
    """
    poller = select.poll()
    poller.register(control.fileno(), select.POLLRDHUP)
    events = poller.poll(0)
    if not events and settle_s > 0.002:
        events = poller.poll(settle_s * 1000)
    elif not events and settle_s > 0:
        # Not poll(settle): it counts in whole milliseconds, a third of a small upload.
        time.sleep(settle_s)
        events = poller.poll(0)
    pending = _peek(control)
    if _PENDING_ABOR.search(pending):
        return Control.ABORTED
    if events and events[0][1] & _GONE and not _PENDING_QUIT.search(pending):
        return Control.GONE
    return Control.OPEN


def _peek(control: Any) -> bytes:
    try:
        return bytes(control.recv(4096, socket.MSG_PEEK))
    except (OSError, SSL.Error):
        return b""  # nothing there, or gone, which the events tell


@dataclass(frozen=True)
class Rules:
    """What bounds an upload: *max_bytes*, and whether to compute its SHA-256."""

    max_bytes: int | None
    sha256: bool


class Receiver:
    """A file being received: what the FTP handler writes to. Ends exactly once: complete() or abandon().

    Refused where the spool cannot take it. *expected* is the size the client announced with ALLO, None if it did not.
    """

    def __init__(self, spool: Spool, upload: Upload, rules: Rules, expected: int | None) -> None:
        self.upload = upload
        self.expected = expected
        self.count = 0
        self.ended = False
        self.name = upload.path  # pyftpdlib logs it
        self._spool = spool
        self._rules = rules
        self._hash = hashlib.sha256() if rules.sha256 else None
        self._began = time.monotonic()
        try:
            path: Path = spool.file(upload)
            self._stream: BinaryIO = path.open("xb", buffering=0)
        except OSError as error:
            spool.remove(upload, 0)
            raise Refused(f"452 The spool cannot take the file: {error.strerror}") from None

    @property
    def closed(self) -> bool:
        """Whether the spool's file is closed (pyftpdlib asks)."""
        return self._stream.closed

    @property
    def seconds(self) -> float:
        """Seconds since the first byte was awaited."""
        return time.monotonic() - self._began

    def write(self, data: memoryview) -> None:
        """Append *data*. Refused where it is too long, or the spool or its disk is full."""
        size = len(data)
        if self._rules.max_bytes is not None and self.count + size > self._rules.max_bytes:
            raise Refused(f"552 The file is longer than the {self._rules.max_bytes} bytes allowed here")
        if not self._spool.grow(size):
            raise Refused("452 The spool is full: too much is waiting for the object store; try again later")
        self.count += size
        if self._hash is not None:
            self._hash.update(data)
        try:
            while data:
                data = data[self._stream.write(data) :]
        except OSError as error:
            raise Refused(f"452 The spool cannot take more: {error.strerror}") from None

    def complete(self) -> Upload:
        """All has come: from here on the upload is kept through a kill -9. Refused where the journal cannot be
        written.
        """
        self.ended = True
        self._stream.close()
        digest = self._hash.hexdigest() if self._hash is not None else None
        try:
            return self._spool.received(self.upload, self.count, digest)
        except OSError as error:
            self._spool.remove(self.upload, self.count)
            raise Refused(f"452 The spool cannot take the file: {error.strerror}") from None

    def abandon(self) -> None:
        """It will not be complete: forget the bytes."""
        self.ended = True
        self._stream.close()
        self._spool.remove(self.upload, self.count)

    def close(self) -> None:
        """Close the file only; pyftpdlib calls this on ways that have nothing to do with how the upload ended."""
        self._stream.close()
