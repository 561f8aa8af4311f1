"""Launches on a cluster, as data: a tenant with workers and two families, and what differs in each case."""

from __future__ import annotations

from typing import Any

from config.models import ClusterNetworks, Site, Tenant, World
from spawners.kinds.base import Kind
from spawners.kinds.coder import CoderKind
from spawners.kube.addresses import allot
from spawners.kube.launch import Launch, launch_of
from spawners.request import Request
from spawners.resolve import resolve
from spawners.workload import Workload
from tests.unit.spawners import worlds

KINDS: dict[str, Kind] = {**worlds.KINDS, "coder": CoderKind()}
REGISTRY = "registry.example.org/research"
DIGEST = "sha256:" + "5" * 64
IMAGES = {kind: f"{REGISTRY}/tenanthub-{kind}:1.0" for kind in KINDS}
SITE = Site(contact="help@example.org", image_registries=(REGISTRY,))
SITE_WITH_VOLUMES = SITE.model_copy(
    update={"cluster": ClusterNetworks.model_validate({"storage_classes": [{"name": "ceph-block"}]})}
)
FOUR, SIX = "192.0.2.10-192.0.2.11", "2001:db8:0:1::10-2001:db8:0:1::1f"
DUAL = {
    "name": "lab-a",
    "vlan": 101,
    "gateway_nodes": ["gw-1"],
    "subnets": ["192.0.2.0/24", "2001:db8:0:1::/64"],
    "loadbalancer": [FOUR, SIX],
    "egress": ["192.0.2.20"],
}
ONLY_FOUR = {**DUAL, "subnets": ["192.0.2.0/24"], "loadbalancer": [FOUR]}
ONLY_SIX = {**DUAL, "subnets": ["2001:db8:0:1::/64"], "loadbalancer": [SIX], "egress": []}
WORKERS = {"nodes": ["node-1", "node-2"], "dedicated": True}
TENANT = "tenant-physics"
CRAWL = {"start_urls": ["https://example.org/a"], "remote": "data", "cron": "30 2 * * 1", "timezone": "Asia/Tokyo"}
TRANSFER = {"source": "data:raw", "destination": "cold:copies", "mode": "sync", "max_delete": 10}
UPLOAD = {"remote": "data", "folder": "microscope/raw"}
CODER = {"database_secret": "coder-db"}
OWN = {"image": f"{REGISTRY}/viewer:2.1", "port": 8080}
COMMAND = {"command": "python -m http.server --bind 127.0.0.1 {port}"}


def tenant(**more: Any) -> Tenant:
    remotes = [
        {"name": "data", "type": "s3", "bucket": "physics-data", "credentials": "physics-s3"},
        {"name": "cold", "type": "s3", "bucket": "physics-cold", "credentials": "physics-s3"},
    ]
    profiles = ["notebook", "vscode", "upload", "crawl", "transfer", "own-app", "coder"]
    return worlds.tenant(
        "physics", **{"workers": WORKERS, "networks": [DUAL], "remotes": remotes, "profiles": profiles, **more}
    )


def workload(owner: str, profile: str, options: dict[str, Any] | None = None, **more: Any) -> Workload:
    """*more*: name, tenant and site of the world; extra: fields of the profile."""
    asked_for = Request("physics", profile, options or {})
    here = world(more.pop("tenant", None) or tenant(), more.pop("site", SITE), **more.pop("extra", {}))
    return resolve(
        here,
        KINDS,
        asked_for,
        owner=owner,
        **{"name": "one", "display_name": "One", "started_by": owner, "asked": worlds.ASKED, **more},
    )


def world(of: Tenant, site: Site = SITE, **profile: Any) -> World:
    profiles = [*worlds.world().profiles.values(), worlds.profile("coder", "coder")]
    profiles = [one.model_copy(update=profile) for one in profiles]
    return World(site, {one.name: one for one in profiles}, {of.name: of})


def launch(owner: str, profile: str, options: dict[str, Any] | None = None, **more: Any) -> Launch:
    of, site = more.pop("tenant", None) or tenant(), more.pop("site", SITE)
    found = workload(owner, profile, options, tenant=of, site=site, **more)
    wants = KINDS[found.kind].at_address(found)
    addresses = allot(of, of.network(found.network), taken=()) if wants else ()
    return launch_of(KINDS[found.kind], found, of, site, addresses, IMAGES)


def cases() -> dict[str, Launch]:
    """Every kind, and every variant that changes its objects."""
    person = "jane.doe@example.org"
    guaranteed = tenant(members=[person], workers={**WORKERS, "qos": "Guaranteed"}, networks=[ONLY_FOUR])
    shared = tenant(members=[person], workers={"selector": {"lab": "physics"}, "dedicated": False}, networks=[])
    six = tenant(networks=[ONLY_SIX])
    usual = tenant(members=[person])
    skip = {**CRAWL, "missed": "skip"}
    image = {"image": f"{REGISTRY}/tool@{DIGEST}"}
    return {
        "notebook": launch(person, "notebook", {"size": "large", "home": "none"}, tenant=usual),
        "notebook-guaranteed": launch(person, "notebook", {"home": "none"}, tenant=guaranteed),
        "notebook-kept-in-a-remote": launch(person, "notebook", tenant=usual),
        "ide-kept-on-a-volume": launch(person, "vscode", {"home_name": "thesis"}, tenant=usual, site=SITE_WITH_VOLUMES),
        "notebook-no-network-shared-workers": launch(person, "notebook", {"home": "none"}, tenant=shared),
        "ide": launch(person, "vscode", {"home": "none"}, tenant=usual),
        "app": launch(person, "own-app", COMMAND, tenant=usual, extra=image),
        "app-own-image": launch(person, "own-app", {**OWN, "folders": ["/var/cache/viewer"]}, tenant=usual),
        "app-own-image-guaranteed": launch(person, "own-app", {**OWN, "port": 3000}, tenant=guaranteed),
        "app-address": launch(TENANT, "own-app", {**COMMAND, "reach": "address"}, name="viewer"),
        "app-own-image-address": launch(
            TENANT,
            "own-app",
            {**OWN, "command": "serve {port}", "reach": "address", "open_to": "everybody"},
            name="viewer",
            tenant=tenant(networks=[ONLY_FOUR]),
        ),
        "collector-dual-stack": launch(TENANT, "upload", UPLOAD, name="camera"),
        "collector-ipv4": launch(
            TENANT, "upload", {**UPLOAD, "max_file_gib": 2}, name="camera", tenant=tenant(networks=[ONLY_FOUR])
        ),
        "collector-ipv6-guaranteed": launch(
            TENANT,
            "upload",
            UPLOAD,
            name="camera",
            tenant=tenant(networks=[ONLY_SIX], workers={**WORKERS, "qos": "Guaranteed"}),
        ),
        "collector-sftp": launch(TENANT, "upload", {**UPLOAD, "protocol": "sftp"}, name="scanner"),
        "crawler": launch(TENANT, "crawl", CRAWL, name="news"),
        "crawler-skip-ipv6": launch(TENANT, "crawl", skip, name="news", tenant=six),
        "transfer": launch(TENANT, "transfer", TRANSFER, name="copy"),
        "coder": launch(TENANT, "coder", CODER, name="coder"),
        "coder-open-ipv6": launch(TENANT, "coder", {**CODER, "open_to": "everybody"}, name="coder", tenant=six),
        "coder-ingress": launch(
            TENANT, "coder", {**CODER, "reach": "ingress", "access_url": "https://coder.example.org"}, name="coder"
        ),
    }
