"""The declared world as frozen pydantic models; unknown fields are refused everywhere."""

from config.models.base import Declared, Name
from config.models.profile import IdleRule, Profile, Size
from config.models.quantity import Cpu, Memory, format_memory
from config.models.site import Addons, Authentication, ClusterNetworks, Site, StorageClass
from config.models.tenant import IdentityGroups, Network, Quota, Remote, Tenant, Workers
from config.models.world import World

__all__ = [
    "Addons",
    "Authentication",
    "ClusterNetworks",
    "Cpu",
    "Declared",
    "IdentityGroups",
    "IdleRule",
    "Memory",
    "Name",
    "Network",
    "Profile",
    "Quota",
    "Remote",
    "Site",
    "Size",
    "StorageClass",
    "Tenant",
    "Workers",
    "World",
    "format_memory",
]
