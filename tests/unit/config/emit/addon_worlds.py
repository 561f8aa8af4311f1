"""Golden files of the emitters for add-ons: a world as files, and the objects it becomes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.emit.common import Emitter, Manifest
from config.load import load
from config.models import World
from tests.unit.config.worlds import compare, write

DATA = Path(__file__).parents[3] / "data" / "emit"


def addon_cases(emitter: str) -> list[str]:
    return sorted(path.name for path in (DATA / emitter).iterdir() if path.is_dir())


def addon_world(emitter: str, case: str) -> World:
    return load(DATA / emitter / case)


def world_of(folder: Path, **files: str) -> World:
    """A world of the given files; `site` is site.yaml, each other name a tenant."""
    site = files.pop("site")
    tenants = {f"tenants/{name}.yaml": f"name: {name}\n{text}" for name, text in files.items()}
    return load(write(folder, {"site.yaml": site, **tenants}))


def compare_objects(golden: Path, objects: Iterable[Manifest], config: pytest.Config) -> None:
    compare(golden, yaml.safe_dump_all(list(objects), sort_keys=False, allow_unicode=True, width=118), config)


def golden_test(emitter: str, emit: Emitter) -> Callable[..., None]:
    """A test that holds each case of *emitter* against its golden file."""

    @pytest.mark.parametrize("case", addon_cases(emitter))
    def test(case: str, pytestconfig: pytest.Config) -> None:
        compare_objects(DATA / emitter / case / "expected.yaml", emit(addon_world(emitter, case)), pytestconfig)

    return test


def by_name(objects: Iterable[Manifest], kind: str) -> dict[str, dict[str, Any]]:
    """The `spec` of each object of the kind."""
    return {each["metadata"]["name"]: each["spec"] for each in objects if each["kind"] == kind}
