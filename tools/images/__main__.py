"""Build the images that run on a cluster: hub, notebook, ide, app, collector, crawler, transfer."""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

from tools.images.build import SBOM, Built, Wanted, build, cache_folder
from tools.images.engines import Engine, choose
from tools.images.inputs import NAMES
from tools.images.network import network
from tools.images.problem import BuildError
from tools.places import ROOT

_EXAMPLES = """examples:
  make images                                                     all, with what is installed here
  make images ARGS="--only hub,notebook"
  make images ARGS="--base registry.example.org/library/python:3.13-slim-trixie@sha256:…"
  make images ARGS="--base local"                                 Debian's own Python; needs no registry, only Debian
  make images ARGS="--ca-bundle /etc/ssl/certs/site.pem"          behind a proxy that looks into TLS
  make images ARGS="--pip-config pip.conf --npm-config npmrc"     packages from the site's own index
  make images ARGS="--push registry.example.org/tenanthub --tag 0.1.0"
  make images ARGS="--sbom sboms/"                                 what is in them, for a scanner

The same files give the same image, which is not built again. All is kept in the cache ($TENANTHUB_CACHE/images, else
~/.cache/tenanthub/images), outside the checkout, and can be deleted at any time. docs/images.md says more.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make images ARGS=…",
        description=__doc__,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--only", default="", metavar="NAME,…", help=f"only these: {', '.join(NAMES)}")
    add(
        "--engine", choices=("auto", "buildah", "docker"), default="auto", help="default: buildah where it is installed"
    )
    add("--base", default="auto", metavar="IMAGE", help="an image with Python 3.11 or newer and Debian's apt; "
        "local: made here by mmdebstrap; auto (default): what the Containerfiles name, if that registry answers, else "
        "local")  # fmt: skip
    add("--ca-bundle", metavar="FILE", help="certificates to trust while building (none: those of the base). Default: "
        "what TENANTHUB_CA_BUNDLE or SSL_CERT_FILE names. In no layer of the images")  # fmt: skip
    add("--pip-config", metavar="FILE", help="a pip.conf: index, trusted hosts, sign-in. In no layer")
    add("--npm-config", metavar="FILE", help="an .npmrc. In no layer")
    add("--apt-config", metavar="FILE", help="an apt.conf. In no layer")
    add("--tag", help="of what is pushed; default: the project's version")
    add("--push", metavar="PREFIX", help="push as PREFIX/<name>:<tag>, with the engine's own sign-in")
    add("--plain-http", action="store_true", help="that registry speaks HTTP without TLS and asks for no sign-in")
    add("--sbom", metavar="FOLDER", help="write each image's list of packages there (CycloneDX)")
    add("--jobs", type=int, default=2, metavar="N", help="images built side by side (2)")
    add("--rebuild", action="store_true", help="also those that are there")
    return parser


def version() -> str:
    """The project's, from pyproject.toml."""
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"])


def table(built: Sequence[Built]) -> str:
    """Names, sizes in MB (10^6 bytes, as registries show them), times. Pure."""
    rows = [f"{'image':<10} {'pulled':>8} {'on disk':>8}  {'key':<16}  time"]
    for one in built:
        pulled = f"{one.pulled / 1e6:.0f} MB" if one.pulled else "–"
        spent = f"{one.seconds:.0f} s" if one.seconds else "was there"
        rows.append(f"{one.name:<10} {pulled:>8} {one.unpacked / 1e6:>5.0f} MB  {one.key:<16}  {spent}")
    return "\n".join(rows)


def _write_sboms(engine: Engine, built: Sequence[Built], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for one in built:
        content = engine.file(one.reference, SBOM)
        if content is None:
            raise BuildError(f"{one.reference} has no /{SBOM}")
        (folder / f"{one.name}.cdx.json").write_bytes(content)


def main(argv: Sequence[str]) -> int:
    """0 when all that was asked for is there (and pushed), 1 when something failed, 2 for wrong arguments."""
    asked = _parser().parse_args(argv)
    names = tuple(name.strip() for name in asked.only.split(",") if name.strip())
    wanted = Wanted(base=asked.base, names=names, jobs=asked.jobs, again=asked.rebuild)
    try:
        settings = network(ca=asked.ca_bundle, pip=asked.pip_config, npm=asked.npm_config, apt=asked.apt_config)
        engine = choose(asked.engine, cache_folder())
        _say(
            f"engine: {engine.name}" + (f"; certificates: {settings.secrets['ca']}" if "ca" in settings.secrets else "")
        )
        built = list(build(engine, wanted, settings, _say).values())
        _say(table(built))
        if asked.sbom:
            _write_sboms(engine, built, Path(asked.sbom))
        for one in built if asked.push else ():
            destination = f"{asked.push.rstrip('/')}/{one.name}:{asked.tag or version()}"
            engine.push(one.reference, destination, cache_folder() / "logs" / "push.log", plain=asked.plain_http)
            _say(f"pushed {destination}")
    except BuildError as error:
        print(f"images: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"images: {error.filename or ''}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
