"""pydantic's errors in the words of whoever wrote the file: what is wrong, and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from config.models.base import PATTERN_WORDS
from config.yamltext import Path, shown

Said = tuple[str, str]


def path_of(error: ErrorDetails, data: Any) -> Path:
    """Where in the file's *data* the error stands, without steps that only pydantic knows (union arms, "[key]")."""
    path: list[str | int] = []
    for step in error["loc"]:
        inside: dict[Any, Any] = dict(enumerate(data)) if isinstance(data, list) else data
        if isinstance(inside, dict) and step in inside:
            path.append(step)
            data = inside[step]
        elif error["type"] == "missing" and step == error["loc"][-1]:
            path.append(step)
    return tuple(path)


def is_follow_on(error: ErrorDetails) -> bool:
    """Whether the error only follows from another: pydantic counts a list's right items when it tells it too short."""
    return error["type"] == "too_short" and len(error["input"]) >= error["ctx"]["min_length"]


def explain(error: ErrorDetails, model: type[BaseModel]) -> Said:
    """Message and fix for one error in *model*."""
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "missing":
        return _missing(error, model)
    if kind == "extra_forbidden":
        return _unknown_field(error, model)
    if value is None:
        return "the value is empty", "remove the line, or write a value"
    if kind == "value_error":
        message, _, fix = str(context["error"]).partition("; ")
        return message, fix
    if kind == "literal_error":
        return _not_a_choice(value, str(context["expected"]))
    if kind == "string_pattern_mismatch":
        words = PATTERN_WORDS.get(str(context["pattern"]), f"something that matches {context['pattern']}")
        return f"{shown(value)} cannot stand here", f"write {words}"
    if said := _TYPES.get(kind):
        return f"{shown(value)} is not {said[0]}", said[1](value)
    if said_limit := _LIMITS.get(kind):
        return said_limit(value, context)
    return error["msg"], "see docs/reference.md for what may stand here"


def _quote(value: Any) -> str:
    if isinstance(value, (Mapping, list)):
        return "write one text"
    return f'put it in quotes: "{shown(value)}"'


def _listed(value: Any) -> str:
    return f"write a list: [{value}]" if isinstance(value, (str, int, float)) else "write a list: one `- ` line each"


_TYPES: dict[str, tuple[str, Callable[[Any], str]]] = {
    "string_type": ("text", _quote),
    "tuple_type": ("a list", _listed),
    "list_type": ("a list", _listed),
    "dict_type": ("a mapping", lambda value: "write `name: value` lines below it"),
    "model_type": ("a mapping", lambda value: "write its fields as `name: value` lines below it"),
    "int_type": ("a whole number", lambda value: "write digits only"),
    "int_parsing": ("a whole number", lambda value: "write digits only"),
    "int_from_float": ("a whole number", lambda value: "write digits only"),
    "bool_type": ("true or false", lambda value: "write true or false"),
    "bool_parsing": ("true or false", lambda value: "write true or false"),
    "float_type": ("a number", lambda value: "write a number"),
    "float_parsing": ("a number", lambda value: "write a number"),
}

_LIMITS: dict[str, Callable[[Any, Mapping[str, Any]], Said]] = {
    "string_too_short": lambda value, limit: ("the text is empty", "write something"),
    "string_too_long": lambda value, limit: (
        f"{shown(value, 30)} has {len(value)} characters",
        f"write at most {limit['max_length']}",
    ),
    "too_short": lambda value, limit: ("the list is empty", f"write at least {limit['min_length']} item"),
    "too_long": lambda value, limit: (f"the list is longer than {limit['max_length']}", "shorten it"),
    "greater_than_equal": lambda value, limit: (f"{value} is too small", f"write at least {limit['ge']}"),
    "greater_than": lambda value, limit: (f"{value} is too small", f"write more than {limit['gt']}"),
    "less_than_equal": lambda value, limit: (f"{value} is too large", f"write at most {limit['le']}"),
    "less_than": lambda value, limit: (f"{value} is too large", f"write less than {limit['lt']}"),
}


def _missing(error: ErrorDetails, model: type[BaseModel]) -> Said:
    name = str(error["loc"][-1])
    owner = _model_at(model, error["loc"][:-1])
    about = owner.model_fields[name].description if owner and name in owner.model_fields else None
    hint = f" ({about.split('; ')[0].rstrip('.')})" if about else ""
    return "this field is missing", f"add `{name}: …`{hint}"


def _unknown_field(error: ErrorDetails, model: type[BaseModel]) -> Said:
    owner = _model_at(model, error["loc"][:-1])
    fields = list(owner.model_fields) if owner else []
    return "there is no such field", _choose(str(error["loc"][-1]), fields, "the fields here are")


def _not_a_choice(value: Any, expected: str) -> Said:
    choices = [choice.strip("'") for choice in expected.replace(" or ", ", ").split(", ")]
    return f"{shown(value)} is not one of the choices", _choose(str(value), choices, "write")


def _choose(written: str, choices: Iterable[str], otherwise: str) -> str:
    return did_you_mean(written, choices) or f"{otherwise} {', '.join(choices)}"


def did_you_mean(written: str, choices: Iterable[str]) -> str:
    """ "did you mean `close`?", or nothing where nothing is close."""
    close = difflib.get_close_matches(written.lower(), list(choices), n=1)
    return f"did you mean `{close[0]}`?" if close else ""


def _model_at(model: type[BaseModel], loc: tuple[str | int, ...]) -> type[BaseModel] | None:
    """The model whose fields stand at *loc*."""
    for step in loc:
        if isinstance(step, str) and step in model.model_fields:
            inner = _model_in(model.model_fields[step].annotation)
            if inner is None:
                return None
            model = inner
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
