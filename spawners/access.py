"""Who may have what: decided from the world alone, for pages and REST alike, wherever user options are loaded."""

from __future__ import annotations

from dataclasses import dataclass

from config.models import Profile, Tenant, World
from spawners.kinds.base import Kind, Owner
from spawners.refusal import Refusal


@dataclass(frozen=True)
class Grant:
    """A launch that access allows: whose it is and where it belongs."""

    tenant: Tenant
    profile: Profile
    owner: Owner


def grant(world: World, owner: str, tenant_name: str, profile_name: str) -> Grant:
    """Whether the account *owner* may run *profile_name* in *tenant_name*.

    What a stranger asks for and what does not exist are refused in the same words, so that nobody learns
    which tenants there are. Refusal (reason access) otherwise.
    """
    tenant = world.tenants.get(tenant_name)
    owning = world.tenant_of_account(owner)
    belongs = tenant is not None and (owning is tenant if owning else owner in tenant.people)
    if tenant is None or not belongs:
        raise Refusal.of("access", f"{owner} does not belong to a tenant called {tenant_name!r}", "tenant")
    profile = world.profiles.get(profile_name)
    if profile is None or profile_name not in tenant.profiles:
        allowed = ", ".join(p.name for p in world.profiles_of(tenant)) or "none yet"
        message = f"{tenant.name} has no profile called {profile_name!r}; it may use: {allowed}"
        raise Refusal.of("access", message, "profile")
    return Grant(tenant, profile, "tenant" if owning else "person")


def require_owner(granted: Grant, kind: Kind) -> None:
    """Refuse a kind that must not belong to this sort of account."""
    if granted.owner in kind.owners:
        return
    account = granted.tenant.account
    if granted.owner == "person":
        message = f"{kind.title} runs unattended, so the tenant owns it: start it as a named server of {account}"
    else:
        message = f"{kind.title} belongs to a person: start it as a named server of your own account, not of {account}"
    raise Refusal.of("access", message, "owner")
