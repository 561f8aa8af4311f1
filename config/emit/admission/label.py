"""The tenant's label on objects: the hub adopts workloads by it, so nobody may put another tenant's on theirs."""

from __future__ import annotations

from config.emit.admission.cel import text
from config.emit.admission.policy import Policy, Resources, Rule, Variable
from config.models import Site
from config.names import keys


def rule(site: Site) -> Rule:
    """`it` carries the label of its namespace's tenant, or none."""
    key = text(keys(site).tenant)
    label = f"it.?metadata.?labels[?{key}].orValue(variables.tenant)"
    problem = (
        f"'label ' + {key} + ' says ' + {label} + ', but this namespace belongs to tenant ' "
        "+ variables.tenant + ': write ' + variables.tenant + ' or leave the label out'"
    )
    return Rule("tenantLabel", f"{label} == variables.tenant ? [] : [{problem}]")


def policy(site: Site) -> Policy:
    """Objects of every kind, add-ons' own included; asked only where there is such a label."""
    return Policy(
        "tenant-label",
        (Resources("*", ("*",), version="*"),),
        (rule(site),),
        only_if=(Variable("has-label", f"object.?metadata.?labels[?{text(keys(site).tenant)}].hasValue()"),),
    )
