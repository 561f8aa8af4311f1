"""Small worlds for the emitters' tests, written as the fields that matter."""

from __future__ import annotations

from typing import Any

from config.models import Site, Tenant, World

DOMAIN = "edge.example.org"
CLUSTER = {
    "pods": ["10.244.0.0/16", "fd00:10:244::/56"],
    "services": ["10.96.0.0/16", "fd00:10:96::/112"],
    "nodes": ["192.0.2.0/24", "fd00:192::/64"],
    "laboratories": ["198.51.100.0/25", "203.0.113.0/24", "2001:db8::/32"],
}


def small(*tenants: dict[str, Any], site: dict[str, Any] | None = None) -> World:
    """A world of *tenants* (with admin ada unless they say) on a dual-stack cluster without add-ons."""
    models = [Tenant.model_validate({"admins": ["ada"], **tenant}) for tenant in tenants]
    described = {"label_domain": DOMAIN, "cluster": CLUSTER, **(site or {})}
    return World(Site.model_validate(described), {}, {model.name: model for model in models})


def lab(name: str = "lab", **fields: Any) -> dict[str, Any]:
    """A network 203.0.113.0/24."""
    return {"name": name, "subnets": ["203.0.113.0/24"], **fields}
