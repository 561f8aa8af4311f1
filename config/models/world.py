"""All that a site declares, loaded and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from config.models.profile import Profile
from config.models.site import Site
from config.models.tenant import Tenant


@dataclass(frozen=True)
class World:
    """Site, profiles and tenants; the two maps are keyed by name, in name order."""

    site: Site
    profiles: Mapping[str, Profile]
    tenants: Mapping[str, Tenant]

    def tenants_of(self, account: str) -> tuple[Tenant, ...]:
        """The tenants that *account* is an admin or a member of, in name order."""
        return tuple(tenant for tenant in self.tenants.values() if account in tenant.people)

    def tenant_of_account(self, account: str) -> Tenant | None:
        """The tenant whose own account (`tenant-<name>`) *account* is, or None for a person."""
        return next((tenant for tenant in self.tenants.values() if tenant.account == account), None)

    def profiles_of(self, tenant: Tenant) -> tuple[Profile, ...]:
        """The profiles that *tenant* may use, in the order that its file lists them."""
        return tuple(self.profiles[name] for name in tenant.profiles if name in self.profiles)
