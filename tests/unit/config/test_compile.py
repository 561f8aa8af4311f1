"""Whole worlds: golden files, what holds across emitters, and `tenanthub render`."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from config import compile as compiler
from config import render
from config.compile import compile_world
from config.emit import workers
from config.load import load
from config.models import World
from config.order import key, kind_of
from tests.unit.config.worlds import compare

DATA = Path(__file__).parents[2] / "data" / "compile"
CASES = sorted(path.name for path in DATA.iterdir() if path.is_dir())

Objects = tuple[dict[str, Any], ...]


@pytest.fixture(params=CASES)
def world(request: pytest.FixtureRequest) -> World:
    return load(DATA / request.param)


def _of(objects: Objects, kind: str) -> Iterator[dict[str, Any]]:
    return (one for one in objects if one["kind"] == kind)


def _text(objects: Objects) -> str:
    stream = io.StringIO()
    render.write(objects, stream)
    return stream.getvalue()


@pytest.mark.parametrize("case", CASES)
def test_golden_world(case: str, pytestconfig: pytest.Config) -> None:
    """Whole worlds, but for admission rules, which are the same for every tenant: kyoto's file alone holds them."""
    objects = compile_world(load(DATA / case))
    told = tuple(one for one in objects if case == "kyoto" or one["kind"] != "ValidatingAdmissionPolicy")
    compare(DATA / case / "expected.yaml", _text(told), pytestconfig)


def test_objects_are_in_order_named_once_and_ours(world: World) -> None:
    objects = compile_world(world)
    assert list(map(key, objects)) == sorted({key(one) for one in objects})
    for one in objects:
        assert one["metadata"]["labels"][f"{world.site.label_domain}/declared-by"] == "tenanthub"
        assert kind_of(one).namespaced is ("namespace" in one["metadata"])


def test_the_same_world_gives_the_same_objects(world: World) -> None:
    backwards = World(world.site, world.profiles, dict(reversed(list(world.tenants.items()))))
    first, again = compile_world(world), compile_world(world)
    assert first == again
    assert compile_world(backwards) == first


def test_objects_are_plain_json(world: World) -> None:
    objects = list(compile_world(world))
    assert json.loads(json.dumps(objects)) == objects


def test_only_kinds_of_add_ons_that_the_site_has(world: World) -> None:
    present = {name for name, there in world.site.addons.model_dump().items() if there}
    assert {kind_of(one).addon for one in compile_world(world)} - {None} <= present


def test_namespaced_objects_lie_in_a_tenants_namespace_or_metallbs(world: World) -> None:
    objects = compile_world(world)
    namespaces = {one["metadata"]["name"] for one in _of(objects, "Namespace")}
    assert namespaces == {f"tenant-{name}" for name in world.tenants}
    for one in objects:
        if kind_of(one).namespaced:
            allowed = {world.site.cluster.metallb_namespace} if kind_of(one).addon == "metallb" else namespaces
            assert one["metadata"]["namespace"] in allowed


def _nodes(objects: Objects, wanted: dict[str, str]) -> set[str]:
    """Names of the nodes that a selector finds."""
    return {
        one["metadata"]["name"]
        for one in _of(objects, "Node")
        if wanted and wanted.items() <= one["metadata"]["labels"].items()
    }


def test_addresses_are_served_by_exactly_the_declared_gateway_nodes(world: World) -> None:
    """Labels come from one emitter, selectors from two others."""
    objects = compile_world(world)
    networks = {
        f"tenant-{tenant.name}.{network.name}": set(network.gateway_nodes)
        for tenant in world.tenants.values()
        for network in tenant.networks
    }
    found = {}
    for one in _of(objects, "L2Advertisement"):
        found[f"lb {one['metadata']['name']}"] = networks[one["metadata"]["name"]], one["spec"]["nodeSelectors"]
    for one in _of(objects, "EgressGateway"):
        found[f"eg {one['metadata']['name']}"] = (
            networks[one["metadata"]["name"]],
            [one["spec"]["nodeSelector"]["selector"]],
        )
    for name, (declared, selectors) in found.items():
        assert set().union(*(_nodes(objects, one["matchLabels"]) for one in selectors)) == declared, name
    wanted = sum(
        bool(addon and addresses)
        for tenant in world.tenants.values()
        for network in tenant.networks
        for addon, addresses in (
            (world.site.addons.metallb, network.loadbalancer),
            (world.site.addons.egressgateway, network.egress),
        )
    )
    assert len(found) == wanted


def test_pods_are_sent_to_exactly_the_declared_workers(world: World) -> None:
    objects = compile_world(world)
    by_name = {one["metadata"]["name"]: one for one in _of(objects, "Namespace")}
    for tenant in world.tenants.values():
        annotations = by_name[f"tenant-{tenant.name}"]["metadata"].get("annotations", {})
        text = annotations.get("scheduler.alpha.kubernetes.io/node-selector", "")
        pairs = dict(pair.split("=") for pair in text.split(",") if pair)
        assert tenant.workers.selector.items() <= pairs.items()
        ours = {name: value for name, value in pairs.items() if name not in tenant.workers.selector}
        assert _nodes(objects, ours) == set(tenant.workers.nodes)
        (tolerated,) = json.loads(annotations.get("scheduler.alpha.kubernetes.io/defaultTolerations", "[null]"))
        for node in tenant.workers.nodes if tenant.workers.dedicated else ():
            (found,) = (one for one in _of(objects, "Node") if one["metadata"]["name"] == node)
            assert [taint | {"operator": "Equal"} for taint in found["spec"]["taints"]] == [tolerated]


def test_capsule_sends_pods_where_the_namespace_does(world: World) -> None:
    """Capsule writes its Tenant's nodeSelector into the same annotation: two answers would fight for ever."""
    objects = compile_world(world)
    annotations = {one["metadata"]["name"]: one["metadata"].get("annotations", {}) for one in _of(objects, "Namespace")}
    for one in _of(objects, "Tenant"):
        wanted = ",".join(f"{name}={value}" for name, value in sorted(one["spec"].get("nodeSelector", {}).items()))
        mine = annotations[f"tenant-{one['metadata']['name']}"].get("scheduler.alpha.kubernetes.io/node-selector", "")
        assert mine == wanted


def test_an_object_made_by_two_emitters_is_a_mistake_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "EMITTERS", (workers.emit, workers.emit))
    with pytest.raises(ValueError, match="two emitters make Node gateway-1"):
        compile_world(load(DATA / "kyoto"))


def test_yaml_is_read_as_it_was_meant(world: World) -> None:
    objects = compile_world(world)
    text = _text(objects)
    assert tuple(yaml.safe_load_all(text)) == objects
    assert "&id" not in text


@pytest.mark.parametrize("value", ["1e3", "y", "No", "on", "0o17", "1_000", "12:30", "~", "null", "a: b", "", "x\ny\n"])
def test_text_stays_text_for_every_reader_of_yaml(value: str) -> None:
    """kubectl's reader knows more words and numbers than ours: whatever could be one is in quotes or a block."""
    text = _text(({"kind": "X", value: value},))
    assert list(yaml.safe_load_all(text)) == [{"kind": "X", value: value}]
    assert text.splitlines()[-1].endswith('"') or "|" in text


def _render(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hub.cli", "render", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_render_prints_what_the_golden_file_holds() -> None:
    done = _render(DATA / "kyoto")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (DATA / "kyoto" / "expected.yaml").read_text(encoding="utf-8")


def test_render_says_what_an_operator_may_not_have_meant() -> None:
    done = _render(DATA / "no-addons")
    assert done.returncode == 0
    assert [line.split(": ")[:3] for line in done.stderr.splitlines()] == [
        ["warning", "site.yaml:2", "addons.egressgateway"],
        ["warning", "site.yaml:2", "addons.metallb"],
    ]


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("tenants/maths.yaml", "name: maths\n", "tenants/maths.yaml:1: admins: the tenant has no admin; "),
        ("site.yaml", "title: A laptop\n", "site.yaml:1: cluster.nodes: the cluster's nodes are not declared; "),
    ],
)
def test_render_of_a_world_that_is_wrong_or_unfit_prints_no_object(
    tmp_path: Path, file: str, text: str, told: str
) -> None:
    (tmp_path / "tenants").mkdir()
    (tmp_path / "site.yaml").write_text((DATA / "no-network" / "site.yaml").read_text())
    (tmp_path / "tenants" / "maths.yaml").write_text("name: maths\nadmins: [emmy]\n")
    (tmp_path / file).write_text(text)
    done = _render(tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(told)


def test_render_into_a_pipe_that_is_closed_early_ends_quietly() -> None:
    """`tenanthub render DIR | head`."""
    command = [sys.executable, "-m", "hub.cli", "render", str(DATA / "kyoto")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stderr
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=60) == 0
