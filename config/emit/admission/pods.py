"""Pods, and the templates that Deployments, Jobs and the like make them from.

The Pod is what counts, and each is checked when it comes. The templates are checked with the same rules so that
`kubectl apply` of a Deployment says at once what is wrong; else it would succeed, and the reason would stand in an
event of a ReplicaSet that nobody reads.
"""

from __future__ import annotations

from collections.abc import Iterator

from config.emit.admission import label
from config.emit.admission.images import images
from config.emit.admission.placement import RULES_OF_BOTH, no_other_workers, own_workers, tolerations, variables
from config.emit.admission.podlabels import cilium, egress
from config.emit.admission.policy import Policy, Resources, Rule, Variable
from config.models import Site

_PODS = Resources("", ("pods", "pods/ephemeralcontainers", "pods/status"))
_LABELS_CHANGE = Variable(
    # Kubelets write the status of every Pod again and again. The only thing of ours in such a request are labels,
    # which the API server takes from it too.
    "not-only-status",
    "request.?subResource.orValue('') != 'status' || object.metadata.?labels != oldObject.metadata.?labels",
)
_TEMPLATES = (
    Resources("", ("replicationcontrollers",)),
    Resources("apps", ("daemonsets", "deployments", "replicasets", "statefulsets")),
    Resources("batch", ("jobs",)),
)
_CRONJOBS = (Resources("batch", ("cronjobs",)),)


def policies(site: Site) -> Iterator[Policy]:
    """Pods; templates; and CronJobs, whose template lies one floor deeper."""
    shared = _shared(site)
    of_pods = variables(site)
    yield Policy("pods", (_PODS,), (own_workers(), *shared), of_pods, only_if=(_LABELS_CHANGE,))
    of_templates = (no_other_workers(), *shared, label.rule(site))
    yield Policy("templates", _TEMPLATES, of_templates, of_pods, it="each.spec.template")
    yield Policy("cronjobs", _CRONJOBS, of_templates, of_pods, it="each.spec.jobTemplate.spec.template")


def _shared(site: Site) -> tuple[Rule, ...]:
    placement = tuple(make(site) for make in RULES_OF_BOTH)
    return (*placement, tolerations(site), egress(site), cilium(), *images(site))
