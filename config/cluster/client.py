"""A small client: JSON objects in and out, credentials and TLS by the `kubernetes` package.

Its typed models are left out on purpose: they drop fields that they do not know (which a diff must show), and reading
thousands of objects through them takes many times as long as the request.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson
from kubernetes import client as kubernetes_client
from kubernetes import config as kubernetes_config
from urllib3 import Timeout
from urllib3.exceptions import HTTPError

from config.names import FIELD_MANAGER

PAGE = 2000
"""Objects a request when listing: an answer of a few MB, so that the API server's memory stays small."""
_CONNECT, _READ = 5.0, 60.0
"""Seconds to connect, and without a byte from the server."""


class ClusterError(Exception):
    """The cluster cannot be reached, or said no; the text is for the operator."""


class ApiError(ClusterError):
    """An answer of 400 or more. `status` is the code, `reason` Kubernetes' word (NotFound), `causes` its details."""

    def __init__(self, status: int, body: Mapping[str, Any], what: str) -> None:
        self.status = status
        self.reason: str = body.get("reason", "")
        self.message: str = body.get("message", "") or f"answered {status}"
        self.causes: list[dict[str, str]] = (body.get("details") or {}).get("causes") or []
        super().__init__(f"{what}: {self.message}")


class Cluster:
    """One API server. Safe to use from several threads: urllib3's pool is, and nothing else is kept."""

    def __init__(self, api: kubernetes_client.ApiClient) -> None:
        self.api = api

    @classmethod
    def connect(cls, kubeconfig: Path | None = None, context: str | None = None) -> Cluster:
        """As kubectl finds it (*kubeconfig*, KUBECONFIG, ~/.kube/config), else as a Pod; ClusterError if neither."""
        settings = kubernetes_client.Configuration()
        try:
            kubernetes_config.load_config(  # type: ignore[no-untyped-call]
                config_file=str(kubeconfig) if kubeconfig else None, context=context, client_configuration=settings
            )
        except (kubernetes_config.ConfigException, OSError) as error:
            raise ClusterError(f"no cluster to talk to: {error}; give --kubeconfig FILE or set KUBECONFIG") from None
        settings.connection_pool_maxsize = 32
        settings.retries = False
        return cls(kubernetes_client.ApiClient(settings))

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
    ) -> Any:
        """One request; the answer's JSON. ApiError for 400 and more, ClusterError where the server is not reached."""
        settings = self.api.configuration
        headers = {"Accept": "application/json", "Content-Type": content_type, **self.api.default_headers}
        for scheme in settings.auth_settings().values():
            headers[scheme["key"]] = scheme["value"]
        try:
            answer = self.api.rest_client.pool_manager.request(
                method,
                settings.host + path + (f"?{urlencode(query)}" if query else ""),
                body=None if body is None else orjson.dumps(body),
                headers=headers,
                timeout=Timeout(connect=_CONNECT, read=_READ),
                retries=False,
            )
        except HTTPError as error:
            raise ClusterError(f"{settings.host} cannot be reached: {error}") from None
        try:
            told = orjson.loads(answer.data)
        except orjson.JSONDecodeError:
            told = {"message": answer.data.decode(errors="replace")[:500]}
        if answer.status >= 400:
            raise ApiError(answer.status, told, f"{method} {path}")
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
        query = {**query, "limit": str(PAGE)}
        while True:
            try:
                page = self.request("GET", path, query=query)
            except ApiError as error:
                if error.status == 404:
                    return
                raise
            yield from page["items"]
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
            if error.status == 404:
                return False
            raise
        return True
