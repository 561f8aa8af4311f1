"""Who places Pods: the scheduler. A Pod that says where it runs is refused by `pods`; a binding says the same later."""

from __future__ import annotations

from config.emit.admission.policy import Policy, Resources, Rule, Variable

BY_HAND = "!authorizer.group('').resource('pods').subresource('binding').check('create').allowed()"
"""Asked without a namespace, which only a ClusterRoleBinding grants (as system:kube-scheduler has it): whoever places
Pods may do so everywhere. So no scheduler has to be named, and a Role in a tenant's namespace is not enough.

A condition and not a rule, because a message cannot ask the authorizer (Kubernetes, "Validating Admission Policy").
"""


def policy() -> Policy:
    """Bindings of Pods to nodes, by the subresource and by the older resource of its own."""
    problem = (
        "'Pod ' + it.metadata.name + ' may not be bound to node ' + it.target.?name.orValue('') "
        "+ ' by hand: only a scheduler of the cluster places Pods; leave the Pod to it'"
    )
    return Policy(
        "bindings",
        (Resources("", ("bindings", "pods/binding"), operations=("CREATE",)),),
        (Rule("bindings", f"[{problem}]"),),
        only_if=(Variable("by-hand", BY_HAND),),
    )
