"""From rules to a ValidatingAdmissionPolicy and its binding.

A rule is a CEL expression for the list of sentences that say what is wrong with `it`; none: nothing is wrong. So a
decision and what a person is told about it cannot differ, and one refusal tells all that a policy has found (the API
server itself would show the first failing validation only).

On an update the rules look at the old object as well, and only what was not wrong before counts. An object that was
there before a policy, or whose tenant has lost an address since, can so still be labelled, finalised and deleted.
A sentence has to name every value that matters to it, else an old fault would excuse a new one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from config.emit.admission.cel import text
from config.emit.common import Manifest, metadata
from config.models import Site
from config.names import keys

API_VERSION = "admissionregistration.k8s.io/v1"
MESSAGE_LIMIT = 1200
"""Characters. Above 5 KiB, or with a line break, the API server shows the fixed message instead of ours."""


@dataclass(frozen=True)
class Variable:
    """A named CEL expression, evaluated at most once a request, and only when it is used."""

    name: str
    expression: str


@dataclass(frozen=True)
class Rule:
    """One thing that is not allowed; `problems` is a CEL expression of type list<string> about the variable `it`."""

    name: str
    problems: str


@dataclass(frozen=True)
class Resources:
    """What a policy looks at; *names* may hold subresources, as "pods/ephemeralcontainers"."""

    group: str
    names: tuple[str, ...]
    version: str = "v1"
    operations: tuple[str, ...] = ("CREATE", "UPDATE")

    def rule(self) -> dict[str, Any]:
        """As `resourceRules` has it, with the API server's default scope spelt out."""
        return {
            "apiGroups": [self.group],
            "apiVersions": [self.version],
            "operations": list(self.operations),
            "resources": list(self.names),
            "scope": "Namespaced",
        }


@dataclass(frozen=True)
class Policy:
    """One concern. *it* makes what the rules look at out of `each`, an object."""

    concern: str
    resources: tuple[Resources, ...]
    rules: tuple[Rule, ...]
    variables: tuple[Variable, ...] = ()
    it: str = "each"
    only_if: tuple[Variable, ...] = ()
    """Conditions (`matchConditions`) without which the policy is not asked."""


def manifests(site: Site, policy: Policy) -> Iterator[Manifest]:
    """The policy and the binding that puts it into force, both called `<concern>.<label domain>`.

    ValueError where two variables or rules of it have one name.
    """
    name = f"{policy.concern}.{site.label_domain}"
    variables = tuple(_variables(site, policy))
    for number, variable in enumerate(variables):
        if any(variable.name == other.name for other in variables[:number]):
            raise ValueError(f"{policy.concern}: two variables are called {variable.name}")
    yield {
        "apiVersion": API_VERSION,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": metadata(site, name),
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "matchPolicy": "Equivalent",
                "namespaceSelector": {"matchExpressions": [{"key": keys(site).tenant, "operator": "Exists"}]},
                "resourceRules": [resources.rule() for resources in policy.resources],
            },
            **({"matchConditions": [_named(condition) for condition in policy.only_if]} if policy.only_if else {}),
            "variables": [_named(variable) for variable in variables],
            "validations": [
                {
                    "expression": "variables.problems.size() == 0",
                    "messageExpression": _message(),
                    "message": f"not allowed in a tenant's namespace; docs/admission.md ({policy.concern}) says why",
                    "reason": "Forbidden",
                }
            ],
        },
    }
    yield {
        "apiVersion": API_VERSION,
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": metadata(site, name),
        "spec": {"policyName": name, "validationActions": ["Deny"]},
    }


def _variables(site: Site, policy: Policy) -> Iterator[Variable]:
    yield Variable("tenant", f"namespaceObject.metadata.labels[{text(keys(site).tenant)}]")
    yield from policy.variables
    objects = "(request.operation == 'UPDATE' ? [object, oldObject] : [object])"
    yield Variable("subjects", objects if policy.it == "each" else f"{objects}.map(each, {policy.it})")
    for rule in policy.rules:
        yield Variable(rule.name, f"variables.subjects.map(it, {rule.problems})")
    yield Variable("now", " + ".join(f"variables.{rule.name}[0]" for rule in policy.rules))
    before = " + ".join(f"variables.{rule.name}[1]" for rule in policy.rules)
    yield Variable("before", f"variables.subjects.size() == 1 ? [] : {before}")
    yield Variable("problems", "variables.now.filter(problem, !(problem in variables.before))")


def _message() -> str:
    joined = "variables.problems.join('; ').replace('\\n', ' ').replace('\\r', ' ')"
    return (
        f"[{joined}].map(all, all.size() > {MESSAGE_LIMIT} "
        f"? all.substring(0, {MESSAGE_LIMIT}) + ' ... and more' : all)[0]"
    )


def _named(variable: Variable) -> dict[str, str]:
    return {"name": variable.name, "expression": variable.expression}
