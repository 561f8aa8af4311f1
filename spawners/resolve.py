"""From a request to a frozen Workload: every choice made, every violation told at once. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from config.models import Profile, Tenant, World
from config.models.base import PATTERN_WORDS
from spawners.access import grant, require_owner
from spawners.kinds.base import Kind
from spawners.refusal import Refusal, Violation
from spawners.request import Request, shown
from spawners.workload import Workload


def resolve(
    world: World,
    kinds: Mapping[str, Kind],
    request: Request,
    *,
    owner: str,
    name: str,
    display_name: str,
    started_by: str,
    asked: datetime,
) -> Workload:
    """The Workload that *request* means for the account *owner*. Refusal (access, options, world) otherwise."""
    granted = grant(world, owner, request.tenant, request.profile)
    kind = kinds.get(granted.profile.kind)
    if kind is None:
        raise Refusal.of("world", f"profile {granted.profile.name}: no kind {granted.profile.kind!r} here", "profile")
    require_owner(granted, kind)
    if not name:
        raise Refusal.of("options", f"start a named server: POST /users/{owner}/servers/NAME", "name")
    options = resolve_options(kind, granted.profile, granted.tenant, world, request.options)
    size = granted.profile.size(options.get("size"))
    if size is None:  # resolve_options has refused an unknown size; a profile always has one
        raise Refusal.of("world", f"profile {granted.profile.name} has no size", "size")
    network = granted.tenant.network(granted.profile.network)
    return Workload(
        tenant=granted.tenant.name,
        owner=owner,
        name=name,
        display_name=display_name or name,
        kind=kind.name,
        profile=granted.profile.name,
        image=granted.profile.image,
        size=size,
        network=network.name if network else None,
        options={**options, "size": size.name},
        started_by=started_by,
        asked=asked,
    )


def resolve_options(
    kind: Kind, profile: Profile, tenant: Tenant, world: World, given: Mapping[str, Any]
) -> dict[str, Any]:
    """The kind's options as JSON values: profile defaults under *given*, locks and choices enforced, all validated."""
    violations = _unknown(kind, given)
    preset = kind.options.model_construct(**profile.defaults).model_dump(mode="json", warnings=False)
    violations += [
        Violation(name, f"is fixed by the profile {profile.name} to {preset.get(name)!r}; leave it out")
        for name in profile.locked
        if name in given and not _same(kind, name, given[name], preset.get(name))
    ]
    known = {name: value for name, value in given.items() if name in kind.options.model_fields}
    free = {name: value for name, value in known.items() if name not in profile.locked}
    try:
        model = kind.options.model_validate({**profile.defaults, **free})
    except ValidationError as error:
        violations += [Violation(field_of(item["loc"]), message_of(item)) for item in error.errors()]
        raise Refusal("options", violations) from None
    options = model.model_dump(mode="json")
    violations += _outside_choices(profile, options)
    if options.get("size") is not None and profile.size(options["size"]) is None:
        sizes = ", ".join(size.name for size in profile.sizes)
        violations.append(Violation("size", f"there is no size {shown(options['size'])!r}; choose one of {sizes}"))
    violations += kind.check(options, tenant, world.site)
    if violations:
        raise Refusal("options", violations)
    return options


def _unknown(kind: Kind, given: Mapping[str, Any]) -> list[Violation]:
    known = ", ".join(kind.options.model_fields)
    return [
        Violation(shown(name), f"unknown option of {kind.name}; it has: {known}")
        for name in given
        if name not in kind.options.model_fields
    ]


def _same(kind: Kind, name: str, value: Any, fixed: Any) -> bool:
    """Whether a locked option was sent back unchanged; a form may send "2" where the profile says 2."""
    if value == fixed:
        return True
    try:
        dumped = kind.options.model_construct(**{name: value}).model_dump(mode="json", warnings=False)[name]
    except (KeyError, ValueError):
        return False
    return bool(dumped == fixed or str(value) == str(fixed))


def _outside_choices(profile: Profile, options: Mapping[str, Any]) -> list[Violation]:
    return [
        Violation(name, f"{shown(options.get(name))!r} is not offered; choose one of {', '.join(map(str, allowed))}")
        for name, allowed in profile.choices.items()
        if options.get(name) not in allowed
    ]


def field_of(location: tuple[int | str, ...]) -> str:
    """The form field of a pydantic error location: its first part, dotted with the rest."""
    return ".".join(str(part) for part in location)


def message_of(item: Mapping[str, Any]) -> str:
    """A pydantic error in a form's words. What a pattern asks for is said as it is for files (config.explain)."""
    if words := PATTERN_WORDS.get(str(item.get("ctx", {}).get("pattern"))):
        return f"does not match: write {words}"
    message = str(item["msg"]).removeprefix("Value error, ")
    return "is needed" if item["type"] == "missing" else message[:1].lower() + message[1:]
