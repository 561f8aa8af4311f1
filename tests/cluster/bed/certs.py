"""Who is who in a bed: one certificate authority, a certificate for each part, kubeconfigs, tokens.

Everything is made anew for each bed, lies in its state folder with mode 0600, and is gone with it.
"""

from __future__ import annotations

import base64
import datetime
import json
import os
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.cluster.bed.names import Bed

VALID = datetime.timedelta(days=30)
ADMIN = "admin"
ADMIN_GROUP = "system:masters"


@dataclass(frozen=True)
class Authority:
    """The bed's certificate authority."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, PEM."""

    certificate: bytes
    key: bytes


def private_file(path: Path, content: bytes | str) -> Path:
    """Write a file that only its owner may read, whole or not at all; folders above it are made with mode 0700."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
    temporary.rename(path)
    return path


def authority(name: str = "tenanthub-bed") -> Authority:
    """A new certificate authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        _builder(subject, subject, key, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_SIGNS, critical=True)
    )
    return Authority(builder.sign(key, hashes.SHA256()), key)


def pair(
    signer: Authority, name: str, groups: Sequence[str] = (), hosts: Iterable[str | IPv4Address | IPv6Address] = ()
) -> Pair:
    """A certificate for a client and, where *hosts* are given, for a server of those names and addresses.

    Kubernetes takes the common name as the user and the organisations as its groups.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    subject = x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = _builder(subject, signer.certificate.subject, key, signer.key).add_extension(
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
    )
    alternatives = [x509.DNSName(host) if isinstance(host, str) else x509.IPAddress(host) for host in hosts]
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    certificate = builder.sign(signer.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    return Pair(certificate, private_pem(key))


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A key as PEM, unencrypted, in the older of the two formats: the API server takes only that one for tokens."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


_SIGNS = x509.KeyUsage(
    digital_signature=True,
    key_cert_sign=True,
    crl_sign=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    """With the key identifiers that kubeadm's certificates have too: Python 3.13 refuses certificates without."""
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )


def kubeconfig(server: str, ca: bytes, *, token: str | None = None, client: Pair | None = None) -> str:
    """A kubeconfig for one server and one user, by token or by certificate. JSON, which is YAML."""
    user: dict[str, str] = {}
    if token is not None:
        user["token"] = token
    if client is not None:
        user["client-certificate-data"] = base64.b64encode(client.certificate).decode()
        user["client-key-data"] = base64.b64encode(client.key).decode()
    cluster = {"server": server, "certificate-authority-data": base64.b64encode(ca).decode()}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "bed", "cluster": cluster}],
        "users": [{"name": "user", "user": user}],
        "contexts": [{"name": "bed", "context": {"cluster": "bed", "user": "user"}}],
        "current-context": "bed",
    }
    return json.dumps(config, indent=1) + "\n"


def write(bed: Bed) -> None:
    """Make everything that the bed's parts show each other and put it into the state folder.

    kubeconfig.yaml   the administrator, by token; pki/tokens.csv is the API server's list of tokens
    pki/              the authority, the API server's certificates, the key that signs service accounts' tokens
    <part>.kubeconfig the controller manager's and the scheduler's way in
    nodes/<node>/     what a node may know: the authority's certificate, its own and kube-proxy's way in
    """
    signer, pki = authority(), bed.state / "pki"
    private_file(pki / "ca.crt", signer.pem)
    private_file(pki / "ca.key", private_pem(signer.key))
    private_file(pki / "service-accounts.key", private_pem(ec.generate_private_key(ec.SECP256R1())))
    for file, made in {
        "apiserver": pair(signer, "kube-apiserver", hosts=_api_hosts(bed)),
        "kubelet-client": pair(signer, "kube-apiserver-kubelet-client", [ADMIN_GROUP]),
    }.items():
        private_file(pki / f"{file}.crt", made.certificate)
        private_file(pki / f"{file}.key", made.key)
    token = secrets.token_urlsafe(32)
    private_file(pki / "tokens.csv", f'{token},{ADMIN},{ADMIN},"{ADMIN_GROUP}"\n')
    private_file(bed.kubeconfig, kubeconfig(bed.api, signer.pem, token=token))
    for part in ("kube-controller-manager", "kube-scheduler"):
        client = pair(signer, f"system:{part}")
        private_file(bed.state / f"{part}.kubeconfig", kubeconfig(bed.api, signer.pem, client=client))
    proxy = pair(signer, "system:kube-proxy")
    for node in bed.nodes:
        folder = bed.node_state(node.name)
        own = pair(signer, f"system:node:{node.name}", ["system:nodes"], [node.name, node.ipv4, node.ipv6])
        private_file(folder / "ca.crt", signer.pem)
        private_file(folder / "kubelet.crt", own.certificate)
        private_file(folder / "kubelet.key", own.key)
        private_file(folder / "kubelet.kubeconfig", kubeconfig(bed.api, signer.pem, client=own))
        private_file(folder / "kube-proxy.kubeconfig", kubeconfig(bed.api, signer.pem, client=proxy))


def _api_hosts(bed: Bed) -> list[str | IPv4Address | IPv6Address]:
    service = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"]
    return [*service, "localhost", *bed.host, bed.loopback, *(network[1] for network in bed.services)]
