"""A tool's error in people's words. Pure."""

from __future__ import annotations

import re

# First match wins, so what is certain stands before what is general. The texts are what rclone 1.75, its S3 back end
# and rsync 3.x say; each says what is wrong and, where one can know, what to do.
_WORDS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), words)
    for pattern, words in (
        (
            r"InvalidAccessKeyId|SignatureDoesNotMatch|InvalidToken|ExpiredToken|invalid_grant|StatusCode: 401"
            r"|unable to authenticate|couldn't login|530 Login",
            "The credentials of the object store were refused (wrong or expired key)",
        ),
        (r"Permission denied \((publickey|password|keyboard)", "The ssh host refused the key of this transfer"),
        (
            r"Host key verification failed|No .{1,20} host key is known",
            "The ssh host is not known: its host key is missing or has changed",
        ),
        (r"NoSuchBucket|bucket does not exist|container does not exist", "There is no such bucket"),
        (r"didn't find section in config file", "The remote is not in this tenant's list of remotes"),
        (
            r"no space left on device|disk quota exceeded|QuotaExceeded|insufficient storage|XMinioStorageFull",
            "The destination is full (disk or quota)",
        ),
        (r"max-delete", "More files would be deleted than this transfer allows"),
        (r"AccessDenied|StatusCode: 403|api error Forbidden", "The object store did not allow it (permission denied)"),
        (
            r"permission denied|operation not permitted",
            "A file or folder may not be read or written (permission denied)",
        ),
        (r"read-only file system", "The destination cannot be written (read-only)"),
        (
            r"directory not found|object not found|NoSuchKey|No such file or directory",
            "The source, or something in it, does not exist",
        ),
        (
            r"no such host|could not resolve hostname|name or service not known|temporary failure in name resolution",
            "The host name of the other side is not known",
        ),
        (
            r"connection refused|connection reset|i/o timeout|timed out|timeout|network is unreachable|no route to host"
            r"|connection unexpectedly closed|broken pipe|connection closed",
            "The other side could not be reached, or the connection was lost",
        ),
        (r"x509|certificate", "The certificate of the other side is not trusted"),
        (r"vanished", "Some files disappeared while they were being read"),
        (r"corrupted on transfer|differ", "Contents differ after the transfer"),
    )
)
# What could carry a secret in an error text: credentials in a URL, the parts of a signed one, an Authorization header.
_SECRETS = (
    (re.compile(r"(://)[^/@\s]+@"), r"\1"),
    (re.compile(r"(?i)((?:signature|credential|token|secret|password|key)=)[^&\s\"]+"), r"\1…"),
    (re.compile(r"(?i)(authorization:\s*)\S.*"), r"\1…"),
)
_NOISE = re.compile(r", RequestID: [^,]*, HostID: [^,]*,")
LIMIT = 300


def without_secrets(text: str) -> str:
    """*text* on one line, without what could be a credential, at most LIMIT characters."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    text = " ".join(_NOISE.sub(",", text).split())
    return text if len(text) <= LIMIT else text[: LIMIT - 1] + "…"


def in_words(text: str) -> str:
    """One sentence for people, the tool's own words behind it in brackets."""
    own = without_secrets(text)
    for pattern, words in _WORDS:
        if pattern.search(text):
            return f"{words} [{own}]"
    return own or "The tool failed without a message"
