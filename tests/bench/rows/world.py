"""A thousand tenants: read and checked whole, checked by the command, read again after one file has changed."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from config.demo import write_demo
from config.load import ExtraCheck, load
from config.models import World
from config.sources import Sources
from config.store import WorldStore
from spawners.check import check_profiles
from spawners.kinds.registry import load_kinds
from tests.bench.contest import CannotRun, Contender, Turn, contest
from tests.bench.lab import OURS, Lab
from tests.bench.table import Measure, Section
from tests.embedded.harness import TENANTHUB

NAME = "world"
TENANTS = 1000
TITLE = f"A world of {TENANTS:,} tenants"
MEASURES = (
    Measure("load", "read and checked whole", "s"),
    Measure("again", "read again after one tenant's file has changed", "s"),
    Measure("command", "`tenanthub check`, the whole command", "s"),
)


def run(lab: Lab) -> Section:
    """Ours only: nothing else reads these files."""
    contenders = (Contender(OURS, lambda: _ours(lab), ours=True),)
    notes = ("Each tenant has 2 admins, 10 members, a network with a VLAN and addresses, and a remote. No peer.",)
    return Section(NAME, TITLE, contest(NAME, MEASURES, contenders, lab.options.rounds), notes)


@contextmanager
def _ours(lab: Lab) -> Iterator[Turn]:
    folder = lab.new_folder("world")
    write_world(folder, TENANTS)
    extra = _extra_check()
    store = WorldStore(folder, extra_check=extra)
    store.reload()
    changing = folder / "tenants" / f"{tenant(0)['name']}.yaml"

    def turn(round_: int) -> dict[str, float]:
        began = time.perf_counter()
        world = load(folder, extra)
        loaded = time.perf_counter()
        if len(world.tenants) != TENANTS:
            raise CannotRun(f"{len(world.tenants)} tenants were read")
        changing.write_text(yaml.safe_dump(tenant(0) | {"title": f"Round {round_}"}))
        before, changed = store.version, time.perf_counter()
        store.reload()
        again = time.perf_counter()
        if store.version != before + 1:
            raise CannotRun("the change was not seen")
        return {"load": loaded - began, "again": again - changed, "command": _command(folder)}

    yield turn


def _command(folder: Path) -> float:
    began = time.perf_counter()
    done = subprocess.run([TENANTHUB, "check", folder], capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise CannotRun(f"tenanthub check ended with {done.returncode}: {done.stdout[-300:]}{done.stderr[-300:]}")
    return time.perf_counter() - began


def _extra_check() -> ExtraCheck:
    """What the hub itself adds to the check of a world."""
    kinds = load_kinds()

    def extra(world: World, sources: Sources) -> object:
        return check_profiles(world, sources, kinds)

    return extra  # type: ignore[return-value]


def write_world(folder: Path, tenants: int) -> None:
    """The demo world's site and profiles, with *tenants* tenants instead of its own."""
    write_demo(folder)
    for path in (folder / "tenants").iterdir():
        path.unlink()
    for index in range(tenants):
        found = tenant(index)
        (folder / "tenants" / f"{found['name']}.yaml").write_text(yaml.safe_dump(found))


def tenant(index: int) -> dict[str, object]:
    """The tenant number *index* (below 4,094, the VLANs there are), with addresses and a VLAN of its own."""
    name, prefix = f"group-{index:04}", f"172.{16 + index // 256}.{index % 256}"
    return {
        "name": name,
        "title": f"Research group {index}",
        "admins": [f"{name}-admin-{number}" for number in range(2)],
        "members": [f"{name}-member-{number}" for number in range(10)],
        "profiles": ["notebook", "vscode", "instrument-upload", "crawl", "transfer", "own-app"],
        "quota": {"workloads": 20, "cpu": 16, "memory": "32Gi"},
        "networks": [
            {
                "name": "lab",
                "vlan": index + 1,
                "interface": f"eth1.{index + 1}",
                "gateway_nodes": ["gateway-1", "gateway-2"],
                "subnets": [f"{prefix}.0/24"],
                "loadbalancer": [f"{prefix}.10-{prefix}.50"],
                "egress": [f"{prefix}.60"],
            }
        ],
        "remotes": [{"name": "data", "type": "builtin", "bucket": f"{name}-data"}],
    }
