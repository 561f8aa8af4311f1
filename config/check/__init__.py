"""Consistency checks over the whole world: each is small, all are run, everything is reported together.

A check gets what is right by itself: a tenant whose own file is wrong is not in the world (its name is in
`sources.known`, so that nobody is told that it is missing).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from config.check.addresses import (
    address_is_special,
    addresses_in_cluster,
    addresses_outside_subnets,
    addresses_overlap,
    subnet_ends_used,
)
from config.check.networks import gateways, interface_clash, network_names, subnets_overlap, vlan_twice
from config.check.people import accounts_twice, no_admin, reserved_accounts
from config.check.profiles import images, options, sizes, tenant_profiles, titles
from config.check.quota import quota_too_small
from config.check.remotes import bucket_twice, remote_names, remote_settings
from config.check.site import cluster_networks, label_domain
from config.check.workers import nodes_twice, selector_twice
from config.errors import Problem
from config.models import World
from config.sources import Sources

Check = Callable[[World, Sources], Iterable[Problem]]

CHECKS: tuple[Check, ...] = (
    label_domain,
    cluster_networks,
    sizes,
    options,
    images,
    titles,
    reserved_accounts,
    accounts_twice,
    no_admin,
    tenant_profiles,
    quota_too_small,
    nodes_twice,
    selector_twice,
    network_names,
    vlan_twice,
    gateways,
    interface_clash,
    subnets_overlap,
    addresses_outside_subnets,
    subnet_ends_used,
    address_is_special,
    addresses_in_cluster,
    addresses_overlap,
    remote_names,
    remote_settings,
    bucket_twice,
)


def check(world: World, sources: Sources) -> list[Problem]:
    """All that the checks find."""
    return [problem for one in CHECKS for problem in one(world, sources)]
