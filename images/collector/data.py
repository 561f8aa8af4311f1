"""The data connection: pyftpdlib's, with our own reading, our own end of file, and our own passive ports."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
from typing import Any

from OpenSSL import SSL
from pyftpdlib.handlers.ftp.data import DTPHandler
from pyftpdlib.handlers.ftp.dispatchers import PassiveDTP
from pyftpdlib.handlers.ftps.data import TLS_DTPHandler
from pyftpdlib.ioloop import Acceptor, AsyncChat

from images.collector.receive import Control, Receiver, Refused, control_state

_BUFFER_BYTES = 1 << 20
_AGAIN = (BlockingIOError, InterruptedError)
_buffers = threading.local()


def _buffer() -> memoryview:
    """One buffer for each thread: a session is one thread, and it reads and writes in one go."""
    if not hasattr(_buffers, "view"):
        _buffers.view = memoryview(bytearray(_BUFFER_BYTES))
    view: memoryview = _buffers.view
    return view


class _ReceivingDTP(DTPHandler):  # type: ignore[misc]  # pyftpdlib has no types
    """Reads an upload. Everything that is not a clean end of file makes it incomplete; stock pyftpdlib takes a reset
    for the end (ioloop.AsyncChat.recv → handle_close → 226).
    """

    ac_out_buffer_size = 1 << 18
    _lastdata: int
    _over: str | None = None  # the reply with which an upload ended, once it has

    def enable_receiving(self, type: str, cmd: str) -> None:
        """Bytes are stored as they come, whatever TYPE says: ASCII mode, FTP's default, would destroy binary files."""
        super().enable_receiving("i", cmd)

    def readable(self) -> bool:
        """Before its command comes, leave what the client sends early where it is; stock pyftpdlib hangs up on it."""
        if not self.receive and not self._initialized:
            self.del_channel()  # taken up again by enable_receiving() or push(); until then the poller would spin
            return False
        return bool(self.receive)

    def handle_read(self) -> None:
        """Take what is there, up to one buffer, and write it in one go."""
        if not self.receive:
            super().handle_read()
            return
        view, filled = _buffer(), 0
        ended: bool | str = False
        while filled < _BUFFER_BYTES and not ended:
            count, ended = self._fill(view[filled:])
            filled += count
            if not count:
                break
        self.tot_bytes_received += filled
        try:
            if filled:
                self.file_obj.write(view[:filled])
        except Refused as refused:
            self.end(refused.reply)
            return
        if isinstance(ended, str):
            self.end(f"426 The data connection broke: {ended}")
        elif ended:
            self._end_of_file()

    handle_read_event = handle_read

    def _fill(self, view: memoryview) -> tuple[int, bool | str]:
        """Read once: the count of bytes, and whether the data ended: False, True (cleanly), or why it broke."""
        try:
            count = int(self.socket.recv_into(view))
        except _AGAIN:
            return 0, False
        except SSL.WantReadError:
            self._ssl_want_read = True
            return 0, False
        except SSL.WantWriteError:
            self._ssl_want_write = True
            return 0, False
        except SSL.ZeroReturnError:  # close_notify
            return 0, True
        except (OSError, SSL.Error) as error:
            return 0, _words(error)
        return count, count == 0

    def handle_close(self) -> None:
        """The poller saw an error or a hang-up without data: never the end of a file."""
        if not self.receive:
            super().handle_close()
        elif not self._closed:
            self.end("426 The data connection broke: connection reset")

    def handle_timeout(self) -> None:
        """No byte for the whole idle time."""
        if not self.receive:
            super().handle_timeout()
        elif self.tot_bytes_received > self._lastdata:
            self._lastdata = self.tot_bytes_received
        else:
            self.end(f"421 No data for {self.timeout:g} s")
            self.cmd_channel.close_when_done()

    def end(self, reply: str) -> None:
        """End the upload as broken off, with *reply* to the client."""
        self._over = reply
        self.close()

    def _end_of_file(self) -> None:
        receiver: Receiver = self.file_obj
        session = self.cmd_channel
        state = Control.OPEN if session.quitting else control_state(session.socket)
        if state is not Control.OPEN:
            self.end(f"426 {state.value}")
        elif receiver.expected is not None and receiver.expected != receiver.count:
            self.end(f"451 Received {receiver.count} bytes, but ALLO announced {receiver.expected}; not stored")
        else:
            self.transfer_finished = True
            self.close()

    def close(self) -> None:
        """Close the connection first (RFC 959), then decide and answer. Blocks while the file is being stored: a
        session is a thread of its own, so it delays nobody else.
        """
        if self._closed or not self.receive or self.file_obj is None:
            super().close()
            return
        AsyncChat.close(self)
        if self._idler is not None and not self._idler.cancelled:
            self._idler.cancel()
        session = self.cmd_channel
        receiver: Receiver = self.file_obj
        if self.transfer_finished:
            session.upload_complete(receiver)
        else:
            session.upload_broken(receiver, self._over or _given_up(session))
        session._on_dtp_close()


class CollectorDTP(TLS_DTPHandler, _ReceivingDTP):  # type: ignore[misc]
    """The data connection, plain or under TLS. Python's method order puts TLS around our reading."""

    def close(self) -> None:
        """Under TLS, answer a clean end with our own close_notify; a broken connection is just closed."""
        if self.receive and self._ssl_established and not self._closed:
            if self.transfer_finished:
                with contextlib.suppress(SSL.Error, OSError):
                    self.socket.shutdown()
            self._error = True  # pyftpdlib: skip the asynchronous TLS shutdown, go on to the plain close()
        super().close()

    def handle_failed_ssl_handshake(self) -> None:
        """The client does not speak TLS on the data connection as it promised (RFC 4217, 10.2: 522)."""
        if self.receive:
            self.end("522 The TLS handshake of the data connection failed")
        else:
            super().handle_failed_ssl_handshake()

    def handle_error(self) -> None:
        """An exception nobody expected: the upload is broken off, and the log gets one line."""
        self._over = self._over or "426 Internal error"
        super().handle_error()


class PassivePorts:
    """The passive ports, lent one at a time: pyftpdlib falls back to a random port, which no firewall lets through."""

    def __init__(self, low: int, high: int) -> None:
        self.low, self.high = low, high
        self._free = set(range(low, high + 1))
        self._lock = threading.Lock()

    def listen(self, family: socket.AddressFamily, address: str) -> socket.socket | None:
        """A socket that listens on *address* and a free port of the range, or None where none is free."""
        with self._lock:
            candidates = list(self._free)
        # From a random one on: a port that is hard to guess is hard to steal, and shuffling a thousand takes a while.
        first = random.randrange(len(candidates)) if candidates else 0  # noqa: S311
        for port in candidates[first:] + candidates[:first]:
            listening = self._try(family, address, port)
            if listening is not None:
                return listening
        return None

    def give_back(self, port: int) -> None:
        """The port may be used again."""
        with self._lock:
            self._free.add(port)

    def _try(self, family: socket.AddressFamily, address: str, port: int) -> socket.socket | None:
        with self._lock:
            if port not in self._free:
                return None
            self._free.discard(port)
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((address, port))
            listening.listen(1)
        except OSError:  # another program has it
            listening.close()
            self.give_back(port)
            return None
        return listening


class CollectorPassiveDTP(PassiveDTP):  # type: ignore[misc]
    """Waits for the client's data connection on *listening*."""

    def __init__(self, session: Any, ports: PassivePorts, listening: socket.socket, reply: str) -> None:
        self.cmd_channel = session
        self.log = session.log
        self.log_exception = session.log_exception
        self._ports = ports
        self._port = listening.getsockname()[1]
        Acceptor.__init__(self, ioloop=session.ioloop)
        listening.setblocking(False)
        self.set_socket(listening)
        self.accepting = True
        session.respond(reply)
        self.call_later(self.timeout, self.handle_timeout)

    def handle_accepted(self, sock: socket.socket, addr: tuple[Any, ...]) -> None:
        """Take the connection if it comes from the client's own address; any other is closed, and we go on waiting."""
        if addr[0] != self.cmd_channel.remote_ip:
            sock.close()
            self.cmd_channel.warn(f"data connection from another address ({addr[0]}) refused")
            return
        super().handle_accepted(sock, addr)
        if self.cmd_channel.data_channel is None:
            # Reset before we accepted it: pyftpdlib drops it without a word, and the client waits for ever.
            self.cmd_channel.no_data_connection("426 The data connection broke: connection reset")

    def handle_timeout(self) -> None:
        """No data connection came."""
        self.cmd_channel.no_data_connection("421 No data connection was made")
        self.close()

    def close(self) -> None:
        """Close, and give the port back once."""
        if not self._closed:
            super().close()
            self._ports.give_back(self._port)


def _given_up(session: Any) -> str:
    if session._closed:
        return "426 The control connection was closed during the transfer"
    return "426 The data connection was closed before the transfer ended"


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, SSL.SysCallError):
        return "TLS closed without close_notify" if error.args[0] == -1 else str(error.args[-1])
    return "TLS error"
