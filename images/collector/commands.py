"""FTP commands that mean something else here than on a disk, or nothing at all."""

from __future__ import annotations

from pyftpdlib.handlers import TLS_FTPHandler

from images.collector.service import Service

_NOT_OFFERED = ("MFMT", "SITE CHMOD")


class Commands(TLS_FTPHandler):  # type: ignore[misc]  # pyftpdlib has no types
    """The commands around an upload; ftp.py adds the upload itself."""

    service: Service
    _current_type: str
    _announced: int | None = None  # ALLO's size for the next upload, in bytes
    proto_cmds = {name: rules for name, rules in TLS_FTPHandler.proto_cmds.items() if name not in _NOT_OFFERED}  # noqa: RUF012

    def ftp_ALLO(self, line: str) -> None:
        """Remember the announced size; an upload of another size is not stored."""
        count = line.split(" ")[0]
        if not count.isascii() or not count.isdigit() or len(count) > 18:
            self.respond("501 ALLO takes a number of bytes")
            return
        self._announced = int(count)
        self.respond("200 Size noted: an upload of any other size will not be stored.")

    def ftp_APPE(self, file: str) -> None:
        """Refused: an object cannot be appended to."""
        self.respond("502 APPE is not offered: an object cannot be appended to; send the whole file with STOR")

    def ftp_REST(self, line: str) -> None:
        """Only the beginning: what broke off before has been thrown away, so there is nothing to go on from."""
        if line.strip() == "0":
            self.respond("350 Starting at 0.")
        else:
            self.respond("502 REST is not offered: broken uploads are not kept; send the whole file")

    def ftp_FEAT(self, line: str) -> None:
        """pyftpdlib's list without REST STREAM, which is not offered."""
        offered = self.proto_cmds
        self.proto_cmds = {name: rules for name, rules in offered.items() if name != "REST"}
        try:
            super().ftp_FEAT(line)
        finally:
            self.proto_cmds = offered

    def ftp_RNFR(self, path: str) -> None:
        """A file that waits for the object store is not there yet under its own name either."""
        if self.service.publisher.is_waiting(path.strip("/")):
            self.respond("450 The file waits for the object store; try again later")
        else:
            super().ftp_RNFR(path)

    def ftp_SIZE(self, path: str) -> None:
        """The size of a stored file, in ASCII mode as well: bytes are never changed here."""
        kept, self._current_type = self._current_type, "i"
        try:
            super().ftp_SIZE(path)
        finally:
            self._current_type = kept

    def ftp_DELE(self, path: str) -> None:
        """Delete a file, where the settings allow it."""
        if self._allowed(self.service.settings.allow_delete, "deleting"):
            super().ftp_DELE(path)

    def ftp_RMD(self, path: str) -> None:
        """Remove an empty folder, where the settings allow deleting."""
        if self._allowed(self.service.settings.allow_delete, "deleting"):
            super().ftp_RMD(path)

    def ftp_RETR(self, file: str) -> None:
        """Send a stored file, where the settings allow it."""
        if self._allowed(self.service.settings.allow_download, "downloading"):
            super().ftp_RETR(file)

    def ftp_LIST(self, path: str) -> None:
        """List a folder, where the settings allow it."""
        if self._allowed(self.service.settings.allow_list, "listing"):
            super().ftp_LIST(path)

    def ftp_NLST(self, path: str) -> None:
        """As LIST."""
        if self._allowed(self.service.settings.allow_list, "listing"):
            super().ftp_NLST(path)

    def ftp_MLSD(self, path: str) -> None:
        """As LIST."""
        if self._allowed(self.service.settings.allow_list, "listing"):
            super().ftp_MLSD(path)

    def ftp_STAT(self, path: str) -> None:
        """Of a path: as LIST."""
        if not path or self._allowed(self.service.settings.allow_list, "listing"):
            super().ftp_STAT(path)

    def _allowed(self, allowed: bool, what: str) -> bool:
        if not allowed:
            self.respond(f"550 {what} is not allowed here")
        return allowed
