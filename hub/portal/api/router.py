"""All paths of the JSON API."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from hub.portal.api import schedule, tenants, workloads
from hub.portal.api.models import Problem

_ERRORS: dict[int | str, dict[str, Any]] = {
    401: {"model": Problem, "description": "No token, or one that is not valid"},
    403: {"model": Problem, "description": "The token may not do this"},
    404: {"model": Problem, "description": "Not there, or not yours"},
    422: {"model": Problem, "description": "Something in the request is wrong; each violation names its field"},
    502: {"model": Problem, "description": "The hub does not answer; try again"},
}
router = APIRouter(responses=_ERRORS)
router.include_router(tenants.router, tags=["tenants"])
router.include_router(workloads.router, tags=["workloads"])
router.include_router(schedule.router, tags=["schedule"])
