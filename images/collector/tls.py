"""The keys that the collector makes for itself at its first start and keeps: a client that trusted them goes on to."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from OpenSSL import SSL

_YEARS = 20  # nobody renews a certificate in the memory of a microscope; its fingerprint is what is trusted


def certificate(folder: Path, addresses: list[str]) -> tuple[Path, Path, str]:
    """The self-signed certificate and its key in *folder*, made once, and the SHA-256 fingerprint ("AB:CD:…").

    *addresses* are the IP addresses it is made for. OSError or ValueError where the files cannot be written or read.
    """
    certificate_path, key_path = folder / "tls-cert.pem", folder / "tls-key.pem"
    if not (certificate_path.exists() and key_path.exists()):
        _make_certificate(certificate_path, key_path, addresses)
    found = x509.load_pem_x509_certificate(certificate_path.read_bytes())
    return certificate_path, key_path, found.fingerprint(hashes.SHA256()).hex(":").upper()


def context(certificate_path: Path, key_path: Path) -> SSL.Context:
    """A server context: TLS 1.2 at least (RFC 8996 forbids less). OpenSSL.SSL.Error where the files do not fit."""
    made = SSL.Context(SSL.TLS_SERVER_METHOD)
    made.set_min_proto_version(SSL.TLS1_2_VERSION)
    made.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
    made.use_certificate_chain_file(str(certificate_path))
    made.use_privatekey_file(str(key_path))
    made.check_privatekey()
    return made


def host_key(folder: Path) -> tuple[Path, str]:
    """The SSH host key in *folder*, made once, and its fingerprint as ssh shows it ("SHA256:…"). OSError,
    ValueError.
    """
    path = folder / "ssh-host-key"
    if not path.exists():
        key = ed25519.Ed25519PrivateKey.generate()
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        )
        _write_secret(path, pem)
    loaded = serialization.load_ssh_private_key(path.read_bytes(), None)
    public = loaded.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    digest = hashlib.sha256(base64.b64decode(public.split()[1])).digest()
    return path, "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def _make_certificate(certificate_path: Path, key_path: Path, addresses: list[str]) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Instrument upload")])
    now = datetime.now(UTC)
    alternatives = [x509.IPAddress(ipaddress.ip_address(address)) for address in dict.fromkeys(addresses)]
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365 * _YEARS))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write_secret(key_path, private)
    certificate_path.write_bytes(built.public_bytes(serialization.Encoding.PEM))


def _write_secret(path: Path, content: bytes) -> None:
    """0600 before the first byte is in it, and whole or not there at all."""
    fresh = path.with_name(f".{path.name}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
    fresh.replace(path)
