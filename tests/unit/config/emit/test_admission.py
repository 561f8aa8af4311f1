"""The admission policies as text. What they refuse is proven on a real API server: tests/cluster/admission."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from config.emit import admission
from config.emit.admission.cel import text, texts, words
from config.emit.admission.policy import Policy, Resources, Rule, Variable, manifests
from config.images import registry_prefix
from config.load import load
from config.models import Site, Tenant, World
from config.names import keys
from config.order import KINDS, kind_of
from tests.unit.config.worlds import compare

DATA = Path(__file__).parents[3] / "data" / "emit" / "admission"


def world(**fields: object) -> World:
    return World(Site.model_validate({"label_domain": "edge.example.org", **fields}), {}, {})


@pytest.mark.parametrize("case", sorted(path.name for path in DATA.iterdir()))
def test_policies_of(case: str, pytestconfig: pytest.Config) -> None:
    found = load(DATA / case / "world")
    compare(DATA / case / "expected.yaml", dumped(found), pytestconfig)


def dumped(found: World) -> str:
    return yaml.safe_dump_all(admission.emit(found), sort_keys=False, allow_unicode=True, width=120)


def test_tenants_make_no_difference() -> None:
    """Five hundred tenants are as many policies as none."""
    site = Site(label_domain="edge.example.org")
    many = {f"t{number}": Tenant(name=f"t{number}") for number in range(500)}
    assert dumped(World(site, {}, many)) == dumped(World(site, {}, {}))


def test_each_policy_is_bound_by_its_name_and_in_force() -> None:
    made = list(admission.emit(world()))
    policies = {one["metadata"]["name"]: one for one in made if one["kind"] == "ValidatingAdmissionPolicy"}
    bindings = {one["spec"]["policyName"]: one for one in made if one["kind"] == "ValidatingAdmissionPolicyBinding"}
    assert list(policies) == list(bindings) == [one["metadata"]["name"] for one in bindings.values()]
    for policy, binding in zip(policies.values(), bindings.values(), strict=True):
        assert policy["metadata"]["name"].endswith(".edge.example.org")
        assert policy["spec"]["failurePolicy"] == "Fail"
        assert policy["spec"]["matchConstraints"]["namespaceSelector"] == {
            "matchExpressions": [{"key": keys(world().site).tenant, "operator": "Exists"}]
        }
        # no parameter, no selector of its own: nothing that could leave a namespace out
        assert binding["spec"] == {"policyName": policy["metadata"]["name"], "validationActions": ["Deny"]}


def test_every_kind_is_one_that_apply_knows() -> None:
    assert {kind_of(one) for one in admission.emit(world())} == set(KINDS[:2])


def test_variables_are_used_after_they_are_declared_and_once_named() -> None:
    """The API server refuses anything else; here it is told without one."""
    for manifest in admission.emit(world(image_registries=["registry.example.org"])):
        known: list[str] = []
        for variable in manifest["spec"].get("variables", []):
            assert set(re.findall(r"variables\.(\w+)", variable["expression"])) <= set(known)
            assert variable["name"] not in known
            known.append(variable["name"])


def test_variable_named_twice_is_a_mistake() -> None:
    policy = Policy("x", (Resources("", ("pods",)),), (Rule("a", "[]"),), (Variable("a", "1"),))
    with pytest.raises(ValueError, match="x: two variables are called a"):
        list(manifests(world().site, policy))


def test_without_registries_any_image_will_do() -> None:
    assert "images" not in dumped(world())
    assert "'registry.example.org/research/'" in dumped(world(image_registries=["registry.example.org/research"]))


@pytest.mark.parametrize(
    ("registry", "prefix"),
    [
        ("registry.example.org", "registry.example.org/"),
        ("registry.example.org/", "registry.example.org/"),
        ("registry.example.org/research", "registry.example.org/research/"),
        ("registry.example.org:5000/a/b/", "registry.example.org:5000/a/b/"),
        ("localhost", "localhost/"),
        ("localhost:5000", "localhost:5000/"),
        ("docker.io", "docker.io/"),
        ("index.docker.io/jupyter", "docker.io/jupyter/"),
        ("jupyter", "docker.io/jupyter/"),
        ("library", "docker.io/library/"),
        ("Registry/x", "Registry/x/"),
    ],
)
def test_registry_is_a_prefix_up_to_a_slash(registry: str, prefix: str) -> None:
    assert registry_prefix(registry) == prefix


@pytest.mark.parametrize("said", ["plain", "it's", "a\\b", "x' + object.metadata.name + '", "two\nlines", "\\'"])
def test_text_stays_text(said: str) -> None:
    """Nothing in a site file becomes CEL: no quote ends the literal early."""
    literal = text(said)
    assert re.fullmatch(r"'(?:[^'\\\n\r]|\\.)*'", literal)
    names = {"\\n": "\n", "\\r": "\r"}
    assert re.sub(r"\\.", lambda found: names.get(found[0], found[0][1]), literal[1:-1]) == said


def test_lists_and_words() -> None:
    assert texts(["a", "b'"]) == "['a', 'b\\'']"
    assert words("x", ",") == "x.split(',').map(word, word.trim()).filter(word, word != '')"
