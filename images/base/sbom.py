"""python sbom.py IMAGE INPUTS: list what is in the image that this runs in, as its last step.

Writes /usr/share/tenanthub/sbom.cdx.json: CycloneDX 1.5 (ECMA-424), the format that scanners of vulnerabilities read.
Debian's packages are read from dpkg, Python's from the metadata that pip left, Node.js' from each package.json, by
their package URLs (purl). Always in the same order, without a time or a random number: same contents, same file.
Standard library only, since it runs in every image.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path
from typing import Any
from urllib.parse import quote

WHERE = Path("/usr/share/tenanthub/sbom.cdx.json")
NODE = Path("/opt/node")
NODE_FOLDERS = (Path("/opt/tenanthub"), Path("/opt/code-server"))
Component = dict[str, Any]


def component(name: str, version: str, purl: str, licence: str = "") -> Component:
    """One entry; `bom-ref` is the package URL. Pure."""
    found: Component = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
    return {**found, "licenses": [{"license": {"name": licence}}]} if licence else found


def debian(rows: str, release: str) -> Iterator[Component]:
    """From the lines `name version architecture` of dpkg-query. Pure."""
    for line in rows.splitlines():
        name, version, architecture = line.split()
        where = f"arch={architecture}" + (f"&distro={release}" if release else "")
        yield component(name, version, f"pkg:deb/debian/{quote(name)}@{quote(version)}?{where}")


def python() -> Iterator[Component]:
    """The distributions of the environment that this runs in."""
    for one in distributions():
        name, version = one.metadata["Name"], one.version
        said: Any = one.metadata  # typed as less than the email.message.Message that it is
        licence = said.get("License-Expression") or said.get("License") or ""
        yield component(
            name, version, f"pkg:pypi/{quote(name.lower().replace('_', '-'))}@{quote(version)}", _short(licence)
        )


def node(folder: Path) -> Iterator[Component]:
    """The npm packages below *folder*, each where a node_modules holds it."""
    for file in folder.rglob("package.json"):
        above = file.parent.parent
        if above.name != "node_modules" and not (above.name.startswith("@") and above.parent.name == "node_modules"):
            continue
        try:
            said = json.loads(file.read_text(encoding="utf-8"))
            name, version = said["name"], said["version"]
        except (ValueError, KeyError):
            continue
        licence = said.get("license")
        yield component(
            name, version, f"pkg:npm/{quote(name)}@{quote(version)}", licence if isinstance(licence, str) else ""
        )


def node_itself() -> Iterator[Component]:
    """The Node.js that an image carries; its wheel, which it was taken from, is not installed there."""
    if NODE.exists():
        version = subprocess.run([NODE, "--version"], capture_output=True, text=True, check=True).stdout.strip("v\n")
        yield component("node", version, f"pkg:generic/node@{version}", "MIT")


def _short(licence: str) -> str:
    """A whole licence text stands in some packages' metadata: its first line will do. Pure."""
    return licence.strip().splitlines()[0][:80] if licence.strip() else ""


def document(image: str, inputs: str, components: list[Component]) -> dict[str, Any]:
    """The whole file, each package once. Pure."""
    once = {one["bom-ref"]: one for one in components}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": f"tenanthub/{image}", "version": inputs}},
        "components": [once[ref] for ref in sorted(once)],
    }


def main(image: str, inputs: str) -> None:
    """Look and write."""
    rows = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${Package} ${Version} ${Architecture}\\n"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    try:
        system = platform.freedesktop_os_release()
        release = f"{system['ID']}-{system['VERSION_ID']}"
    except (OSError, KeyError):
        release = ""
    components = [*debian(rows, release), *python(), *node_itself()]
    for folder in NODE_FOLDERS:
        components += node(folder)
    WHERE.parent.mkdir(parents=True, exist_ok=True)
    WHERE.write_text(json.dumps(document(image, inputs, components), indent=1, sort_keys=True), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:3])
