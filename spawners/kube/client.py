"""The spawner's way to the API server within the hub's event loop: JSON objects in and out.

Address, certificates and tokens that are renewed come from `kubernetes_asyncio`; its typed models are left out, as
config.cluster.client leaves out those of `kubernetes`: they drop fields, and cost many times what the request does.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, Self
from urllib.parse import urlencode

import aiohttp
import orjson
from kubernetes_asyncio import client as kubernetes_client
from kubernetes_asyncio import config as kubernetes_config

from spawners.runtime import Unreached

FIELD_MANAGER = "tenanthub-spawner"
PAGE = 500
"""Objects a request when listing: an answer of a few MB, read without blocking the hub for long."""
ATTEMPTS = 5
"""How often a request is sent where the server asks to come again (429, 503) or the connection broke."""
_TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=5)
_LONGEST_LINE = 2**22
"""Bytes of one line of a watch: an object is at most 1.5 MiB in etcd, and JSON is longer than that."""
_LONGEST_PAUSE_S = 5.0
_REPEATABLE = frozenset({"GET", "PATCH", "DELETE"})
COLLECTIONS = {
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "CronJob": "/apis/batch/v1/namespaces/{}/cronjobs",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "Event": "/api/v1/namespaces/{}/events",
    "Job": "/apis/batch/v1/namespaces/{}/jobs",
    "PersistentVolumeClaim": "/api/v1/namespaces/{}/persistentvolumeclaims",
    "Pod": "/api/v1/namespaces/{}/pods",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings",
    "Secret": "/api/v1/namespaces/{}/secrets",
    "Service": "/api/v1/namespaces/{}/services",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
}
"""Every kind of object that a workload is made of, and what is said of them."""


class KubeError(Unreached):
    """The API server cannot be reached, or said no. The text is for the log, and fit for people."""


class ApiError(KubeError):
    """An answer of 400 or more. `status` is the code, `reason` Kubernetes' word (NotFound), `message` its sentence."""

    def __init__(self, status: int, body: Mapping[str, Any], what: str) -> None:
        self.status = status
        self.reason: str = body.get("reason") or ""
        self.message: str = " ".join(str(body.get("message") or f"answered {status}").split())
        super().__init__(f"{what}: {self.message}")


def path_of(kind: str, namespace: str, name: str = "") -> str:
    """The path of an object, or of the collection of its kind in *namespace*."""
    return COLLECTIONS[kind].format(namespace) + (f"/{name}" if name else "")


def oldest_first(events: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Events in the order in which they came."""
    return sorted(events, key=lambda one: str(one.get("lastTimestamp") or one.get("eventTime") or ""))


class Cloud(Protocol):
    """The part of Client by which single objects are kept as they should be."""

    async def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        """See Client."""

    async def apply(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """See Client."""

    async def delete(self, kind: str, namespace: str, name: str, *, uid: str = "") -> bool:
        """See Client."""


class Client:
    """One API server, for one event loop. Close it, or leave its `async with`."""

    def __init__(self, settings: kubernetes_client.Configuration, connections: int = 32) -> None:
        self._settings = settings
        # No proxy of the environment: the API server is the cluster's own, and a token must not go elsewhere.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, ssl=_tls(settings)),
            timeout=_TIMEOUT,
            read_bufsize=_LONGEST_LINE,
            trust_env=False,
        )

    @classmethod
    async def connect(cls, kubeconfig: Path | None = None, connections: int = 32) -> Self:
        """As kubectl finds it where *kubeconfig* is given, else as a Pod, else as kubectl. KubeError if none does."""
        settings = kubernetes_client.Configuration()
        try:
            await _find(settings, kubeconfig)
        except (kubernetes_config.ConfigException, OSError) as error:
            said = " ".join(str(error).split()).rstrip(".")
            raise KubeError(f"no cluster to talk to: {said}") from None
        return cls(settings, connections)

    async def __aenter__(self) -> Self:
        """Itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    @property
    def host(self) -> str:
        """The API server's URL."""
        return str(self._settings.host)

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
    ) -> bytes:
        """One request; the answer as it is. ApiError for 400 and more, KubeError where the server is not reached.

        Sent again where the server is too busy (429, 503 with Retry-After), where nothing was done because many wrote
        to one quota, or where the connection broke and the request may be repeated.
        """
        sent = None if body is None else orjson.dumps(body)
        what = f"{method} {path}"
        for attempt in range(1, ATTEMPTS + 1):
            last = attempt == ATTEMPTS
            try:
                async with self._session.request(
                    method, self._url(path, query), data=sent, headers=await self._headers(content_type)
                ) as answer:
                    told = await answer.read()
            except (aiohttp.ClientError, TimeoutError) as error:
                if last or method not in _REPEATABLE:
                    raise self._unreached(error) from None
                await asyncio.sleep(_pause_s(attempt, None))
                continue
            if not last and _to_repeat(answer.status, answer.headers, told):
                await asyncio.sleep(_pause_s(attempt, answer.headers.get("Retry-After")))
                continue
            if answer.status >= 400:
                raise ApiError(answer.status, _status(told), what)
            return told
        raise AssertionError("the last attempt returns or raises")

    async def lines(
        self, path: str, query: Mapping[str, str], silent_s: float, begun: Callable[[], None] = lambda: None
    ) -> AsyncIterator[bytes]:
        """A streamed answer, line by line, until the server ends it. As request(); never sent again.

        *silent_s*: seconds without a byte after which the connection counts as broken. *begun* is called when the
        server has said yes, which may be long before the first line.
        """
        limits = aiohttp.ClientTimeout(sock_connect=5, sock_read=silent_s)
        try:
            async with self._session.get(
                self._url(path, query), headers=await self._headers(), timeout=limits
            ) as answer:
                if answer.status >= 400:
                    raise ApiError(answer.status, _status(await answer.read()), f"GET {path}")
                begun()
                while line := await answer.content.readline():
                    yield line
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:  # ValueError: a line beyond any object's size
            raise self._unreached(error) from None

    async def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        """The object, or None where there is none."""
        try:
            return _object(await self.request("GET", path_of(kind, namespace, name)))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def page(self, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        """One page of a list: `metadata` with resourceVersion and maybe continue, `items`."""
        return _object(await self.request("GET", path, query={"limit": str(PAGE), **query}))

    async def all(self, path: str, **query: str) -> list[dict[str, Any]]:
        """All objects of a collection; *query*: labelSelector, fieldSelector."""
        found: list[dict[str, Any]] = []
        while True:
            page = await self.page(path, query)
            found += page["items"] or ()
            if not (token := page["metadata"].get("continue")):
                return found
            query["continue"] = token

    async def create(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Create it; unknown fields are refused. ApiError 409 (AlreadyExists) where there is one of the name."""
        query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}
        path = path_of(manifest["kind"], manifest["metadata"]["namespace"])
        return _object(await self.request("POST", path, query=query, body=manifest))

    async def apply(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Server-side apply; unknown fields are refused. The object as it is then.

        By force: these objects are the spawner's own, and what somebody else wrote into its fields must not stay.
        """
        query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict", "force": "true"}
        meta = manifest["metadata"]
        path = path_of(manifest["kind"], meta["namespace"], meta["name"])
        kind = "application/apply-patch+yaml"
        return _object(await self.request("PATCH", path, query=query, body=manifest, content_type=kind))

    async def merge(self, kind: str, namespace: str, name: str, patch: Mapping[str, Any]) -> dict[str, Any] | None:
        """JSON merge patch (RFC 7386); the object as it is then, None where there is none."""
        query, merge = {"fieldManager": FIELD_MANAGER}, "application/merge-patch+json"
        path = path_of(kind, namespace, name)
        try:
            return _object(await self.request("PATCH", path, query=query, body=patch, content_type=merge))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def delete(
        self, kind: str, namespace: str, name: str, *, uid: str = "", orphan: bool = False, grace_s: int | None = None
    ) -> bool:
        """Delete it, only the one with *uid* where given; False where it was gone. *orphan*: what it owns stays."""
        body: dict[str, Any] = {"propagationPolicy": "Orphan" if orphan else "Background"}
        if uid:
            body["preconditions"] = {"uid": uid}
        if grace_s is not None:
            body["gracePeriodSeconds"] = grace_s
        try:
            await self.request("DELETE", path_of(kind, namespace, name), body=body)
        except ApiError as error:
            # 409 with a uid: another object has the name now; the one that was meant is gone.
            if error.status == 404 or (uid and error.status == 409):
                return False
            raise
        return True

    async def log(
        self, namespace: str, pod: str, container: str, *, lines: int = 200, limit: int = 65536, previous: bool = False
    ) -> str:
        """The end of a container's log: at most *lines* lines and *limit* bytes. "" where there is none (yet)."""
        # limitBytes counts from the beginning of those lines, so the end is cut here.
        query = {"container": container, "tailLines": str(lines), "previous": "true" if previous else "false"}
        try:
            told = await self.request("GET", f"{path_of('Pod', namespace, pod)}/log", query=query)
        except ApiError as error:
            if error.status in (400, 404):  # 400: its container has not started
                return ""
            raise
        return told[-limit:].decode("utf-8", "replace")

    async def events(self, namespace: str, uid: str) -> list[dict[str, Any]]:
        """The Events of one object, oldest first. Asked for while it is launched, and at no other time."""
        return oldest_first(await self.all(path_of("Event", namespace), fieldSelector=f"involvedObject.uid={uid}"))

    def _url(self, path: str, query: Mapping[str, str] | None) -> str:
        return self.host + path + (f"?{urlencode(query)}" if query else "")

    async def _headers(self, content_type: str = "application/json") -> dict[str, str]:
        headers = {"Accept": "application/json", "Content-Type": content_type}
        for scheme in (await self._settings.auth_settings()).values():  # a token that has run out is read anew here
            headers[scheme["key"]] = scheme["value"]
        return headers

    def _unreached(self, error: BaseException) -> KubeError:
        said = " ".join(str(error).split()) or type(error).__name__
        return KubeError(f"{self.host} cannot be reached: {said}")


async def _find(settings: kubernetes_client.Configuration, kubeconfig: Path | None) -> None:
    if kubeconfig is None:
        try:
            kubernetes_config.load_incluster_config(settings)  # type: ignore[no-untyped-call]  # has no types
        except kubernetes_config.ConfigException:
            pass
        else:
            return
    named = str(kubeconfig) if kubeconfig else None
    await kubernetes_config.load_kube_config(config_file=named, client_configuration=settings)


def _tls(settings: kubernetes_client.Configuration) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=settings.ssl_ca_cert)
    # From Python 3.13 on it would refuse certificates without key identifiers (RFC 5280, 4.2.1.1), which clusters with
    # an old CA have and kubectl takes.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if settings.cert_file:
        context.load_cert_chain(settings.cert_file, keyfile=settings.key_file)
    if not settings.verify_ssl:  # the kubeconfig says so itself (insecure-skip-tls-verify)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _to_repeat(status: int, headers: Mapping[str, str], told: bytes) -> bool:
    """Whether the server has done nothing and would do it a moment later. Admission by a quota that many write to at
    once gives up with a conflict or an internal error (k8s.io/apiserver, pkg/admission/plugin/resourcequota): 50
    launches at once in one tenant's namespace meet both."""
    if status in (429, 503):
        return "Retry-After" in headers
    conflict = status == 409 and b'"reason":"Conflict"' in told and b"resourcequotas" in told
    return conflict or (status == 500 and b"resource quota evaluation timed out" in told)


def _object(told: bytes) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(told)
    return found


def _status(told: bytes) -> Mapping[str, Any]:
    """Kubernetes' Status of a refusal; a proxy in between may answer with anything."""
    try:
        found = orjson.loads(told)
    except orjson.JSONDecodeError:
        found = {"message": told.decode(errors="replace")[:300]}
    return found if isinstance(found, dict) else {}


def _pause_s(attempt: int, asked: str | None) -> float:
    """Seconds before the next attempt: as asked, else 0.1, 0.2, 0.4 …"""
    seconds = float(asked) if asked and asked.isdigit() else 0.1 * 2 ** (attempt - 1)
    return min(seconds, _LONGEST_PAUSE_S)
