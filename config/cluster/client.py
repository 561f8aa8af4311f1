"""A small client: JSON objects in and out, credentials and TLS by the `kubernetes` package.

Its typed models are left out on purpose: they drop fields that they do not know (which a diff must show), and reading
thousands of objects through them takes many times as long as the request.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson
import urllib3
from kubernetes import client as kubernetes_client
from kubernetes import config as kubernetes_config
from urllib3 import BaseHTTPResponse, Timeout
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    InsecureRequestWarning,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)

from config.names import FIELD_MANAGER

PAGE = 2000
"""Objects a request when listing: an answer of a few MB, so that the API server's memory stays small."""
ATTEMPTS = 6
"""How often a request is sent where the server asks to come again (429, 503) or closed the connection."""
_CONNECT, _READ = 5.0, 60.0
"""Seconds to connect, and without a byte from the server."""
_LONGEST_PAUSE = 10.0
"""Seconds between two attempts, whatever Retry-After asks for."""
_REPEATABLE = frozenset({"GET", "PATCH", "DELETE"})
"""Sent again after a broken connection: reads, server-side apply, deletes of a uid. A POST could create twice."""


class ClusterError(Exception):
    """The cluster cannot be reached, or said no; the text is for the operator."""


class ApiError(ClusterError):
    """An answer of 400 or more. `status` is the code, `reason` Kubernetes' word (NotFound), `causes` its details."""

    def __init__(self, status: int, body: Mapping[str, Any], what: str) -> None:
        self.status = status
        self.reason: str = body.get("reason") or ""
        self.message: str = " ".join(str(body.get("message") or f"answered {status}").split())
        self.causes: list[dict[str, str]] = (body.get("details") or {}).get("causes") or []
        super().__init__(f"{what}: {self.message}")


class Cluster:
    """One API server. Safe to use from several threads: urllib3's pool is, and nothing else is kept."""

    def __init__(self, api: kubernetes_client.ApiClient, warned: Callable[[str], None] = lambda _: None) -> None:
        self.api = api
        self.warned = warned
        """Called with what the server warns of (its header Warning: an old API version, an unusual value)."""

    @classmethod
    def connect(cls, kubeconfig: Path | None = None, context: str | None = None) -> Cluster:
        """As kubectl finds it (*kubeconfig*, KUBECONFIG, ~/.kube/config), else as a Pod; ClusterError if neither."""
        settings = kubernetes_client.Configuration()
        try:
            _find(settings, kubeconfig, context)
        except (kubernetes_config.ConfigException, OSError) as error:
            said = " ".join(str(error).split()).rstrip(".")
            raise ClusterError(f"no cluster to talk to: {said}; give --kubeconfig FILE or set KUBECONFIG") from None
        settings.connection_pool_maxsize = 32
        settings.retries = False
        if not settings.verify_ssl:
            # The kubeconfig says so itself (insecure-skip-tls-verify); kubectl does not repeat it at every request.
            urllib3.disable_warnings(InsecureRequestWarning)
        return cls(kubernetes_client.ApiClient(settings))

    @property
    def host(self) -> str:
        """The API server's URL."""
        return str(self.api.configuration.host)

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
    ) -> Any:
        """One request; the answer's JSON. ApiError for 400 and more, ClusterError where the server is not reached.

        Sent again, up to ATTEMPTS times in all, where the server is too busy (429, 503 with Retry-After), or where it
        closed the connection and the request may be repeated.
        """
        sent = None if body is None else orjson.dumps(body)
        for attempt in range(1, ATTEMPTS + 1):
            last = attempt == ATTEMPTS
            try:
                answer = self._once(method, path + (f"?{urlencode(query)}" if query else ""), sent, content_type)
            except HTTPError as error:
                if isinstance(error, ProtocolError) and method in _REPEATABLE and not last:
                    time.sleep(_pause(attempt, None))
                    continue
                raise ClusterError(f"{self.host} cannot be reached: {_plain(error)}") from None
            if answer.status in (429, 503) and "Retry-After" in answer.headers and not last:
                time.sleep(_pause(attempt, answer.headers["Retry-After"]))
                continue
            return self._told(answer, f"{method} {path}")
        raise AssertionError("the last attempt returns or raises")

    def _once(self, method: str, address: str, body: bytes | None, content_type: str) -> BaseHTTPResponse:
        settings = self.api.configuration
        headers = {"Accept": "application/json", "Content-Type": content_type, **self.api.default_headers}
        for scheme in settings.auth_settings().values():
            headers[scheme["key"]] = scheme["value"]
        pool: urllib3.PoolManager = self.api.rest_client.pool_manager
        limits = Timeout(connect=_CONNECT, read=_READ)
        return pool.request(method, settings.host + address, body=body, headers=headers, timeout=limits, retries=False)

    def _told(self, answer: BaseHTTPResponse, what: str) -> Any:
        for warning in answer.headers.getlist("Warning"):
            self.warned(warning.partition('"')[2].rpartition('"')[0] or warning)
        try:
            told = orjson.loads(answer.data)
        except orjson.JSONDecodeError:
            told = {"message": answer.data.decode(errors="replace")[:500]}
        if answer.status >= 400:
            raise ApiError(answer.status, told if isinstance(told, dict) else {}, what)
        return told

    def get(self, path: str) -> dict[str, Any] | None:
        """The object at *path*, or None where there is none."""
        try:
            found: dict[str, Any] = self.request("GET", path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise
        return found

    def list(self, path: str, **query: str) -> Iterator[dict[str, Any]]:
        """The objects of a collection, a page at a time; *query*: labelSelector and the like.

        A kind that the API server does not know has no objects.
        """
        query = {"limit": str(PAGE), **query}
        while True:
            try:
                page = self.request("GET", path, query=query)
            except ApiError as error:
                if error.status == 404:
                    return
                raise
            yield from page["items"] or ()
            if not (token := page["metadata"].get("continue")):
                return
            query["continue"] = token

    def apply(self, path: str, manifest: Mapping[str, Any], *, force: bool = False, dry_run: bool = False) -> Any:
        """Server-side apply as field manager `tenanthub`, unknown fields refused; the object as it is then.

        ApiError 409 where another manager owns a field, with a cause a field (`field`, `message`).
        """
        query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict", "force": "true" if force else "false"}
        if dry_run:
            query["dryRun"] = "All"
        return self.request("PATCH", path, query=query, body=manifest, content_type="application/apply-patch+yaml")

    def merge(self, path: str, patch: Mapping[str, Any]) -> Any:
        """JSON merge patch (RFC 7386): null removes a field, whoever owns it; the object as it is then.

        With `metadata.resourceVersion` in the patch: ApiError 409 where somebody else was quicker.
        """
        query = {"fieldManager": FIELD_MANAGER}
        return self.request("PATCH", path, query=query, body=patch, content_type="application/merge-patch+json")

    def delete(self, path: str, *, uid: str | None = None, orphan: bool = False) -> bool:
        """Delete the object, only the one with *uid* where given; False where it was gone.

        *orphan*: what it owns stays (as for Capsule's Tenant, which owns its namespaces).
        """
        body: dict[str, Any] = {"propagationPolicy": "Orphan" if orphan else "Background"}
        if uid:
            body["preconditions"] = {"uid": uid}
        try:
            self.request("DELETE", path, body=body)
        except ApiError as error:
            # 409 with a uid: another object has the name now; the one that was meant is gone.
            if error.status == 404 or (uid and error.status == 409 and "uid" in error.message.lower()):
                return False
            raise
        return True


def _find(settings: kubernetes_client.Configuration, kubeconfig: Path | None, context: str | None) -> None:
    named = str(kubeconfig) if kubeconfig else None
    try:
        kubernetes_config.load_kube_config(named, context, settings)  # type: ignore[no-untyped-call]  # has no types
    except kubernetes_config.ConfigException:
        if kubeconfig or context:
            raise
        try:
            kubernetes_config.load_incluster_config(settings)  # type: ignore[no-untyped-call]  # has no types
        except kubernetes_config.ConfigException:
            pass  # not in a Pod: what was wrong with the kubeconfig is the better answer
        else:
            return
        raise


def _pause(attempt: int, asked: str | None) -> float:
    """Seconds before the next attempt: as asked, else 0.1, 0.2, 0.4 …"""
    seconds = float(asked) if asked and asked.isdigit() else 0.1 * 2 ** (attempt - 1)
    return min(seconds, _LONGEST_PAUSE)


def _plain(error: HTTPError) -> str:
    """Without urllib3's object ids."""
    reason = getattr(error, "reason", None) or error
    for kind, words in (
        (NameResolutionError, "its name is not known"),
        (NewConnectionError, str(reason).rpartition("] ")[2].lower() or "connection refused"),
        (ConnectTimeoutError, f"no answer within {_CONNECT:.0f} s"),
        (ReadTimeoutError, f"no byte for {_READ:.0f} s"),
        (ProtocolError, "it closed the connection"),
    ):
        if isinstance(reason, kind):
            return words
    if isinstance(reason, SSLError):
        return f"TLS: {' '.join(str(reason).split())}"
    return " ".join(str(reason).split())
