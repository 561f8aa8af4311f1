"""What a schedule means."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from hub.portal.api.models import PreviewOut
from hub.portal.auth import SignedIn
from hub.portal.context import portal_of
from hub.portal.pages.form import preview_of

router = APIRouter(prefix="/schedule")


@router.get("/preview")
async def preview(
    request: Request,
    visitor: SignedIn,
    cron: Annotated[str, Query(max_length=200, examples=["30 2 * * *"])],
    timezone: Annotated[str, Query(max_length=100, examples=["Asia/Tokyo"])] = "UTC",
) -> PreviewOut:
    """The schedule in words, with its next five runs (UTC)."""
    del visitor
    seen = preview_of(portal_of(request), cron, timezone)
    errors = ["a schedule is needed"] if seen.empty else list(seen.errors)
    return PreviewOut(ok=not errors, description=seen.words, next_runs=list(seen.runs), errors=errors)
