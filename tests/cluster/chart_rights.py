"""What the hub's and the portal's service accounts may do, as the chart grants it, and what they did, as the API server
has noted it in its audit log."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

from kubernetes import client

from tests.cluster.chart import Installed

_RBAC = "rbac.authorization.k8s.io"
_EVERYBODYS = {"selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews"}
"""What Kubernetes lets each account ask about itself."""


class Right(NamedTuple):
    """A verb on a resource, e.g. delete, apps, deployments."""

    verb: str
    group: str
    resource: str


class Use(NamedTuple):
    """A request that was made."""

    right: Right
    namespace: str
    """"" for all of them together."""
    name: str
    code: int


def account(made: Installed, name: str) -> str:
    """As Kubernetes calls it."""
    return f"system:serviceaccount:{made.namespace}:{name}"


def granted(rules: Iterable[Mapping[str, Any]]) -> set[Right]:
    """What the rules of a role give."""
    return {
        Right(verb, group, resource)
        for rule in rules
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


def role(made: Installed, name: str) -> set[Right]:
    """What the chart's ClusterRole gives: follow, hub or portal."""
    return granted(made.kube.get("clusterrole", f"tenanthub:{made.namespace}:{name}")["rules"])


def used(made: Installed, name: str) -> set[Use]:
    """What the account has asked of the API server so far, refused or not."""
    found, who = set(), account(made, name)
    with (made.bed.logs / "audit.log").open() as log:
        for line in log:
            if who not in line:
                continue
            event = json.loads(line)
            at = event.get("objectRef") or {}
            if event["user"]["username"] != who or "responseStatus" not in event or at.get("resource") in _EVERYBODYS:
                continue
            resource = "/".join(filter(None, (at.get("resource", ""), at.get("subresource", ""))))
            right = Right(event["verb"], at.get("apiGroup", ""), resource)
            code = event["responseStatus"].get("code", 0)
            every = [right]
            if (right.verb, code) == ("patch", HTTPStatus.CREATED):
                # A server-side apply that makes the object: noted as a patch, and authorized as a create besides.
                every.append(Right("create", right.group, right.resource))
            found |= {Use(one, at.get("namespace", ""), at.get("name", ""), code) for one in every}
    return found


def allowed(made: Installed, name: str, right: Right, namespace: str = "", at: str = "") -> bool:
    """What the API server's authorizer says (SubjectAccessReview)."""
    resource, _, subresource = right.resource.partition("/")
    asked = client.V1ResourceAttributes(
        verb=right.verb, group=right.group, resource=resource, subresource=subresource, namespace=namespace, name=at
    )
    spec = client.V1SubjectAccessReviewSpec(user=account(made, name), groups=groups(made), resource_attributes=asked)
    review = client.V1SubjectAccessReview(spec=spec)
    told: Any = client.AuthorizationV1Api(made.kube.api).create_subject_access_review(review)
    return bool(told.status.allowed)


def groups(made: Installed) -> list[str]:
    """What Kubernetes puts each service account of the installation in."""
    return ["system:authenticated", "system:serviceaccounts", f"system:serviceaccounts:{made.namespace}"]


NEVER = (
    # The cluster itself.
    ("", "", "", "nodes", "get list watch patch update delete"),
    ("", "", "", "namespaces", "get create patch update delete"),
    ("", "", "", "users", "impersonate"),
    ("", "", "", "secrets", "list"),
    ("", "", _RBAC, "clusterroles", "create patch update delete bind escalate"),
    ("", "", _RBAC, "clusterrolebindings", "create patch update delete"),
    ("", "", "admissionregistration.k8s.io", "validatingadmissionpolicies", "create patch delete"),
    # What is nobody's of ours.
    ("kube-system", "", "", "secrets", "get list watch create patch delete"),
    ("kube-system", "", "", "pods", "get create patch update delete"),
    ("kube-system", "", "", "pods/exec", "get create"),
    ("kube-system", "", "", "configmaps", "get list create patch"),
    ("default", "", "", "pods", "create"),
    # Its own namespace: the chart's tokens lie there, and only the Secrets of remotes are read.
    ("tenanthub", "", "", "pods", "create patch delete"),
    ("tenanthub", "tenanthub-secrets", "", "secrets", "get patch delete"),
    # What holds a tenant in.
    ("tenant-physics", "", "networking.k8s.io", "networkpolicies", "create patch update delete"),
    ("tenant-physics", "", "", "resourcequotas", "create patch update delete"),
    ("tenant-physics", "", "", "serviceaccounts/token", "create"),
    ("tenant-physics", "", _RBAC, "roles", "bind escalate"),
)
"""What neither account may do: namespace, name, API group, resource, verbs."""


def excess(made: Installed, name: str) -> list[tuple[str, str, Right]]:
    """What of NEVER the account may do all the same."""
    every = [
        (namespace, at, Right(verb, group, resource))
        for namespace, at, group, resource, verbs in NEVER
        for verb in verbs.split()
    ]
    return [(space, at, right) for space, at, right in every if allowed(made, name, right, space, at)]
