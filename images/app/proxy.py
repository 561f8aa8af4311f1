"""The door: JupyterHub's sign-in in front of the app. Built on jupyter-server-proxy's handlers.

Its own standalone proxy (4.6.0) is not used, because of what was found in it: websockets are passed on without asking
who is there (its `prepare` is emptied, and only HTTP goes through `oauth_proxy`), the command is started by the first
request instead of before "ready", whole answers are held in memory (100 MB at most), an unnamed server reports no
activity and a named one reports it always, and the command inherits the owner's API token.
"""

from __future__ import annotations

import logging
import sys
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlparse

from jupyter_server_proxy.handlers import NamedLocalProxyHandler  # type: ignore[import-untyped]  # no types upstream
from jupyter_server_proxy.unixsock import UnixResolver  # type: ignore[import-untyped]
from jupyterhub import __version__ as hub_version
from jupyterhub.services.auth import HubOAuthCallbackHandler, HubOAuthenticated
from tornado import httpclient, httputil, web
from tornado.iostream import StreamClosedError
from tornado.simple_httpclient import SimpleAsyncHTTPClient
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from images.app.activity import READING_METHODS, Clock, Messages, counts
from images.app.process import Place
from images.app.settings import AppSettings, HubEnvironment

log = logging.getLogger("tenanthub.app")
upstream_log = logging.getLogger("tenanthub.app.proxy")
upstream_log.setLevel(logging.WARNING)

MAX_BODY = 1024**3
MAX_MESSAGE = 64 * 1024**2
NO_ANSWER = 599  # tornado's code for "no HTTP answer at all"
NOT_PASSED_BACK = frozenset({"content-length", "transfer-encoding", "connection", "keep-alive"})


def foreign(headers: httputil.HTTPHeaders, method: str, host: str) -> bool:
    """Whether a page of another site made the browser send this request (https://web.dev/articles/fetch-metadata);
    following a link from there is allowed. Pure."""
    site = headers.get("Sec-Fetch-Site")
    if site is None:
        origin = headers.get("Origin")
        return origin is not None and urlparse(origin).netloc != host
    if site in ("same-origin", "none"):
        return False
    return not (headers.get("Sec-Fetch-Mode") == "navigate" and method in READING_METHODS)


def without_hub_cookies(header: str, names: frozenset[str]) -> str:
    """The Cookie header without the hub's own cookies: the app has no business with its visitors' sign-in. Pure."""
    kept = []
    for part in header.split(";"):
        name = part.split("=", 1)[0].strip()
        if name and name not in names and not name.startswith(("jupyterhub-", "__Host-jupyterhub")):
            kept.append(part.strip())
    return "; ".join(kept)


def log_failure(handler: web.RequestHandler) -> None:
    """Log what went wrong on this side, without queries: they may hold secrets. The app logs its own requests."""
    if handler.get_status() >= 500:
        log.warning("%s %s: %s", handler.request.method, handler.request.path, handler.get_status())


class AppProxyHandler(HubOAuthenticated, NamedLocalProxyHandler):  # type: ignore[misc]
    """Passes on what somebody sends who may use this server; everybody else is sent to the hub, or gets 403."""

    clock: Clock
    app_settings: AppSettings
    proxy_base = "/"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, absolute_url=self.app_settings.absolute_url, **kwargs)
        self.proxy_base = "/"
        self.update_last_activity = False  # ours is kept by _used()
        self._messages = Messages(self.app_settings.activity)

    @property
    def log(self) -> logging.Logger:
        """Upstream's messages; warnings only, for the others quote addresses with what their queries hold."""
        return upstream_log

    def set_default_headers(self) -> None:
        """The hub looks for its version in the answers of its servers."""
        self.set_header("X-JupyterHub-Version", hub_version)

    def check_origin(self, origin: str | None = None) -> bool:
        """A websocket may be opened by our own pages only."""
        return bool(WebSocketHandler.check_origin(self, origin or self.request.headers.get("Origin", "")))

    def check_xsrf_cookie(self) -> None:
        """The app's pages know nothing of the hub's token, so the browser's own word is taken (see foreign())."""
        if getattr(self, "_token_authenticated", False):
            return
        if foreign(self.request.headers, self.request.method or "GET", self.request.host):
            raise web.HTTPError(403, "Request from another site")

    async def prepare(self) -> None:
        """Every request, websockets too, is somebody's who may be here. 403, or off to the hub's sign-in."""
        upgrade = self.request.headers.get("Upgrade", "").lower() == "websocket"
        if upgrade and not self.current_user:
            raise web.HTTPError(403)
        if not upgrade:
            web.authenticated(lambda handler: None)(self)
            if self._finished:
                return
            self.check_xsrf_cookie()
        self._hide_credentials()
        if counts(self.app_settings.activity, self.request.method or "GET", self._fetch_mode()):
            self.clock.now()

    def _fetch_mode(self) -> str:
        return str(self.request.headers.get("Sec-Fetch-Mode", ""))

    def _hide_credentials(self) -> None:
        """Take the hub's cookies, token and query parameter out of what the app gets, and put the visitor's name in."""
        headers = self.request.headers
        names = frozenset({self.hub_auth.cookie_name, "_xsrf", "jupyterhub-session-id"})
        cookies = without_hub_cookies(headers.get("Cookie", ""), names)
        if "Cookie" in headers:
            del headers["Cookie"]
        if cookies:
            headers["Cookie"] = cookies
        if headers.get("Authorization", "").lower().startswith(("token ", "bearer ")) and self._by_token():
            del headers["Authorization"]
        if self._by_token() and "token=" in (self.request.query or ""):
            pairs = parse_qsl(self.request.query, keep_blank_values=True)
            self.request.query = urlencode([(key, value) for key, value in pairs if key != "token"])
        headers["X-Forwarded-User"] = str(self.current_user["name"])

    def _by_token(self) -> bool:
        return bool(getattr(self, "_token_authenticated", False))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Tornado's plain page; Jupyter's needs a Jupyter server."""
        web.RequestHandler.write_error(self, status_code, **kwargs)

    def write_message(self, message: Any, binary: bool = False) -> Any:
        """A websocket message from the app; one for a browser that has gone is dropped."""
        try:
            return super().write_message(message, binary)
        except WebSocketClosedError:
            return None  # upstream's caller looks at no result

    def on_message(self, message: str | bytes) -> Any:
        """A websocket message from the browser."""
        if self._messages.counts(message):
            self.clock.now()
        return super().on_message(message)

    async def _proxy_buffered(self, host: str, port: int, proxied_path: str, body: bytes | None, client: Any) -> None:
        """Pass the answer on as it comes, whatever its size (upstream holds all of it in memory first)."""
        lines: list[str] = []

        async def pass_on(chunk: bytes) -> None:
            if lines:
                self._answer_head(lines, host, port, proxied_path)
            self.write(chunk)
            # Not self.flush(): upstream's websocket mixin wraps it and loses the future that holds us back.
            await web.RequestHandler.flush(self)

        request = self._build_proxy_request(host, port, proxied_path, body, header_callback=lines.append)
        request.streaming_callback = pass_on
        request.request_timeout = 0  # an answer may take as long as the app needs; the browser can give up
        resolver = UnixResolver(self.unix_socket) if self.unix_socket else None
        own = SimpleAsyncHTTPClient(force_instance=True, max_body_size=sys.maxsize, resolver=resolver)
        try:
            await own.fetch(request)
        except httpclient.HTTPError as error:
            if error.code == NO_ANSWER:  # any other code is the app's own answer, passed on below
                self._no_answer(error)
        except OSError as error:
            self._no_answer(error)
        finally:
            own.close()
        if lines:
            self._answer_head(lines, host, port, proxied_path)

    async def _proxy_progressive(
        self, host: str, port: int, proxied_path: str, body: bytes | None, client: Any
    ) -> None:
        """Events as they come: the same, for we hold nothing back."""
        await self._proxy_buffered(host, port, proxied_path, body, client)

    def _no_answer(self, error: Exception) -> None:
        """502 if the browser has had nothing yet; else the connection is all that can be broken off."""
        log.warning("No (whole) answer to %s: %s", self.request.path, error)
        if not self._headers_written:
            raise web.HTTPError(502, "The app did not answer") from None
        raise StreamClosedError(error)

    def _answer_head(self, lines: list[str], host: str, port: int, path: str) -> None:
        """Status and headers of the app's answer; *lines* is emptied."""
        headers = httputil.HTTPHeaders()
        status = httputil.parse_response_start_line(lines[0].rstrip("\r\n"))
        for line in lines[1:]:
            if line.strip():
                headers.parse_line(line)
        lines.clear()
        self._headers = httputil.HTTPHeaders()
        self.set_default_headers()
        self.set_status(status.code, status.reason)
        for name, value in headers.get_all():
            if name.lower() in NOT_PASSED_BACK:
                continue
            if name.lower() == "location" and not self.absolute_url:
                value = self._rewrite_location_header(value, host, port, path)
            self.add_header(name, value)
        length = headers.get("Content-Length")
        if length is not None:
            self.set_header("Content-Length", length)


def application(
    settings: AppSettings, hub: HubEnvironment, place: Place, clock: Clock, cookie_secret: bytes
) -> web.Application:
    """The web application: the callback of the sign-in, and everything else to the app at *place*."""
    attributes = {
        "app_settings": settings,
        "clock": clock,
        "port": place.port,
        "unix_socket": place.unix_socket,
        "name": "app",
    }
    handler = type("BoundAppProxyHandler", (AppProxyHandler,), attributes)
    base = hub.prefix.rstrip("/")
    return web.Application(
        [
            (f"{base}$", web.RedirectHandler, {"url": f"{base}/"}),
            (f"{base}/oauth_callback", HubOAuthCallbackHandler),
            (f"{base}/(.*)", handler),
        ],
        base_url=hub.prefix,
        cookie_secret=cookie_secret,
        websocket_max_message_size=MAX_MESSAGE,
        log_function=log_failure,
    )
