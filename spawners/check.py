"""What config/ cannot know of profiles: whether their options fit their kind. Used by `tenanthub check` and the hub."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pydantic import ValidationError

from config.errors import Problem
from config.models import Profile, World
from config.sources import Sources
from spawners.kinds.base import Kind
from spawners.resolve import field_of, message_of


def check_profiles(world: World, sources: Sources, kinds: Mapping[str, Kind]) -> Iterable[Problem]:
    """Every profile against its kind: kind known, options known, presets and choices valid, locks with a value."""
    for profile in world.profiles.values():
        kind = kinds.get(profile.kind)
        if kind is None:
            fix = f"choose one of {', '.join(sorted(kinds))}"
            yield _problem(sources, profile, ("kind",), f"there is no kind {profile.kind!r}", fix)
            continue
        yield from _options(profile, kind, sources)


def _options(profile: Profile, kind: Kind, sources: Sources) -> Iterator[Problem]:
    known = kind.options.model_fields
    fix = f"{kind.name} has: {', '.join(known)}"
    named: list[tuple[tuple[str | int, ...], str]] = [(("defaults", name), name) for name in profile.defaults]
    named += [(("choices", name), name) for name in profile.choices]
    named += [(("locked", index), name) for index, name in enumerate(profile.locked)]
    named += [(("hidden", index), name) for index, name in enumerate(profile.hidden)]
    for path, name in named:
        if name not in known:
            yield _problem(sources, profile, path, f"{kind.name} has no option {name!r}", fix)
    for name, values in profile.choices.items():
        for index, value in enumerate(values):
            yield from _value(profile, kind, sources, ("choices", name, index), name, value)
    for name, value in profile.defaults.items():
        yield from _value(profile, kind, sources, ("defaults", name), name, value)
    for attribute in ("locked", "hidden"):
        for index, name in enumerate(getattr(profile, attribute)):
            if name in known and known[name].is_required() and name not in profile.defaults:
                text = f"{name} is needed, but nobody could give it"
                yield _problem(sources, profile, (attribute, index), text, f"set defaults.{name}")


def _value(
    profile: Profile, kind: Kind, sources: Sources, path: tuple[str | int, ...], name: str, value: object
) -> Iterator[Problem]:
    """What is wrong with one value by itself: other fields may be missing, their errors are not its own."""
    if name == "size":
        if profile.size(str(value)) is None:
            sizes = ", ".join(size.name for size in profile.sizes)
            yield _problem(sources, profile, path, f"there is no size {value!r}", f"choose one of {sizes}")
        return
    try:
        kind.options.model_validate({name: value})
    except ValidationError as error:
        for item in error.errors():
            if field_of(item["loc"]).partition(".")[0] == name:
                yield _problem(sources, profile, path, f"{value!r} {message_of(item)}", "correct the value")


def _problem(sources: Sources, profile: Profile, path: tuple[str | int, ...], message: str, fix: str) -> Problem:
    file, line = sources.at("profiles", profile.name, path)
    field = ".".join(str(part) for part in path)
    return Problem(file=file, line=line, field=field, message=message, fix=fix)
