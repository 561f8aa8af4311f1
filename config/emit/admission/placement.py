"""Where Pods run: on the tenant's workers, found by the scheduler, and nowhere else."""

from __future__ import annotations

from config.emit.admission.cel import annotation, text, words
from config.emit.admission.policy import Rule, Variable
from config.emit.common import NODE_SELECTOR
from config.models import Site
from config.names import keys

NODE_TAINTS = "node.kubernetes.io/"
"""Taints that Kubernetes itself sets (not-ready, unreachable, disk-pressure, …). DefaultTolerationSeconds and the
DaemonSet controller make Pods tolerate them."""
_SELECTED = "it.spec.?nodeSelector[?pair[0]]"


def variables(site: Site) -> tuple[Variable, ...]:
    """What the namespace says about its tenant's workers and networks."""
    pairs = f"{words(annotation(NODE_SELECTOR), ',')}.map(pair, pair.split('=').map(part, part.trim()))"
    return (
        Variable("workerPairs", pairs),
        Variable("egressNetworks", words(annotation(keys(site).egress_networks))),
    )


def own_workers() -> Rule:
    """A Pod selects its tenant's workers. PodNodeSelector adds that; where the plugin is off, the Pod has to say so."""
    problem = (
        "'spec.nodeSelector must have ' + pair[0] + ': \"' + pair[1] + '\", the workers of tenant ' "
        "+ variables.tenant + ', and has ' "
        "+ (pair[0] in it.spec.?nodeSelector.orValue({}) ? '\"' + it.spec.nodeSelector[pair[0]] + '\"' : 'no such key')"
    )
    return Rule(
        "workers",
        f"variables.workerPairs.filter(pair, {_SELECTED} != optional.of(pair[1])).map(pair, {problem})",
    )


def no_other_workers() -> Rule:
    """A template may leave the workers to PodNodeSelector, but not ask for others."""
    problem = (
        "'spec.nodeSelector has ' + pair[0] + ': \"' + it.spec.nodeSelector[pair[0]] + '\", but Pods of tenant ' "
        "+ variables.tenant + ' run where it is \"' + pair[1] + '\": leave it out'"
    )
    return Rule(
        "workers",
        f"variables.workerPairs.filter(pair, {_SELECTED}.orValue(pair[1]) != pair[1]).map(pair, {problem})",
    )


def node_name(_: Site) -> Rule:
    """No Pod skips the scheduler (and a compromised node makes no mirror Pods in other tenants' namespaces)."""
    problem = "'spec.nodeName is ' + it.spec.nodeName + ', which skips the scheduler: leave it out'"
    return Rule("nodeName", f"it.spec.?nodeName.orValue('') == '' ? [] : [{problem}]")


def node_selector(site: Site) -> Rule:
    """No Pod asks for nodes by another tenant's labels: the taint is missing where workers are not dedicated."""
    return Rule(
        "nodeSelector",
        f"it.spec.?nodeSelector.orValue({{}}).filter(key, {_foreign(site, 'key')})"
        f".map(key, 'spec.nodeSelector' + {_foreign_problem('key')})",
    )


def required_affinity(site: Site) -> Rule:
    """The same by required node affinity. Affinity to a node's name, as DaemonSets have it, is no matter of labels."""
    terms = "requiredDuringSchedulingIgnoredDuringExecution.?nodeSelectorTerms.orValue([])"
    return Rule("requiredNodes", _affinity(site, terms, "term"))


def preferred_affinity(site: Site) -> Rule:
    """The same by preferred node affinity."""
    terms = "preferredDuringSchedulingIgnoredDuringExecution.orValue([])"
    return Rule("preferredNodes", _affinity(site, terms, "term.preference"))


def pod_affinity(_: Site) -> Rule:
    """Anti-affinity to Pods of other namespaces keeps these away from whole zones: it holds both ways."""
    lists = [
        (f"it.spec.?affinity.?{kind}.?{when}DuringSchedulingIgnoredDuringExecution.orValue([])", term)
        for kind in ("podAffinity", "podAntiAffinity")
        for when, term in (("required", "term"), ("preferred", "term.podAffinityTerm"))
    ]
    # To each list by itself: for the type checker their members are of different types, which `+` does not take.
    return Rule("podAffinity", " + ".join(_elsewhere(path, term) for path, term in lists))


def _elsewhere(terms: str, term: str) -> str:
    found = f"has({term}.namespaceSelector) || {term}.?namespaces.orValue([]).exists(n, n != request.namespace)"
    problem = (
        f"'spec.affinity asks for Pods of other namespaces (topologyKey ' + {term}.topologyKey + '): "
        "leave namespaces and namespaceSelector out'"
    )
    return f"{terms}.filter(term, {found}).map(term, {problem})"


def priority(_: Site) -> Rule:
    """Kubernetes' own priority classes put every other Pod of a node aside, the site's daemons included."""
    name = "it.spec.?priorityClassName.orValue('')"
    problem = f"'spec.priorityClassName ' + {name} + ' is for the cluster itself: leave it out'"
    return Rule("priority", f"{name}.startsWith('system-') ? [{problem}] : []")


RULES_OF_BOTH = (node_name, node_selector, required_affinity, preferred_affinity, pod_affinity, priority)
"""For Pods and templates alike."""


def tolerations(site: Site) -> Rule:
    """Only the tenant's own taint, by value, and those of Kubernetes: any other opens someone else's nodes."""
    taint = text(keys(site).tenant)
    own = (
        f"toleration.?key.orValue('') == {taint} && toleration.?operator.orValue('Equal') == 'Equal' "
        "&& toleration.?value.orValue('') == variables.tenant"
    )
    named = (
        "(toleration.?key.orValue('') == '' ? 'every taint' : 'the taint ' + toleration.key) "
        "+ (toleration.?value.orValue('') == '' ? '' : '=' + toleration.value) "
        "+ ' (operator ' + toleration.?operator.orValue('Equal') + ')'"
    )
    problem = (
        f"'spec.tolerations has ' + {named} + ': Pods of tenant ' + variables.tenant + ' may tolerate only ' "
        f"+ {taint} + '=' + variables.tenant + ' (operator Equal) and {NODE_TAINTS}...; leave it out'"
    )
    return Rule(
        "tolerations",
        f"it.spec.?tolerations.orValue([]).filter(toleration, !({own}) "
        f"&& !toleration.?key.orValue('').startsWith({text(NODE_TAINTS)})).map(toleration, {problem})",
    )


def _affinity(site: Site, terms: str, term: str) -> str:
    keys_of_term = f"{term}.?matchExpressions.orValue([]).map(e, e.key).filter(key, {_foreign(site, 'key')})"
    return (
        f"it.spec.?affinity.?nodeAffinity.?{terms}.map(term, {keys_of_term}.join(', ')).filter(found, found != '')"
        f".map(found, 'spec.affinity.nodeAffinity' + {_foreign_problem('found')})"
    )


def _foreign(site: Site, key: str) -> str:
    """Whether a label's key is one that TenantHub puts on another tenant's nodes. No tenant's name holds a _."""
    node, lb, eg = (text(prefix("")) for prefix in (keys(site).node, keys(site).lb, keys(site).eg))
    gateways = " || ".join(
        f"{key}.startsWith({prefix}) && !({key} + '_').startsWith({prefix} + variables.tenant + '_')"
        for prefix in (lb, eg)
    )
    return f"({key}.startsWith({node}) && {key} != {node} + variables.tenant || {gateways})"


def _foreign_problem(key: str) -> str:
    return f"' names ' + {key} + ', which marks nodes of another tenant than ' + variables.tenant + ': leave it out'"
