"""The files of a run: WARC 1.1 with one gzip member a record, and one JSON line a page.

Everything here is written in an order that survives `kill -9` at any moment: the records of one answer go to the
file in one unbuffered write, and only then its line goes to pages.jsonl. What can be torn is the end of each file,
and salvage.py cuts that off.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from warcio.statusandheaders import StatusAndHeaders  # type: ignore[import-untyped]  # warcio ships no types
from warcio.warcwriter import WARCWriter  # type: ignore[import-untyped]

from images.lib.files import append_json_line

PAGES = "pages.jsonl"
ERRORS = "errors.jsonl"
Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Exchange:
    """One request and its answer, as they went over the wire except for transfer coding (the body is not chunked)."""

    url: str
    method: str
    request_headers: Headers
    status: int
    response_headers: Headers
    body: bytes
    address: str | None
    time: datetime

    @property
    def sha256(self) -> str:
        """SHA-256 of the body as received (before any Content-Encoding is undone), in hexadecimal."""
        return hashlib.sha256(self.body).hexdigest()


@dataclass(frozen=True)
class Place:
    """Where the response record of an exchange is: file name, and offset and length of its gzip member in bytes."""

    warc: str
    offset: int
    length: int


@dataclass(frozen=True)
class Page:
    """One line of pages.jsonl."""

    url: str
    status: int
    time: str
    kind: str
    depth: int
    referrer: str | None
    redirected_from: tuple[str, ...]
    content_type: str
    bytes: int
    sha256: str
    title: str | None
    warc: str | None
    offset: int | None
    length: int | None


class _Verbatim(StatusAndHeaders):  # type: ignore[misc]  # warcio ships no types
    """Header lines that are written with the bytes they came with; warcio itself would percent-encode some."""

    def compute_headers_buffer(self, header_filter: object = None) -> None:
        self.headers_buff = self.to_str().encode("latin-1", "replace") + b"\r\n"


class Archive:
    """The WARC files and JSON lines of one run, in *folder*. Any method may raise OSError (a full disk)."""

    def __init__(self, folder: Path, prefix: str, warc_bytes: int, info: Mapping[str, str]) -> None:
        """Files are called *prefix*-00000.warc.gz and on; *info* is the content of each one's warcinfo record."""
        self.folder = folder
        self._prefix, self._warc_bytes, self._info = prefix, warc_bytes, dict(info)
        self._number = 0
        self._file: io.FileIO | None = None
        self._warcinfo_id = ""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def add(self, exchange: Exchange) -> Place:
        """Write the response and the request record of *exchange*; both are in the file when this returns."""
        file = self._file_with_room()
        writer = WARCWriter(io.BytesIO(), gzip=True, warc_version="1.1")
        response = self._response(writer, exchange)
        writer.write_record(response)
        response_end = writer.out.tell()
        writer.write_record(self._request(writer, exchange, response.rec_headers.get_header("WARC-Record-ID")))
        offset = self._write(file, writer.out.getvalue())
        return Place(Path(str(file.name)).name, offset, response_end)

    def add_page(self, page: Page) -> None:
        """Append *page* to pages.jsonl."""
        append_json_line(self.folder / PAGES, asdict(page))

    def add_error(self, url: str, referrer: str | None, reason: str) -> None:
        """Append an address that gave no answer, or was not asked, to errors.jsonl, with the reason in words."""
        row = {"url": url, "time": utc_text(datetime.now(UTC)), "referrer": referrer, "reason": reason}
        append_json_line(self.folder / ERRORS, row)

    def close(self) -> None:
        """Bring everything to the disk. Adding afterwards starts another WARC file."""
        if self._file is not None:
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None

    def _file_with_room(self) -> io.FileIO:
        if self._file is not None and self._file.tell() >= self._warc_bytes:
            self.close()
        if self._file is None:
            path = self.folder / f"{self._prefix}-{self._number:05d}.warc.gz"
            self._number += 1
            # Unbuffered: a record that write() took is out of this process and outlives its death.
            self._file = io.FileIO(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w")
            self._file.name = str(path)
            writer = WARCWriter(io.BytesIO(), gzip=True, warc_version="1.1")
            record = writer.create_warcinfo_record(path.name, self._info)
            self._warcinfo_id = record.rec_headers.get_header("WARC-Record-ID")
            writer.write_record(record)
            self._write(self._file, writer.out.getvalue())
        return self._file

    @staticmethod
    def _write(file: io.FileIO, data: bytes) -> int:
        """Append all of *data*; gives its offset. On a full disk the half record is taken back before the error."""
        offset = file.tell()
        view = memoryview(data)
        try:
            while view:
                view = view[file.write(view) or 0 :]
        except OSError:
            file.truncate(offset)
            file.seek(offset)
            raise
        return offset

    def _common(self, exchange: Exchange) -> dict[str, str]:
        headers = {
            "WARC-Date": exchange.time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "WARC-Warcinfo-ID": self._warcinfo_id,
        }
        if exchange.address:
            headers["WARC-IP-Address"] = exchange.address
        return headers

    def _response(self, writer: WARCWriter, exchange: Exchange) -> Any:
        try:
            phrase = HTTPStatus(exchange.status).phrase
        except ValueError:
            phrase = ""
        lines = _Verbatim(f"{exchange.status} {phrase}".rstrip(), exchange.response_headers, protocol="HTTP/1.1")
        return writer.create_warc_record(
            exchange.url,
            "response",
            payload=io.BytesIO(exchange.body),
            length=len(exchange.body),
            http_headers=lines,
            warc_headers_dict=self._common(exchange),
        )

    def _request(self, writer: WARCWriter, exchange: Exchange, response_id: str) -> Any:
        parts = urlsplit(exchange.url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        first_line = f"{exchange.method} {target} HTTP/1.1"
        lines = _Verbatim(first_line, exchange.request_headers, is_http_request=True)
        headers = self._common(exchange) | {"WARC-Concurrent-To": response_id}
        return writer.create_warc_record(exchange.url, "request", http_headers=lines, warc_headers_dict=headers)


def utc_text(moment: datetime) -> str:
    """*moment* in UTC to the millisecond: 2026-11-21T10:15:00.000Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
