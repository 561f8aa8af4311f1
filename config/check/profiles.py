"""Profiles by themselves (as far as no kind has to be asked) and in the tenants that may use them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from config.check.common import claimed_twice, repeated
from config.errors import Problem
from config.explain import did_you_mean
from config.models import Profile, Tenant, World
from config.names import same_reading
from config.sources import Sources
from config.yamltext import shown


def sizes(world: World, sources: Sources) -> Iterator[Problem]:
    """Names of sizes are unique, and the default is one of them."""
    for profile in world.profiles.values():
        names = [size.name for size in profile.sizes]
        for index, first in repeated(names):
            where = sources.place("profiles", profile.name, ("sizes", first, "name"))
            said = f"another size is called `{names[index]}` ({where})"
            path = ("sizes", index, "name")
            yield sources.problem("profiles", profile.name, path, said, "give one of them another name")
        if profile.default_size is not None and profile.default_size not in names:
            said = f"there is no size `{profile.default_size}`"
            fix = f"write one of {', '.join(names)}"
            yield sources.problem("profiles", profile.name, ("default_size",), said, fix)


def options(world: World, sources: Sources) -> Iterator[Problem]:
    """defaults, choices, locked and hidden do not contradict each other."""
    for profile in world.profiles.values():
        for field in ("locked", "hidden"):
            for index, _ in repeated(getattr(profile, field)):
                said = f"`{getattr(profile, field)[index]}` is listed twice"
                yield sources.problem("profiles", profile.name, (field, index), said, "remove one")
        yield from _choices(profile, sources)


def _choices(profile: Profile, sources: Sources) -> Iterator[Problem]:
    for option, choices in profile.choices.items():
        path = ("choices", option)
        for index, _ in repeated(map(_same, choices)):
            said = f"{shown(choices[index])} is a choice twice"
            yield sources.problem("profiles", profile.name, (*path, index), said, "remove one")
        if option in profile.defaults and _same(profile.defaults[option]) not in set(map(_same, choices)):
            said = f"{shown(profile.defaults[option])} is not among the choices of `{option}`"
            fix = f"write one of {', '.join(map(shown, choices))}, or add it to choices"
            yield sources.problem("profiles", profile.name, ("defaults", option), said, fix)
        if option in profile.locked:
            said = f"`{option}` is locked, so nobody can choose"
            place = ("locked", profile.locked.index(option))
            fix = "remove it from locked, or from choices"
            yield sources.problem("profiles", profile.name, place, said, fix)
        elif option in profile.hidden and option not in profile.defaults:
            said = f"`{option}` is hidden, has choices and no value in defaults: nothing tells which it takes"
            fix = f"write defaults: {{{option}: …}}, or remove it from hidden"
            place = ("hidden", profile.hidden.index(option))
            yield sources.problem("profiles", profile.name, place, said, fix)


def _same(value: Any) -> str:
    """Equal for equal values, and only for these: in Python 1 == True."""
    return json.dumps(value, sort_keys=True)


def images(world: World, sources: Sources) -> Iterator[Problem]:
    """Images come from the site's registries, where it names any."""
    registries = world.site.image_registries
    for profile in world.profiles.values():
        if profile.image is None or not registries:
            continue
        if not any(profile.image.startswith(registry.rstrip("/") + "/") for registry in registries):
            where = sources.place("site", "", ("image_registries",))
            said = f"{shown(profile.image)} does not come from a registry of this site ({where})"
            fix = f"write an image in {', '.join(registries)}"
            yield sources.problem("profiles", profile.name, ("image",), said, fix)


def titles(world: World, sources: Sources) -> Iterator[Problem]:
    """Nobody is shown two tenants, or two cards, that read the same."""
    tenants = world.tenants.values()
    for tenant, other in claimed_twice(tenants, lambda one: same_reading(one.title or one.name)):
        where = sources.place("tenants", other.name, ("title",))
        said = f"reads the same as tenant `{other.name}` ({where})"
        yield sources.problem("tenants", tenant.name, ("title",), said, "give one of them another title")
    for tenant in tenants:
        cards = [world.profiles[name] for name in sorted(set(tenant.profiles) & world.profiles.keys())]
        for profile, card in claimed_twice(cards, lambda one: same_reading(one.title)):
            where = sources.place("profiles", card.name, ("title",))
            said = f"reads the same as profile `{card.name}` ({where}), and some people see both"
            yield sources.problem("profiles", profile.name, ("title",), said, "give one of them another title")


def tenant_profiles(world: World, sources: Sources) -> Iterator[Problem]:
    """Each profile that a tenant may use exists, is listed once, and finds its network there."""
    for tenant in world.tenants.values():
        for index, _ in repeated(tenant.profiles):
            said = f"`{tenant.profiles[index]}` is listed twice"
            yield sources.problem("tenants", tenant.name, ("profiles", index), said, "remove one")
        for index, name in enumerate(tenant.profiles):
            yield from _usable(world, sources, tenant, index, name)


def _usable(world: World, sources: Sources, tenant: Tenant, index: int, name: str) -> Iterator[Problem]:
    profile, known = world.profiles.get(name), sources.known("profiles")
    if profile is None and name not in known:
        there = f"write one of {', '.join(sorted(known))}" if known else "declare it in profiles/"
        fix = did_you_mean(name, sorted(known)) or there
        yield sources.problem("tenants", tenant.name, ("profiles", index), f"there is no profile `{name}`", fix)
    if profile is not None and profile.network is not None and tenant.network(profile.network) is None:
        where = sources.place("profiles", profile.name, ("network",))
        said = f"profile `{name}` uses network `{profile.network}` ({where}), which the tenant does not have"
        fix = f"declare a network `{profile.network}`, or leave the profile out"
        yield sources.problem("tenants", tenant.name, ("profiles", index), said, fix)
