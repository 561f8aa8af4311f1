"""YAML text into plain data with the line of everything: a small, bounded part of YAML 1.2.

Only `true` and `false` are booleans (`no`, `on`, `yes` stay text), numbers are decimal, 0x or 0o (no sexagesimals, and
a leading zero makes text of it: user numbers keep their zeros), dates stay text. Duplicate keys, unknown tags, merge
keys and oversized documents are problems. Nothing is ever constructed but dict, list, str, int, float, bool and None.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.events import CollectionEndEvent, CollectionStartEvent
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.scanner import Scanner

MAX_VALUES = 50_000
"""Values that one file may hold after its aliases are expanded: what stops a "billion laughs"."""
MAX_DEPTH = 40
"""How deep lists and mappings may nest."""
MAX_DIGITS = 30
"""Of a plain number; int() itself refuses to read more than 4,300."""
_SAFE = 500
"""Levels that the C composer takes without harm on the smallest of stacks."""

Path = tuple[str | int, ...]

_TAG = "tag:yaml.org,2002:"
_STR, _INT, _FLOAT, _BOOL, _NULL = (_TAG + name for name in ("str", "int", "float", "bool", "null"))
_SEQ, _MAP = _TAG + "seq", _TAG + "map"
_WORDS = {"true": _BOOL, "True": _BOOL, "TRUE": _BOOL, "false": _BOOL, "False": _BOOL, "FALSE": _BOOL}
_WORDS |= {"": _NULL, "~": _NULL, "null": _NULL, "Null": _NULL, "NULL": _NULL}
_NUMBER_START = frozenset("-+.0123456789")
_INT_TEXT = re.compile(r"[-+]?(0|[1-9][0-9]*)|0x[0-9a-fA-F]+|0o[0-7]+")
_FLOAT_TEXT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]{1,4})?")
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Fault:
    """A mistake in the text itself; *line* counts from 1."""

    line: int
    path: Path
    message: str
    fix: str


class _Resolver:
    """YAML 1.2's core schema, less what surprises people. Mixed into both the C and the pure loader."""

    def resolve(self, kind: type[Node], value: Any, implicit: tuple[bool, bool]) -> str:
        """The tag of a node that names none."""
        if kind is not ScalarNode:
            return _SEQ if kind is SequenceNode else _MAP
        if not implicit[0]:
            return _STR
        if (word := _WORDS.get(value)) is not None:
            return word
        if value[0] in _NUMBER_START:
            if _INT_TEXT.fullmatch(value):
                return _INT
            if _FLOAT_TEXT.fullmatch(value):
                return _FLOAT
        return _STR

    def descend_resolver(self, current_node: Any, current_index: Any) -> None:
        """Nothing: no tag depends on the path."""

    def ascend_resolver(self) -> None:
        """Nothing, as above."""


class _PureLoader(_Resolver, Reader, Scanner, Parser, Composer):
    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)

    def dispose(self) -> None:
        """As the C parser has it."""


_Loader: Any = _PureLoader
if yaml.__with_libyaml__:
    from yaml.cyaml import CParser  # type: ignore[attr-defined]  # the stubs leave it out of __all__

    class _CLoader(_Resolver, CParser):
        pass

    _Loader = _CLoader


def compose(text: str) -> tuple[Node | None, ...]:
    """The documents of *text* as nodes, None for an empty one. yaml.YAMLError or RecursionError where it is no YAML."""
    _refuse_deep(text)
    loader = _Loader(text)
    nodes: list[Node | None] = []
    try:
        while loader.check_node():
            nodes.append(loader.get_node())
    finally:
        loader.dispose()
    return tuple(nodes)


def _refuse_deep(text: str) -> None:
    """yaml.YAMLError where *text* nests deeper than MAX_DEPTH.

    The C composer calls itself for each level and takes the whole process down (a segmentation fault, measured with a
    quarter of a million brackets), so this has to be known before it runs. No level can open without a bracket, or a
    column of indentation: few of both settle it, and only a suspicious text is walked event by event, which needs no
    stack.
    """
    brackets = text.count("[") + text.count("{")
    if brackets <= _SAFE and max(map(len, text.splitlines()), default=0) <= _SAFE:
        return
    loader, depth = _Loader(text), 0
    try:
        while loader.check_event():
            event = loader.get_event()
            depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise yaml.MarkedYAMLError(problem="nested too deep", problem_mark=event.start_mark)
    finally:
        loader.dispose()


def decode(raw: bytes) -> str | Fault:
    """The text of a file, or why it is none: UTF-8 with or without a byte order mark, and nothing unprintable."""
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return Fault(1, (), "the file is UTF-16", "save it as UTF-8")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        return Fault(line, (), f"byte 0x{raw[error.start]:02x} is not UTF-8", "save the file as UTF-8")
    if found := _UNPRINTABLE.search(text):
        line = text.count("\n", 0, found.start()) + 1
        return Fault(line, (), f"control character U+{ord(found[0]):04X}", "delete it")
    return text


@dataclass
class _Construction:
    """Plain data out of one file's nodes; remembers faults and how much it has built."""

    faults: list[Fault] = field(default_factory=list)
    built: int = 0
    full: bool = False

    def fault(self, node: Node, path: Path, message: str, fix: str) -> None:
        self.faults.append(Fault(line_of(node), path, message, fix))

    def value(self, node: Node, path: Path) -> Any:
        self.built += 1
        if self.full:
            return None
        if self.built > MAX_VALUES or len(path) > MAX_DEPTH:
            self.full = True
            self.fault(node, (), "too much in one file, or nested too deep", "write it flat, and spell the aliases out")
            return None
        if isinstance(node, MappingNode):
            return self.mapping(node, path)
        if isinstance(node, SequenceNode):
            self.known(node, path, _SEQ)
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        return self.scalar(node, path)

    def known(self, node: Node, path: Path, *tags: str) -> bool:
        if node.tag in tags:
            return True
        shown = node.tag.replace(_TAG, "!!")
        self.fault(node, path, f"the tag {shown} is not known here", "remove it and write the value plainly")
        return False

    def mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        self.known(node, path, _MAP)
        data: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                self.fault(key_node, path, "a list or mapping stands where a name should", "write `name: value`")
                continue
            key = key_node.value
            if key == "<<":
                self.fault(key_node, path, "merge keys (<<) are not read", "write the fields out")
            elif key in data:
                said = f"`{key}` is written twice, first in line {lines[key]}"
                self.fault(key_node, (*path, key), said, "keep one of the two")
            else:
                data[key] = self.value(value_node, (*path, key))
                lines[key] = line_of(key_node)
        return data

    def scalar(self, node: Node, path: Path) -> Any:
        text, tag = node.value, node.tag
        if tag in (_STR, "!") or not self.known(node, path, _INT, _FLOAT, _BOOL, _NULL):
            return text
        try:
            return _plain(tag, text)
        except (ValueError, KeyError):
            self.fault(
                node, path, f"{shown(text)} cannot be read as a number", "write a shorter number, or text in quotes"
            )
            return text


def _plain(tag: str, text: str) -> Any:
    """The value of a scalar that is not text. ValueError or KeyError where text and (explicit) tag do not fit."""
    if tag == _NULL:
        return None
    if tag == _BOOL:
        return {"true": True, "false": False}[text.lower()]
    if len(text) > MAX_DIGITS:
        raise ValueError(text)
    if tag == _INT:
        return int(text, {"0x": 16, "0o": 8}.get(text[:2], 10))
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def construct(nodes: Sequence[Node | None]) -> tuple[list[Any], list[Fault]] | Fault:
    """Plain data of each document, and the faults found in building it; what is at fault is left out or text.

    The one fault alone where there is more than a file may hold: what was built until then says nothing.
    """
    construction = _Construction()
    data = [None if node is None else construction.value(node, ()) for node in nodes]
    return construction.faults[-1] if construction.full else (data, construction.faults)


def shown(value: Any, length: int = 60) -> str:
    """A value in a message, as YAML has it; a text cut to *length* characters."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (dict, list)):
        return "a mapping" if isinstance(value, dict) else "a list"
    if not isinstance(value, str):
        return str(value)
    if not value:
        return "an empty text"
    return f"`{value}`" if len(value) <= length else f"`{value[: length - 1]}…`"


def line_of(node: Node) -> int:
    """Line of a node's first character, from 1."""
    return int(node.start_mark.line) + 1


def lines_along(node: Node | None, path: Path) -> Iterator[int]:
    """The line of the document, then of each step of *path* (its key, or the list's item) as far as it is there."""
    yield 1 if node is None else line_of(node)
    for step in path:
        found = _step(node, step)
        if found is None:
            return
        line, node = found
        yield line


def _step(node: Node | None, step: str | int) -> tuple[int, Node] | None:
    if isinstance(node, MappingNode):
        for key_node, value_node in node.value:
            if isinstance(key_node, ScalarNode) and key_node.value == str(step):
                return line_of(key_node), value_node
    elif isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
        return line_of(node.value[step]), node.value[step]
    return None


_TAB = Fault(0, (), "a tab stands where only spaces may", "indent with spaces")
_SYNTAX: tuple[tuple[str, str, str], ...] = (
    (r"tab character", _TAB.message, _TAB.fix),
    (r"cannot start any token", "a character that cannot start a value", "put the value in quotes"),
    (
        r"mapping values are not allowed",
        "a second `: ` in one line, or a line indented too far",
        "put the value in quotes, or indent the line as its neighbours",
    ),
    (r"could not find expected ':'", "a line that is neither `name: value` nor `- item`", "write `name: value`"),
    (r"undefined alias", "the alias is not defined above", "define it with &name first, or write the value out"),
    (r"duplicate anchor", "the anchor is defined twice", "give it another name"),
    (r"expected node content", "the text ends, or a bracket closes, where a value should stand", "write the value"),
    (r"expected ',' or '[\]}]'", "a bracket is not closed, or a comma is missing", "close it, or put a comma"),
    (r"unexpected end of stream|while scanning a quoted", "a quotation mark is not closed", "close it"),
    (r"unknown escape character", "an unknown \\ escape", "write it in single quotes"),
    (
        r"expected '-' indicator|expected <block end>, but found '-'|block sequence entries are not allowed",
        "list items that are not indented alike",
        "start each item with `- ` in the same column",
    ),
    (r"expected key|expected <block end>", "the indentation fits no line above", "indent it as its neighbours"),
    (r"undefined tag handle", "the tag is not known here", "remove it and write the value plainly"),
    (r"[Nn]est|recursion", "nested too deep", "write it flat"),
)


def syntax_fault(error: yaml.YAMLError | RecursionError, text: str) -> Fault:
    """What a parser's error about *text* means, in plain words."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    lines = text.splitlines() or [""]
    # The end of the file is reported as the line after the last.
    line = 1 if mark is None else min(int(mark.line) + 1, len(lines))
    if mark is not None and lines[line - 1][mark.column : mark.column + 1] == "\t":
        return replace(_TAB, line=line)
    problem = str(getattr(error, "problem", None) or error)
    said = f"{getattr(error, 'context', None) or ''} {problem}"
    for pattern, message, fix in _SYNTAX:
        if re.search(pattern, said):
            return Fault(line, (), message, fix)
    return Fault(line, (), f"this is not YAML: {problem}", "see the line and the one above it")
