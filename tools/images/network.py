"""Network settings of whoever builds: handed to those steps of a build that fetch something, and kept in no layer."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.images.problem import BuildError

_CA_VARIABLES = ("TENANTHUB_CA_BUNDLE", "SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
"""Engines know these build arguments and keep them out of the image (Dockerfile reference, "Predefined ARGs")."""


@dataclass(frozen=True)
class Network:
    """Files by the id of the build secret (images/base/network reads them): ca, pip, npm, apt."""

    secrets: Mapping[str, Path]

    def options(self, environ: Mapping[str, str] = os.environ) -> list[str]:
        """For `buildah bud` and `docker build` alike. A proxy's address may hold a password: its name alone is said,
        and the engine takes what it holds from the environment."""
        found = [f"--secret=id={name},src={path}" for name, path in sorted(self.secrets.items())]
        return found + [f"--build-arg={name}" for name in PROXIES if environ.get(name)]


def network(
    *, ca: str | None, pip: str | None, npm: str | None, apt: str | None, environ: Mapping[str, str] = os.environ
) -> Network:
    """From the command line's options; *ca* "none" takes none, None the first variable that names one.

    Raises:
        BuildError: One of the files cannot be read.
    """
    if ca is None:
        ca = next((environ[name] for name in _CA_VARIABLES if environ.get(name)), "none")
    given = {"ca": None if ca == "none" else ca, "pip": pip, "npm": npm, "apt": apt}
    files = {name: Path(path).absolute() for name, path in given.items() if path}
    for name, path in files.items():
        if not path.is_file() or not os.access(path, os.R_OK):
            raise BuildError(f"{path}: this file ({name}) cannot be read")
    return Network(files)
