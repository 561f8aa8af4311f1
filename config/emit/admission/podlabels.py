"""Labels of Pods that networks go by."""

from __future__ import annotations

from config.emit.admission.cel import text
from config.emit.admission.policy import Rule
from config.models import Site
from config.names import keys


def egress(site: Site) -> Rule:
    """The label egress-policy names a network of the tenant that has egress addresses (Kyoto paper, table 2)."""
    key = text(keys(site).egress_policy)
    value = f"it.?metadata.?labels[?{key}]"
    right = (
        "(variables.egressNetworks.size() == 0 ? ' has no egress addresses: leave the label out' "
        ": ' has egress addresses in ' + variables.egressNetworks.join(', ') + ': name one of these')"
    )
    problem = f"'label ' + {key} + ' says ' + {value}.orValue('') + ', but tenant ' + variables.tenant + {right}"
    return Rule("egress", f"!{value}.hasValue() || {value}.orValue('') in variables.egressNetworks ? [] : [{problem}]")


def cilium() -> Rule:
    """Cilium before 1.14.2 takes such a label of a Pod for that of its namespace (CVE-2023-39347)."""
    problem = "'label ' + key + ' is for Cilium alone to set: leave it out'"
    return Rule(
        "ciliumLabels",
        f"it.?metadata.?labels.orValue({{}}).filter(key, key.startsWith('io.cilium.k8s.')).map(key, {problem})",
    )
