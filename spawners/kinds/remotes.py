"""What kinds that move data share: a remote of the tenant and a folder in it."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from config.models import Tenant
from spawners.refusal import Violation

_BAD = re.compile(r"[\x00-\x1f\x7f\\:]")


def clean_folder(value: str) -> str:
    """A folder inside a bucket, without leading or trailing slash; ValueError where it could leave the bucket."""
    parts = [part for part in value.strip().strip("/").split("/") if part]
    if any(part in (".", "..") for part in parts) or _BAD.search(value):
        raise ValueError("must be a folder such as microscope/2026, without .., backslash or colon")
    return "/".join(parts)


Folder = Annotated[str, AfterValidator(clean_folder), Field(max_length=400)]
RemoteName = Annotated[str, Field(max_length=30)]


def remote_violations(tenant: Tenant, options: dict[str, Any], *fields: str) -> list[Violation]:
    """Which of *fields* name a remote that the tenant does not have."""
    have = ", ".join(remote.name for remote in tenant.remotes) or "none: its file declares no remotes"
    return [
        Violation(field, f"{tenant.name} has no remote {options[field]!r}; it has {have}")
        for field in fields
        if options.get(field) and tenant.remote(options[field]) is None
    ]


def remote_path(tenant: Tenant, remote: str, folder: str) -> str:
    """rclone's path of *folder* in the tenant's *remote*, e.g. "data:physics-data/microscope"."""
    found = tenant.remote(remote)
    bucket = found.bucket if found else ""
    return f"{remote}:{bucket}/{folder}".rstrip("/")
