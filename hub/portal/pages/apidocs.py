"""The API's page for people, made from its OpenAPI description: no scripts from elsewhere."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response

from hub.portal.auth import SignedIn
from hub.portal.context import portal_of
from hub.portal.render import page

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Operation:
    """One path and method."""

    id: str
    tag: str
    method: str
    path: str
    summary: str
    parameters: tuple[tuple[str, str, bool, str], ...]
    """Name, where, whether needed, description."""
    body: str
    answers: tuple[tuple[str, str], ...]


def operations(schema: dict[str, Any]) -> tuple[Operation, ...]:
    """Every operation of an OpenAPI document, in its order."""
    found = []
    for path, methods in schema["paths"].items():
        for method, item in methods.items():
            found.append(
                Operation(
                    id=item["operationId"],
                    tag=(item.get("tags") or ["other"])[0],
                    method=method.upper(),
                    path=path,
                    summary=item.get("description") or item.get("summary", ""),
                    parameters=tuple(
                        (p["name"], p["in"], bool(p.get("required")), p.get("description", ""))
                        for p in item.get("parameters", ())
                    ),
                    body=_example(schema, item.get("requestBody")),
                    answers=tuple((code, told.get("description", "")) for code, told in item["responses"].items()),
                )
            )
    return tuple(found)


def _example(schema: dict[str, Any], body: dict[str, Any] | None) -> str:
    if not body:
        return ""
    reference = body["content"]["application/json"]["schema"].get("$ref", "")
    fields = schema["components"]["schemas"].get(reference.rpartition("/")[2], {}).get("properties", {})
    sample = {name: item["examples"][0] for name, item in fields.items() if item.get("examples")}
    return json.dumps(sample, indent=2)


@router.get("/")
@router.get("")
async def api_page(request: Request, visitor: SignedIn) -> Response:
    """The page."""
    schema = request.app.openapi()
    return page(
        request,
        portal_of(request),
        visitor,
        "api.html",
        operations=operations(schema),
        tags=schema["tags"],
        paragraphs=schema["info"]["description"].strip().split("\n\n"),
        openapi=f"{portal_of(request).settings.prefix}api/v1/openapi.json",
    )
