"""The form of a profile, made from the kind's options model and the profile's defaults, locks and choices. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from config.models import Profile, Site, Tenant, format_memory
from config.models.quantity import format_cpu
from spawners.kinds import home
from spawners.kinds.base import Kind
from spawners.refusal import Violation


@dataclass(frozen=True)
class Field:
    """One field of a form; *errors* are this field's violations."""

    name: str
    title: str
    help: str
    widget: str
    value: Any
    required: bool = False
    locked: bool = False
    choices: tuple[tuple[Any, str], ...] = ()
    placeholder: str = ""
    unit: str = ""
    group: str = ""
    minimum: float | None = None
    maximum: float | None = None
    errors: tuple[str, ...] = ()


@dataclass(frozen=True)
class Form:
    """All that a page needs to draw it; *errors* belong to no field shown."""

    tenant: str
    profile: str
    kind: str
    fields: tuple[Field, ...]
    owners: tuple[str, ...]
    errors: tuple[str, ...] = ()


def make_form(
    kind: Kind,
    profile: Profile,
    tenant: Tenant,
    values: Mapping[str, Any] | None = None,
    violations: Iterable[Violation] = (),
    *,
    site: Site | None = None,
    on_cluster: bool = False,
) -> Form:
    """The form, filled with *values* (as typed) over the profile's defaults, with *violations* at their fields.

    *site*, *on_cluster*: what is offered for a home depends on them; one machine with a site of defaults unless said.
    """
    schema = kind.options.model_json_schema()
    values, wrong = values or {}, list(violations)
    shown = [
        _field(name, item, schema, profile, tenant, values, wrong)
        for name, item in schema["properties"].items()
        if name not in profile.hidden
    ]
    here = site or Site()
    shown = [
        _home_field(field, profile, tenant, here, on_cluster)
        if schema["properties"][field.name].get("source") == "homes"
        else field
        for field in shown
    ]
    names = {field.name for field in shown}
    rest = tuple(
        f"{v.field}: {v.message}" if v.field else v.message for v in wrong if v.field.partition(".")[0] not in names
    )
    return Form(tenant.name, profile.name, kind.name, tuple(shown), tuple(sorted(kind.owners)), rest)


def _field(
    name: str,
    item: Mapping[str, Any],
    schema: Mapping[str, Any],
    profile: Profile,
    tenant: Tenant,
    values: Mapping[str, Any],
    wrong: Sequence[Violation],
) -> Field:
    kind = _concrete(item, schema)
    choices = _choices(name, item, kind, profile, tenant)
    default = profile.defaults.get(name, item.get("default"))
    if name == "size":
        default = default or profile.default_size or profile.sizes[0].name
    if default is None and choices and name in schema.get("required", ()):
        default = choices[0][0]
    return Field(
        name=name,
        title=item.get("title", name).capitalize() if "title" not in item else item["title"],
        help=item.get("description", ""),
        widget=item.get("widget") or _widget(kind, bool(choices)),
        value=values.get(name, default),
        required=name in schema.get("required", ()),
        locked=name in profile.locked,
        choices=choices,
        placeholder=item.get("placeholder", ""),
        unit=item.get("unit", ""),
        group=item.get("group", ""),
        minimum=kind.get("minimum", kind.get("exclusiveMinimum")),
        maximum=kind.get("maximum"),
        errors=tuple(v.message for v in wrong if v.field.partition(".")[0] == name),
    )


def _home_field(field: Field, profile: Profile, tenant: Tenant, site: Site, on_cluster: bool) -> Field:
    """Where a home is kept: what is offered here, what the profile allows of it, a warning where there is none."""
    offered = home.choices(tenant, site, on_cluster=on_cluster)

    def in_full(value: Any) -> str:
        return home.meant(str(value or home.AUTO), tenant, site, on_cluster=on_cluster)

    # The profile's own words stay the values: the hub compares what is sent with them.
    allowed = {in_full(value): str(value) for value in profile.choices.get(field.name, ())}
    shown = tuple((allowed.get(value, value), text) for value, text in offered.every if not allowed or value in allowed)
    chosen = in_full(field.value)
    return replace(
        field,
        choices=shown or offered.every,
        value=allowed.get(chosen, chosen),
        help=" ".join(text for text in (field.help, offered.warning) if text),
    )


def _concrete(item: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a JSON schema property that is not null, references followed."""
    for part in item.get("anyOf", (item,)):
        if part.get("type") != "null":
            reference = str(part.get("$ref", "")).removeprefix("#/$defs/")
            found: Mapping[str, Any] = schema["$defs"][reference] if reference else part
            return found
    return item


def _widget(kind: Mapping[str, Any], has_choices: bool) -> str:
    by_type = {"boolean": "checkbox", "integer": "number", "number": "number", "array": "lines"}
    return "select" if has_choices else by_type.get(str(kind.get("type")), "text")


def _choices(
    name: str, item: Mapping[str, Any], kind: Mapping[str, Any], profile: Profile, tenant: Tenant
) -> tuple[tuple[Any, str], ...]:
    labels: Mapping[str, str] = item.get("labels", {})
    if name == "size":
        return tuple(
            (size.name, size.title or f"{size.name}: {format_cpu(size.cpu)} CPU, {format_memory(size.memory)} memory")
            for size in profile.sizes
        )
    if item.get("source") == "remotes":
        return tuple((r.name, r.title or f"{r.name} (bucket {r.bucket})") for r in tenant.remotes)
    if item.get("source") == "networks":
        return tuple((n.name, n.title or n.name) for n in tenant.networks)
    allowed = profile.choices.get(name, kind.get("enum", ()))
    return tuple((value, labels.get(str(value), str(value))) for value in allowed)


def read_form(kind: Kind, profile: Profile, data: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The options that a submitted form means, as JSON values; left out where the person left a field empty.

    A checkbox that is not sent is false; "lines" become a list. Types are left to the options model, so that
    its errors are the same as over REST.
    """
    schema = kind.options.model_json_schema()
    options: dict[str, Any] = {}
    for name, item in schema["properties"].items():
        if name in profile.hidden or name in profile.locked:
            continue
        concrete = _concrete(item, schema)
        sent = [value for value in data.get(name, ()) if value.strip()]
        if concrete.get("type") == "boolean":
            options[name] = bool(sent) and sent[-1] not in ("false", "off", "0")
        elif concrete.get("type") == "array":
            options[name] = [line.strip() for value in sent for line in value.splitlines() if line.strip()]
        elif sent:
            options[name] = _number(sent[-1]) if concrete.get("type") in ("integer", "number") else sent[-1].strip()
    return options


def _number(text: str) -> Any:
    """A number where the text is one; else the text itself, for the model to refuse in its own words."""
    for build in (int, float):
        try:
            return build(text)
        except ValueError:
            continue
    return text


def typed(kind: Kind, profile: Profile, data: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """What a submitted form holds, to be shown again: as read_form, and a field that was emptied stays empty."""
    shown = set(kind.options.model_fields) - set(profile.hidden) - set(profile.locked)
    emptied = {name: None for name in shown if name in data and not any(value.strip() for value in data[name])}
    return {**emptied, **read_form(kind, profile, data)}
