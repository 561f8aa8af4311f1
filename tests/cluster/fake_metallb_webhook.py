"""Fake of MetalLB's validating webhook (switched off on the test bed): refuses pools that overlap, at any moment.

Source: MetalLB, internal/k8s/webhooks/webhookv1beta1 and internal/config (CIDR "…" in pool "…" overlaps with …).
"""

from __future__ import annotations

import base64
import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from config.cluster.client import Cluster
from config.plan.release import common, spans


@contextmanager
def no_overlaps(cluster: Cluster, namespace: str, folder: Path) -> Iterator[list[str]]:
    """As long as it lasts, pools in *namespace* may not overlap; what was refused is in the list that it gives."""
    refused: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["request"]
            new, mine = spans(asked["object"]), asked["object"]["metadata"]["name"]
            there = cluster.list(f"/apis/metallb.io/v1beta1/namespaces/{namespace}/ipaddresspools")
            overlap = [one["metadata"]["name"] for one in there if common(spans(one), new)]
            others = [name for name in overlap if name != mine]
            answer: dict[str, Any] = {"uid": asked["uid"], "allowed": not others}
            if others:
                refused.append(f"{mine} overlaps {others}")
                answer["status"] = {"message": f"pool {mine} overlaps with {others[0]}"}
            body = json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": answer})
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: the API server's own log has it."""

    certificate = _certificate(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
    pem = certificate.read_bytes().partition(b"-----BEGIN CERT")
    configuration = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": f"{namespace}.example.org"},
        "webhooks": [
            {
                "name": f"pools.{namespace}.example.org",
                "clientConfig": {
                    "url": f"https://127.0.0.1:{server.server_address[1]}/",
                    "caBundle": base64.b64encode(pem[1] + pem[2]).decode(),
                },
                "rules": [
                    {
                        "apiGroups": ["metallb.io"],
                        "apiVersions": ["v1beta1"],
                        "operations": ["CREATE", "UPDATE"],
                        "resources": ["ipaddresspools"],
                    }
                ],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
                "failurePolicy": "Fail",
            }
        ],
    }
    cluster.request("POST", path, body=configuration)
    try:
        yield refused
    finally:
        cluster.delete(f"{path}/{namespace}.example.org")
        server.shutdown()
        server.server_close()


def _certificate(folder: Path) -> Path:
    """Key and self-signed certificate for 127.0.0.1 in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "webhook of a test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "webhook.pem"
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path
