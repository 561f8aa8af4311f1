"""Errors in people's words, and no secret in any of them."""

from __future__ import annotations

import pytest

from images.transfer.words import LIMIT, in_words, without_secrets


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("api error SignatureDoesNotMatch: The request signature", "credentials of the object store were refused"),
        ("StatusCode: 404, api error NoSuchBucket: The specified bucket does not exist", "no such bucket"),
        ("StatusCode: 403, api error AccessDenied: Access Denied", "did not allow it"),
        ("open /data/x: permission denied", "permission denied"),
        ("write /data/x: no space left on device", "destination is full"),
        ('rsync: write failed on "/d/x": Disk quota exceeded (122)', "destination is full"),
        ("u@h: Permission denied (publickey).", "ssh host refused the key"),
        ("Host key verification failed.", "ssh host is not known"),
        ("dial tcp: lookup s3.nowhere: no such host", "host name of the other side"),
        ("dial tcp 127.0.0.1:1: connect: connection refused", "could not be reached"),
        ("tls: failed to verify certificate: x509: signed by unknown authority", "certificate"),
    ],
)
def test_words(text: str, words: str) -> None:
    assert words in in_words(text)


def test_no_secret_survives() -> None:
    text = without_secrets(
        "GET https://me:pa55@host/b?X-Amz-Signature=abcdef&X-Amz-Credential=AKIA/x failed\nAuthorization: AWS4 zzz"
    )
    for secret in ("pa55", "abcdef", "AKIA", "zzz"):
        assert secret not in text
    assert len(without_secrets("x" * 5000)) == LIMIT
