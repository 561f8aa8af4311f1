"""Headers that every answer carries, and the size that a request may have."""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 1 << 20
"""Bytes of a request's body; a form is a few kilobytes."""


def policy(hub_host: str) -> str:
    """Content-Security-Policy: our own files and the hub's style sheet; no inline script or style, no frames."""
    own = f"'self' {hub_host}".strip()
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {own}",
            f"style-src {own}",
            f"font-src {own}",
            f"img-src {own} data:",
            "connect-src 'self'",
            f"form-action {own}",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    )


class SecurityHeaders:
    """ASGI middleware. Not Starlette's BaseHTTPMiddleware, which would hold back streams."""

    def __init__(self, app: ASGIApp, hub_host: str = "") -> None:
        self.app = app
        self._headers = {
            "Content-Security-Policy": policy(hub_host),
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a body that is too large or of unknown size; add the headers to the answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        headers = Headers(scope=scope)
        length = headers.get("content-length", "0")
        if "transfer-encoding" in headers or not length.isdigit() or int(length) > MAX_BODY:
            answer = PlainTextResponse("The request is too large, or does not say how large it is.\n", 413)
            await answer(scope, receive, with_headers)
            return
        await self.app(scope, receive, with_headers)
