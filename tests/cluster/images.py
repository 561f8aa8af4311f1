"""The project's own images in the registry of a bed: built where they are not in the cache, and pushed."""

from __future__ import annotations

import functools
import os
import sys

import pytest

from tests.cluster.bed import Bed
from tests.tiers import need
from tools.images import layout
from tools.images.build import Built, Wanted, build, cache_folder
from tools.images.engines import Buildah, choose
from tools.images.inputs import NAMES
from tools.images.network import network
from tools.images.problem import BuildError

_pushed: dict[tuple[str, str], str] = {}
"""References by bed and image, so that a run pushes once to each bed."""


def pushed(bed: Bed) -> dict[str, str]:
    """Kind (and "hub") to the reference that Pods use, e.g. `10.99.0.1:5000/tenanthub/notebook:0f3c…`.

    The tag is the hash of what the image is made from: an older one that a node has is never taken for it. Skips or
    fails like `need` where the images can be neither found nor built.
    """
    found = {}
    for name, one in built().items():
        if (bed.name, name) not in _pushed:
            stored = engine().stored(one.reference)
            _pushed[bed.name, name] = layout.push(stored, str(bed.registry), f"tenanthub/{name}", one.key)
        found[name] = _pushed[bed.name, name]
    return found


@functools.cache
def engine() -> Buildah:
    """The engine whose images lie in the cache, from where a registry gets them within seconds."""
    try:
        found = choose("buildah", cache_folder())
    except BuildError as error:
        need("cluster", False, str(error))
        raise
    assert isinstance(found, Buildah)
    return found


@functools.cache
def built() -> dict[str, Built]:
    """All images, from the cache or built now: what `make images` does, by the settings that it finds by itself.

    In TENANTHUB_IMAGES_BASE a site names the base to build on. With TENANTHUB_IMAGES_AS_BUILT set, what was built last
    is taken, however old: for whoever works on something else while the files of images change all the time.
    """
    if os.environ.get("TENANTHUB_IMAGES_AS_BUILT"):
        return _last()
    base = os.environ.get("TENANTHUB_IMAGES_BASE", "auto")
    try:
        settings = network(ca=None, pip=None, npm=None, apt=None)
        return build(engine(), Wanted(base=base), settings, _say)
    except BuildError as error:
        need("cluster", False, f"the images cannot be built: {error}")
        raise


def _last() -> dict[str, Built]:
    found = {}
    for reference in layout.references(engine().layout):  # the last one of a name is the newest
        name, _, key = reference.rpartition("/")[2].partition(":")
        if name in NAMES:
            found[name] = Built(name, key, reference, *engine().sizes(reference), 0)
    need("cluster", len(found) == len(NAMES), "not every image was ever built here (make images)")
    return found


def _say(line: str) -> None:
    print(f"images: {line}", file=sys.stderr, flush=True)


@pytest.fixture(scope="session")
def images(bed: Bed) -> dict[str, str]:
    """The same as a fixture, for whoever imports it."""
    return pushed(bed)
