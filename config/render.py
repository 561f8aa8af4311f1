"""Manifests as YAML that `kubectl apply -f -` reads the same way we meant it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TextIO

import yaml

from config.emit.common import Manifest

if TYPE_CHECKING:
    from yaml import SafeDumper as Dumper
else:
    Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # libyaml where it is there: ten times as fast

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9._/-]*")
_WORDS = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null"))
_TEXT = "tag:yaml.org,2002:str"


class _Dumper(Dumper):
    """Quotes whatever any reader of YAML could take for something else than text.

    PyYAML writes 1e3 and y without quotes; kubectl's reader takes the one for a number, the other for true.
    """

    def ignore_aliases(self, data: Any) -> bool:
        """Never &id001: emitters share lists between objects, and each document has to stand alone."""
        return True


def _text(dumper: Any, value: str) -> Any:
    if "\n" in value:
        return dumper.represent_scalar(_TEXT, value, style="|")
    plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS
    quoted = "'" if '"' in value else '"'
    return dumper.represent_scalar(_TEXT, value, style=None if plain else quoted)


_Dumper.add_representer(str, _text)


def write(manifests: Iterable[Manifest], stream: TextIO) -> None:
    """Each manifest as a document of its own, in the order given; keys as the emitters wrote them."""
    yaml.dump_all(
        manifests,
        stream,
        Dumper=_Dumper,
        sort_keys=False,
        explicit_start=True,
        allow_unicode=True,
        default_flow_style=False,
        width=10**6,  # long texts stay on one line: a diff of two renderings is one line a field
    )
