"""Services: no door on nodes, no address that is not the tenant's.

Which fields and annotations MetalLB reads: controller/service.go of MetalLB 0.15.2. It takes each address with Go's
net.ParseIP, which knows more spellings than CEL's isIP (::ffff:192.0.2.1): what CEL cannot read is refused.
"""

from __future__ import annotations

from config.emit.admission.cel import annotation, text, words
from config.emit.admission.policy import Policy, Resources, Rule, Variable
from config.models import Site
from config.names import ACCOUNT_PREFIX, keys

METALLB = ("metallb.io", "metallb.universe.tf")
"""Prefixes of MetalLB's annotations: since 0.14.9, and before (still read)."""
_TYPE = "it.spec.?type.orValue('ClusterIP')"
_BALANCED = f"{_TYPE} == 'LoadBalancer'"
_NO_NODE_PORTS = "it.spec.?allocateLoadBalancerNodePorts.orValue(true) == false"


def policy(site: Site) -> Policy:
    """Services and their status, where MetalLB writes the addresses that it has given out."""
    return Policy(
        "services",
        (Resources("", ("services", "services/status")),),
        (
            service_type(),
            node_ports_off(),
            node_ports(),
            external_ips(),
            has_addresses(),
            own_addresses(),
            own_pools(),
            load_balancer_class(),
            assigned(),
        ),
        (
            Variable("tenantAddresses", words(annotation(keys(site).loadbalancer_addresses))),
            Variable("tenantRanges", "variables.tenantAddresses.map(range, cidr(range))"),
        ),
    )


def service_type() -> Rule:
    """A node port is open on everybody's nodes; a proxy that follows an ExternalName crosses the tenants' wall."""
    node_port = text("type NodePort opens a port on every node: use ClusterIP, or LoadBalancer with an address")
    external_name = (
        "'type ExternalName (' + it.spec.?externalName.orValue('') + ') leads around the wall between tenants: "
        "use the name itself'"
    )
    return Rule(
        "type",
        f"{_TYPE} == 'NodePort' ? [{node_port}] : {_TYPE} == 'ExternalName' ? [{external_name}] : []",
    )


def node_ports_off() -> Rule:
    """Kubernetes gives a LoadBalancer node ports too unless told not to; MetalLB needs none."""
    problem = text("type LoadBalancer opens ports on every node: write spec.allocateLoadBalancerNodePorts: false")
    return Rule("nodePortsOff", f"{_BALANCED} && !({_NO_NODE_PORTS}) ? [{problem}] : []")


def node_ports() -> Rule:
    """Numbers chosen by hand count even then. (Those that Kubernetes has just chosen itself are told above.)"""
    problem = "'spec.ports has nodePort ' + string(port.nodePort) + ', open on every node: leave it out'"
    chosen = f"{_BALANCED} && (request.operation == 'UPDATE' || {_NO_NODE_PORTS})"
    return Rule(
        "nodePorts",
        f"{chosen} ? it.spec.?ports.orValue([]).filter(port, port.?nodePort.orValue(0) != 0).map(port, {problem}) : []",
    )


def external_ips() -> Rule:
    """Every node takes traffic to these away from whoever has the address (CVE-2020-8554)."""
    problem = (
        "'spec.externalIPs has ' + address + ': leave it out; a Service gets an address of the tenant '"
        "+ 'by type LoadBalancer'"
    )
    return Rule("externalIPs", f"it.spec.?externalIPs.orValue([]).map(address, {problem})")


def has_addresses() -> Rule:
    """A tenant without addresses gets none from a pool that is open to everybody."""
    problem = "'tenant ' + variables.tenant + ' has no LoadBalancer addresses: use type ClusterIP'"
    return Rule("hasAddresses", f"{_BALANCED} && variables.tenantAddresses.size() == 0 ? [{problem}] : []")


def own_addresses() -> Rule:
    """Whatever way an address is asked for, it is the tenant's.

    Of a LoadBalancer only, as MetalLB does: so one that asked in vain as ClusterIP is looked at when its type changes.
    """
    by_annotation = (
        f"({value} == '' ? [] : {value}.split(',').map(address, address.trim()))"
        for value in (annotation(f"{prefix}/loadBalancerIPs", "it") for prefix in METALLB)
    )
    by_field = "(it.spec.?loadBalancerIP.orValue('') == '' ? [] : [it.spec.loadBalancerIP])"
    problem = f"'the Service asks for address \"' + address + '\": ' + {_right_addresses()}"
    asked = " + ".join([by_field, *by_annotation])
    return Rule(
        "addresses",
        f"{_BALANCED} ? ({asked}).filter(address, !{_own('address')}).map(address, {problem}) : []",
    )


def own_pools() -> Rule:
    """A pool of MetalLB is asked for by name; TenantHub calls each after its tenant and network."""
    own = f"{text(ACCOUNT_PREFIX)} + variables.tenant + '.'"  # as config.names.network_object has it
    pools = ", ".join(annotation(f"{prefix}/address-pool", "it") for prefix in METALLB)
    problem = (
        "'the Service asks for address pool ' + pool + ': pools of tenant ' + variables.tenant "
        f"+ ' begin with ' + {own}"
    )
    foreign = f"[{pools}].filter(pool, pool != '' && !pool.startsWith({own})).map(pool, {problem})"
    return Rule("pools", f"{_BALANCED} ? {foreign} : []")


def load_balancer_class() -> Rule:
    """Another class than MetalLB's would let another controller serve it, with addresses of its own."""
    name = "it.spec.?loadBalancerClass.orValue('')"
    problem = f"'spec.loadBalancerClass is ' + {name} + ': leave it out; MetalLB serves the tenants'"
    return Rule("loadBalancerClass", f"{name} == '' || {name}.startsWith('metallb.io/') ? [] : [{problem}]")


def assigned() -> Rule:
    """What was given out, by whomever, is the tenant's: kube-proxy takes traffic to it on every node."""
    addresses = "it.?status.?loadBalancer.?ingress.orValue([]).map(given, given.?ip.orValue(''))"
    problem = f"'status gives out address \"' + address + '\": ' + {_right_addresses()}"
    return Rule("assigned", f"{addresses}.filter(address, address != '' && !{_own('address')}).map(address, {problem})")


def _own(address: str) -> str:
    return f"(isIP({address}) && variables.tenantRanges.exists(range, range.containsIP({address})))"


def _right_addresses() -> str:
    return (
        "(variables.tenantAddresses.size() == 0 ? 'tenant ' + variables.tenant + ' has none' "
        ": 'tenant ' + variables.tenant + ' has ' + variables.tenantAddresses.join(', '))"
    )
