"""The FTP session: what each command may do here, and what it answers."""

from __future__ import annotations

import logging
import secrets
import socket
import sys
import time
from typing import Any

from OpenSSL import SSL
from pyftpdlib.filesystems import FilesystemError

from images.collector.commands import Commands
from images.collector.data import CollectorDTP, CollectorPassiveDTP
from images.collector.filesystem import RemoteFS
from images.collector.names import refusal
from images.collector.receive import Control, Receiver, Refused, Rules, control_state, settling_time
from images.collector.service import Authorizer, Service

_log = logging.getLogger("collector")


class CollectorHandler(Commands):
    """One control connection. handler_class() gives the subclass with its service."""

    data_channel: Any
    _in_buffer: list[bytes]
    _in_dtp_queue: tuple[Receiver, str] | None
    banner = "Instrument upload ready."
    dtp_handler = CollectorDTP
    abstracted_fs = RemoteFS
    unicode_errors = "strict"  # a name that cannot be decoded is refused with 501, not stored under another one
    max_login_attempts = 3

    @property
    def quitting(self) -> bool:
        """Whether the client said QUIT during its transfer: it wants to end after it."""
        return bool(self._quit_pending)

    def decode(self, bytes: bytes) -> str:
        """As pyftpdlib, which forgets to drop a line that cannot be decoded, and then never reads another."""
        try:
            return str(super().decode(bytes))
        except UnicodeDecodeError:
            self._in_buffer, self._in_buffer_len = [], 0
            raise

    # logging: short, without the password and without a user name that may be a password typed into the wrong field

    def log(self, msg: str, logfun: Any = None) -> None:
        """pyftpdlib's running commentary is left out; our own rows and warnings say more."""

    def warn(self, text: str) -> None:
        """One line with the client's address."""
        _log.warning("%s: %s", self.remote_ip, text)

    def log_exception(self, instance: Any) -> None:
        """One line instead of a traceback."""
        error = sys.exc_info()[1]
        _log.error("%s: unexpected %s: %s", self.remote_ip, type(error).__name__, error)

    # who may come in

    def on_connect(self) -> None:
        """Turn a locked out address away before it can try another password."""
        if self.service.stopping.is_set():
            self._turn_away("421 The service is stopping; try again later")
        elif self.service.defender.locked(self.remote_ip):
            self._turn_away("421 Too many wrong passwords from this address; try again later")

    def _turn_away(self, reply: str) -> None:
        self.respond(reply)
        self.close_when_done()

    def on_login(self, username: str) -> None:
        """A right password clears the address."""
        self.service.defender.succeeded(self.remote_ip)

    def on_login_failed(self, username: str, password: str) -> None:
        """Count it."""
        self.warn("wrong user or password")
        if self.service.defender.failed(self.remote_ip):
            self.warn("locked out after too many wrong passwords")
            if not self._closed:
                self.close_when_done()

    # passive and active data connections

    def _make_epasv(self, extmode: bool = False) -> None:
        self._shutdown_connecting_dtp()
        if self.data_channel is not None:
            self.data_channel.close()
            self.data_channel = None
        local = self.socket.getsockname()
        if not extmode and ":" in local[0] and not local[0].startswith("::ffff:"):
            self.respond("522 PASV cannot tell an IPv6 address; use EPSV")
            return
        listening = self.service.ports.listen(_family(self.socket), local[0])
        if listening is None:
            self.respond("425 All passive ports are in use; try again")
            return
        port = listening.getsockname()[1]
        if extmode:
            reply = f"229 Entering extended passive mode (|||{port}|)."
        else:
            told = self.service.settings.public_address or local[0].removeprefix("::ffff:")
            reply = f"227 Entering passive mode ({told.replace('.', ',')},{port // 256},{port % 256})."
        self._dtp_acceptor = CollectorPassiveDTP(self, self.service.ports, listening, reply)

    # uploads

    def ftp_STOR(self, file: str, mode: str = "w") -> None:
        """Receive a file under *file*; answered when it is stored."""
        self._receive(file, "")

    def ftp_STOU(self, line: str) -> None:
        """Receive a file under a name of our making."""
        path = self.fs.ftp2fs(line or "upload")
        self._receive(path, "unique")

    def _receive(self, file: str, unique: str) -> None:
        if self.data_channel is not None and self.data_channel._closed:
            self.data_channel = None
        if self.data_channel is None and self._dtp_acceptor is None and self._dtp_connector is None:
            self.respond("425 No data connection: use PASV or EPSV first")
            return
        try:
            receiver = self._open(file.lstrip("/"), bool(unique))
        except Refused as refused:
            self.respond(refused.reply)
            return
        finally:
            self._announced = None
        opened = "150 Ready to receive."
        if unique:
            opened = f"150 FILE: {receiver.upload.path.rpartition('/')[2]}"  # RFC 1123, 4.1.2.9
        if self.data_channel is not None:
            self.respond(opened.replace("150", "125", 1))
            self.data_channel.file_obj = receiver
            self.data_channel.enable_receiving(self._current_type, "STOR")
        else:
            self.no_data_connection("")
            self.respond(opened)
            self._in_dtp_queue = (receiver, "STOR")

    def _open(self, path: str, unique: bool) -> Receiver:
        service, settings = self.service, self.service.settings
        if service.stopping.is_set():
            raise Refused("421 The service is stopping; try again later")
        if unique:
            path = f"{path}.{secrets.token_hex(4)}"
        bad = refusal(path, settings.destination.partition(":")[2])
        if bad:
            raise Refused(f"553 {bad}")
        if service.folders.known(path):
            raise Refused("553 There is a folder of this name")
        limit = settings.max_file_bytes
        if self._announced is not None and limit is not None and self._announced > limit:
            raise Refused(f"552 The file is longer than the {limit} bytes allowed here")
        if not service.spool.grow(0):
            raise Refused("452 The spool is full; try again later")
        protocol = "ftps" if self._ssl_established else "ftp"
        try:
            upload = service.spool.begin(path, self.remote_ip, protocol)
        except OSError as error:
            raise Refused(f"452 The spool cannot take the file: {error.strerror}") from None
        receiver = Receiver(service.spool, upload, Rules(limit, settings.sha256), self._announced)
        service.busy.add(receiver)
        return receiver

    def upload_complete(self, receiver: Receiver) -> None:
        """All bytes came: store the file, then answer. Blocks this session only."""
        ended = time.monotonic()
        settle_s = settling_time(receiver.seconds, self.service.settings.settle_ms / 1000)
        try:
            upload = receiver.complete()
        except Refused as refused:
            self._incomplete(receiver, refused.reply)
            return
        try:
            result = self.service.publisher.publish(upload, lambda: self._gone(ended, settle_s))
        finally:
            self.service.busy.discard(receiver)
        if result.outcome == "stored":
            self.service.folders.seen(upload.path)
            self._answer("226 Transfer complete; the file is stored.")
        elif result.outcome == "waiting":
            self._answer(f"451 Received, but not stored yet; it will be tried again here: {result.reason}")
        else:
            self._answer(f"426 {result.reason}")

    def upload_broken(self, receiver: Receiver, reply: str) -> None:
        """The transfer broke off: nothing is stored, and a row says so."""
        receiver.abandon()
        self._incomplete(receiver, reply)

    def no_data_connection(self, reply: str) -> None:
        """A STOR that waits for its data connection waits in vain; *reply* ("" for none) goes to the client."""
        queued, self._in_dtp_queue = self._in_dtp_queue, None
        if queued is not None and not queued[0].ended:
            queued[0].abandon()
            self._row(queued[0], reply[4:] or "no data connection was made")
            if reply:
                self._answer(reply)

    def _incomplete(self, receiver: Receiver, reply: str) -> None:
        self._row(receiver, reply[4:])
        self._answer(reply)

    def _row(self, receiver: Receiver, reason: str) -> None:
        self.service.busy.discard(receiver)
        upload = receiver.upload
        self.service.ledger.write(
            id=upload.id,
            path=upload.path,
            bytes=receiver.count,
            source=upload.source,
            protocol=upload.protocol,
            outcome="incomplete",
            reason=reason,
            seconds=receiver.seconds,
        )

    def renamed(self, source: str, target: str, size: int) -> None:
        """RNTO succeeded; the row makes the list of uploads tell the name that the file has now."""
        service = self.service
        service.ledger.write(
            id=secrets.token_hex(10),
            path=target,
            bytes=size,
            source=self.remote_ip,
            protocol="ftps" if self._ssl_established else "ftp",
            outcome="renamed",
            reason=f"was {source}",
            was=source,
        )

    def _gone(self, ended: float, settle_s: float) -> str | None:
        """Asked right before the object may change: did the client vanish when its data *ended* (time.monotonic()), or
        while its upload waited for its turn? What was done since then counts as part of the *settle_s* seconds.
        """
        if self._quit_pending:
            return None
        state = control_state(self.socket, settle_s - (time.monotonic() - ended))
        return None if state is Control.OPEN else state.value

    def _answer(self, reply: str) -> None:
        if not self._closed:
            self.respond(reply)

    def close(self) -> None:
        """The session ends: a STOR still waiting for its data connection is broken off."""
        if not self._closed and getattr(self, "_in_dtp_queue", None) is not None:
            self.no_data_connection("")
        super().close()

    # commands with another meaning here

    def process_command(self, cmd: str, *arguments: Any, **keywords: Any) -> None:
        """As usual, but with an object store that is looked at anew for each command."""
        if self.fs is not None:
            self.fs.forget()
        try:
            super().process_command(cmd, *arguments, **keywords)
        except FilesystemError as error:  # from where pyftpdlib expects none, such as isfile() in SIZE
            self.respond(f"451 {error}")

    def ftp_ABOR(self, line: str) -> None:
        """Break the running upload off."""
        if self.data_channel is not None and self.data_channel.receive:
            self.data_channel.end("426 aborted by the client")
            self.respond("226 ABOR command successful.")
            return
        self.no_data_connection("426 aborted by the client")
        super().ftp_ABOR(line)


def handler_class(service: Service, context: SSL.Context) -> type[CollectorHandler]:
    """The handler with *service* and TLS *context*; pyftpdlib wants its settings on the class."""
    settings = service.settings
    required = settings.protocol == "ftps"
    data = type("Data", (CollectorDTP,), {"timeout": settings.limits.idle_timeout_s})
    return type(
        "Handler",
        (CollectorHandler,),
        {
            "service": service,
            "authorizer": Authorizer(settings, service.password),
            "dtp_handler": data,
            "ssl_context": context,
            "tls_control_required": required,
            "tls_data_required": required,
            "timeout": settings.limits.idle_timeout_s,
            "auth_failed_timeout": settings.limits.login_delay_s,
            "encoding": settings.encoding,
        },
    )


def _family(connection: Any) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in connection.getsockname()[0] else socket.AF_INET
