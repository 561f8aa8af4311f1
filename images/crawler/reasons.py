"""From a failed request to a sentence that its reader understands."""

from __future__ import annotations

from http import HTTPStatus

from scrapy import exceptions as scrapy_errors


class Refused(scrapy_errors.IgnoreRequest):
    """We did not send a request, or put its answer aside: *by* is “scope”, “robots”, “limit” or “end”."""

    def __init__(self, reason: str, by: str) -> None:
        super().__init__(reason)
        self.reason, self.by = reason, by


def in_words(error: BaseException, refused_address: str | None) -> str:
    """Why a request failed. *refused_address* is what the guarded resolver had against the host, if anything."""
    if isinstance(error, Refused):
        return error.reason
    if isinstance(error, scrapy_errors.CannotResolveHostError):
        if refused_address is not None:
            return f"{refused_address}, which a crawl must not reach"
        return "there is no such host (the name could not be resolved)"
    if isinstance(error, scrapy_errors.DownloadConnectionRefusedError):
        return "the connection was refused: nothing listens there"
    if isinstance(error, scrapy_errors.DownloadTimeoutError):
        return "no answer in time"
    if isinstance(error, scrapy_errors.DownloadCancelledError):
        return "the answer is larger than max_response_bytes"
    if isinstance(error, scrapy_errors.ResponseDataLossError):
        return "the connection broke off before the answer was complete"
    text = " ".join(str(error).split())
    if "certificate" in text.lower():
        return f"the https certificate does not hold: {text[:200]}"
    if isinstance(error, scrapy_errors.DownloadFailedError):
        return f"the connection failed: {text[:200]}"
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__


def status_text(status: int) -> str:
    """E.g. “HTTP 404 (Not Found)”."""
    try:
        return f"HTTP {status} ({HTTPStatus(status).phrase})"
    except ValueError:
        return f"HTTP {status}"
