"""What may be written into a tenant's namespace, by whomever: ValidatingAdmissionPolicies and their bindings.

One policy per concern for the whole cluster, however many tenants it has: a rule finds the tenant in the label of the
namespace and what the tenant may use in its annotations, which the hub alone can write. Nothing is installed for it:
the API server has had ValidatingAdmissionPolicy v1 and the CEL functions used here since Kubernetes 1.30, and does
not start a request without them where a webhook could be down. The rules, their reasons and what to do instead are
told to people in docs/admission.md.
"""

from __future__ import annotations

from collections.abc import Iterator

from config.emit.admission import binding, label, pods, services
from config.emit.admission.policy import Policy, manifests
from config.emit.common import Manifest
from config.models import World


def policies(world: World) -> Iterator[Policy]:
    """Every policy of the site; the tenants don't matter."""
    yield from pods.policies(world.site)
    yield services.policy(world.site)
    yield label.policy(world.site)
    yield binding.policy()


def emit(world: World) -> Iterator[Manifest]:
    """A ValidatingAdmissionPolicy and its ValidatingAdmissionPolicyBinding for each concern."""
    for policy in policies(world):
        yield from manifests(world.site, policy)
