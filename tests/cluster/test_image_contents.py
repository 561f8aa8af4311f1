"""What is inside the finished images: what the lock files say, all of it listed, and nothing of the builder's."""

from __future__ import annotations

import functools
import json
import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import images
from tools.dependencies import pins
from tools.images.build import SBOM
from tools.images.inputs import NAMES
from tools.images.layout import Stored
from tools.images.network import network
from tools.places import ROOT

NOT_OURS = re.compile(
    r"^(run/secrets/.+|root/\.(cache|npm)/.+|root/\.(npmrc|pip/.*|config/pip/.*)|etc/pip\.conf|build(/.*)?)$"
)
"""Where the builder's settings, caches and scripts are while an image is built."""
CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----\s+(.+?)\s+-----END CERTIFICATE-----", re.DOTALL)
DEBIANS = "etc/ssl/certs/ca-certificates.crt"


def stored(name: str) -> Stored:
    return images.engine().stored(images.built()[name].reference)


@functools.cache
def listed(name: str) -> dict[str, Any]:
    content = stored(name).read(SBOM)
    assert content, f"{name} has no list of its packages"
    found: dict[str, Any] = json.loads(content)
    return found


def packages(name: str, kind: str) -> dict[str, str]:
    """Versions by name of the image's packages of that kind: deb, pypi, npm, generic."""
    return {
        one["name"].lower().replace("_", "-").replace(".", "-"): one["version"]
        for one in listed(name)["components"]
        if one["purl"].startswith(f"pkg:{kind}/")
    }


def lock(name: str) -> Path:
    folder = ROOT / "images" / {"ide": "app"}.get(name, name)
    return folder / ("requirements.txt" if name == "collector" else "requirements.lock")


@functools.cache
def entries(layer: Path) -> tuple[tuple[str, bytes], ...]:
    """Paths of a layer, with the contents of those that may hold certificates; layers that images share once."""

    def found() -> Iterator[tuple[str, bytes]]:
        with tarfile.open(layer, "r:gz") as tar:
            for entry in tar:
                path = entry.name.removeprefix("./").rstrip("/")
                held = entry.isfile() and path.endswith((".crt", ".pem", ".cer", ".ca", ".conf", ".npmrc", "/ca"))
                file = tar.extractfile(entry) if held else None
                yield path, file.read() if file else b""

    return tuple(found())


@pytest.mark.parametrize("name", NAMES)
def test_every_python_package_is_the_lock_files(name: str) -> None:
    locked = pins(lock(name).read_text(encoding="utf-8"))
    inside = packages(name, "pypi")
    ours = {"tenanthub"} | ({"pip"} if name == "notebook" else set())
    assert len(inside) > 3
    for package, version in inside.items():
        if package not in ours:
            assert version in locked[package], package


@pytest.mark.parametrize("name", NAMES)
def test_the_list_has_what_debian_and_nodejs_bring(name: str) -> None:
    assert listed(name)["bomFormat"] == "CycloneDX"
    assert listed(name)["metadata"]["component"]["version"] == images.built()[name].key
    assert {"libc6", "ca-certificates"} <= packages(name, "deb").keys()
    if name == "hub":
        assert {"configurable-http-proxy", "htmx-org"} <= packages(name, "npm").keys()
    if name in ("hub", "ide"):
        assert packages(name, "generic")["node"].startswith("24.")
    if name == "ide":
        assert len(packages(name, "npm")) > 50
    if name in ("notebook", "ide"):
        assert {"git", "openssh-client"} <= packages(name, "deb").keys()


@pytest.mark.parametrize("name", NAMES)
def test_no_setting_of_the_builders_machine_is_inside(name: str) -> None:
    image = stored(name)
    for layer in image.layers:
        assert [path for path, _ in entries(layer) if NOT_OURS.match(path)] in ([], ["build"]), layer
    told = json.dumps([image.config["config"], image.config.get("history", [])])
    for variable in ("http_proxy", "HTTPS_PROXY", "SSL_CERT_FILE", "PIP_CERT", "PIP_INDEX_URL", "NODE_EXTRA_CA_CERTS"):
        assert f"{variable}=" not in told
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        assert not os.environ.get(variable) or os.environ[variable] not in told


@pytest.mark.parametrize("name", NAMES)
def test_no_certificate_that_the_builder_trusts_is_inside_unless_debian_trusts_it(name: str) -> None:
    bundle = network(ca=None, pip=None, npm=None, apt=None).secrets.get("ca")
    trusted = set(CERTIFICATE.findall(bundle.read_bytes())) if bundle else set()
    first, *_ = stored(name).layers
    debians = {one for path, content in entries(first) if path == DEBIANS for one in CERTIFICATE.findall(content)}
    assert debians, "the base has no certificates at all"
    inside = {
        one
        for layer in stored(name).layers
        for path, content in entries(layer)
        # what certifi and pip bring themselves, in wheels of a known hash
        if not path.endswith("certifi/cacert.pem")
        for one in CERTIFICATE.findall(content)
    }
    assert not inside & (trusted - debians)


@pytest.mark.parametrize("name", NAMES)
def test_they_are_small_and_their_sizes_are_told(name: str) -> None:
    one = images.built()[name]
    print(f"{name}: {one.pulled / 1e6:.0f} MB pulled, {one.unpacked / 1e6:.0f} MB on disk")
    assert 0 < one.pulled < one.unpacked
    assert one.pulled < {"ide": 400e6}.get(name, 250e6)
