"""JupyterHub's handler of named servers, with bodies checked before it sees them.

JupyterHub 6.1.1 keeps user_options in its database before anybody has looked at them, whatever their size, and answers
500 to a PATCH with an unknown key, to a name that is no text, to a body that is a list, and to whom a start is
cancelled.
"""

from __future__ import annotations

import asyncio
from typing import Any

from jupyterhub.apihandlers.users import UserServerAPIHandler
from tornado.web import HTTPError

MOST_BYTES = 256 * 1024
"""Of a body. The longest form (200 start URLs, 400 patterns) stays far below."""
MOST_LEVELS = 20
"""Of objects and lists inside each other: a few are needed, a thousand break the JSON encoder."""
_PATCHABLE = {"name": str, "display_name": str, "user_options": dict}


def too_deep(value: Any, levels: int = MOST_LEVELS) -> bool:
    """Whether objects and lists in *value* lie more than *levels* deep. Does not recurse, whatever comes."""
    layer = [value]
    for _ in range(levels + 1):
        layer = [
            inner
            for outer in layer
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not layer:
            return False
    return True


def wrong_patch(body: dict[str, Any]) -> str:
    """What is wrong with the fields of a PATCH, for people; "" when nothing is."""
    unknown = sorted(body.keys() - _PATCHABLE)
    if unknown:
        return f"unknown field {unknown[0][:60]!r}; a server has {', '.join(_PATCHABLE)}"
    for field, type_ in _PATCHABLE.items():
        if field in body and not isinstance(body[field], type_):
            return f"{field} must be {'an object' if type_ is dict else 'text'}"
    return ""


class ServerHandler(UserServerAPIHandler):  # type: ignore[misc]  # jupyterhub has no types
    """Start, change and stop named servers."""

    def get_json_body(self) -> Any:
        """The body as JSON: an object, not too large, not too deep. HTTPError 400 or 413 says what is wrong."""
        if len(self.request.body) > MOST_BYTES:
            raise HTTPError(413, f"the body is larger than {MOST_BYTES // 1024} KiB")
        body = super().get_json_body()
        if body is not None and not isinstance(body, dict):
            raise HTTPError(400, "the body must be a JSON object")
        if too_deep(body):
            raise HTTPError(400, f"the body has more than {MOST_LEVELS} levels")
        return body

    async def post(self, user_name: str, server_name: str = "") -> None:
        """Start it. 409 where somebody stops it while it starts: JupyterHub cancels the start, and answers 500."""
        try:
            await super().post(user_name, server_name)
        except asyncio.CancelledError:
            raise HTTPError(409, "it was stopped while it started") from None

    async def patch(self, user_name: str, server_name: str = "") -> None:
        """Rename, or change the options of a server that does not run."""
        wrong = wrong_patch(self.get_json_body() or {})
        if wrong:
            raise HTTPError(400, wrong)
        await super().patch(user_name, server_name)
