"""The keys that the collector makes for itself, once or out of a seed: a client that trusted them goes on to."""

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
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from OpenSSL import SSL

from images.collector.settings import SettingsError

_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
"""Of certificates out of a seed: nothing in them may depend on when they are made."""
_LEAST_SEED = 32
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256 (SEC 2, 2.4.2)
_YEARS = 20  # nobody renews a certificate in the memory of a microscope; its fingerprint is what is trusted


def certificate(folder: Path, addresses: list[str], seed: bytes | None = None) -> tuple[Path, Path, str]:
    """The self-signed certificate and its key in *folder*, made once, and the SHA-256 fingerprint ("AB:CD:…").

    *addresses* are the IP addresses it is made for. With a *seed* it is made of that and of nothing that changes, so
    that another folder gets the same. OSError or ValueError where the files cannot be written or read.
    """
    certificate_path, key_path = folder / "tls-cert.pem", folder / "tls-key.pem"
    if seed is not None or not (certificate_path.exists() and key_path.exists()):
        _make_certificate(certificate_path, key_path, addresses, seed)
    found = x509.load_pem_x509_certificate(certificate_path.read_bytes())
    return certificate_path, key_path, found.fingerprint(hashes.SHA256()).hex(":").upper()


def context(certificate_path: Path, key_path: Path) -> SSL.Context:
    """A server context: TLS 1.2 (RFC 8996 forbids less). OpenSSL.SSL.Error where the files do not fit.

    Not 1.3: there a server sends session tickets after the handshake. A client that closes its data connection without
    having read them (lftp and most instruments) resets it, and loses what its kernel had not sent yet. pyOpenSSL cannot
    switch them off (SSL_CTX_set_num_tickets, as other FTP servers do).
    """
    made = SSL.Context(SSL.TLS_SERVER_METHOD)
    made.set_min_proto_version(SSL.TLS1_2_VERSION)
    made.set_max_proto_version(SSL.TLS1_2_VERSION)
    made.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
    made.use_certificate_chain_file(str(certificate_path))
    made.use_privatekey_file(str(key_path))
    made.check_privatekey()
    return made


def host_key(folder: Path, seed: bytes | None = None) -> tuple[Path, str]:
    """The SSH host key in *folder*, made once or out of *seed*, and its fingerprint as ssh shows it ("SHA256:…").
    OSError, ValueError.
    """
    path = folder / "ssh-host-key"
    if seed is not None or not path.exists():
        key = (
            ed25519.Ed25519PrivateKey.generate()
            if seed is None
            else ed25519.Ed25519PrivateKey.from_private_bytes(_derived(seed, b"ssh host key", 32))
        )
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        )
        _write_secret(path, pem)
    loaded = serialization.load_ssh_private_key(path.read_bytes(), None)
    public = loaded.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    digest = hashlib.sha256(base64.b64decode(public.split()[1])).digest()
    return path, "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def read_seed(path: Path | None) -> bytes | None:
    """What keys are derived from. OSError; SettingsError for less than it takes to be no guess."""
    if path is None:
        return None
    seed = path.read_bytes().strip()
    if len(seed) < _LEAST_SEED:
        raise SettingsError([f"seed_file: {path} holds less than {_LEAST_SEED} characters"])
    return seed


def _derived(seed: bytes, purpose: bytes, length: int) -> bytes:
    """*length* bytes for one purpose (HKDF, RFC 5869)."""
    return HKDF(hashes.SHA256(), length, salt=None, info=b"tenanthub collector " + purpose).derive(seed)


def _make_certificate(certificate_path: Path, key_path: Path, addresses: list[str], seed: bytes | None) -> None:
    if seed is None:
        key, serial, begin = ec.generate_private_key(ec.SECP256R1()), x509.random_serial_number(), datetime.now(UTC)
    else:
        # More bits than the curve's order has, so that each of its keys is as likely (FIPS 186-5, A.2.1).
        number = int.from_bytes(_derived(seed, b"tls key", 48)) % (_ORDER - 1) + 1
        key = ec.derive_private_key(number, ec.SECP256R1())
        serial, begin = int.from_bytes(_derived(seed, b"tls serial", 19)), _BEGIN
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Instrument upload")])
    alternatives = [x509.IPAddress(ipaddress.ip_address(address)) for address in dict.fromkeys(addresses)]
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(begin - timedelta(days=1))
        .not_valid_after(begin + timedelta(days=365 * _YEARS))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        # Deterministic (RFC 6979): the same certificate to the last bit, so that a pinned fingerprint holds.
        .sign(key, hashes.SHA256(), ecdsa_deterministic=seed is not None or None)
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
