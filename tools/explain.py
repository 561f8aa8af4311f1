"""From the output of an installer that failed to one line that says what to do."""

from __future__ import annotations

import re

# In this order: a full disk also breaks downloads, and a broken certificate also reads as a failed connection.
_CAUSES: tuple[tuple[str, str], ...] = (
    (r"No space left on device|ENOSPC|os error 28|Disk quota exceeded|EDQUOT", "the disk is full; make room"),
    (
        r"Read-only file system|EROFS|os error 30",
        "the folder is read-only; clone the repository to a place of your own",
    ),
    (
        r"certificate|UnknownIssuer|SSLError|SELF_SIGNED|UNABLE_TO_VERIFY|UNABLE_TO_GET_ISSUER",
        "a certificate was refused; behind a proxy that signs for itself, set SSL_CERT_FILE to its certificate",
    ),
    (
        r"hash(es)? mismatch|DO NOT MATCH THE HASHES|EINTEGRITY",
        "a package is not the one the lock file names; the mirror, or something between here and it, changed it",
    ),
    (
        r"Temporary failure in name resolution|Name or service not known|nodename nor servname|dns error|ENOTFOUND"
        r"|EAI_AGAIN|Network is unreachable|ENETUNREACH|ECONNREFUSED|ECONNRESET|ETIMEDOUT|Connection refused"
        r"|Connection reset|timed out|ConnectTimeout|Failed to establish a new connection|tcp connect error"
        r"|error sending request|Failed to fetch|No matching distribution found|ProxyError|network",
        "the package registry cannot be reached; check the network, or the proxy (HTTPS_PROXY)",
    ),
    (r"Permission denied|EACCES|EPERM|os error 13", "a folder may not be written to; check who owns it"),
)


def cause(output: str) -> str:
    """What to do about it, without a full stop; the last line of the output when nothing known is in it."""
    for pattern, advice in _CAUSES:
        if re.search(pattern, output, re.IGNORECASE):
            return advice
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
