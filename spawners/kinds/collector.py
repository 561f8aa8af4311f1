"""FTP and explicit FTPS, SFTP or WebDAV into the tenant's object storage, for instruments that speak nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue

from config.models import Site, Tenant
from config.models.base import pattern
from spawners import reached
from spawners.kinds.base import Kind, Options
from spawners.kinds.remotes import Folder, RemoteName, remote_path, remote_violations
from spawners.kube.plan import (
    GIB,
    PASSWORD,
    RCLONE_CONF,
    SEED,
    STATE,
    TMP,
    KubePlace,
    KubePlan,
    KubePort,
    Ready,
    Scratch,
    password,
    remotes,
    seed,
)
from spawners.plan import LocalPlace, LocalPlan
from spawners.refusal import Violation
from spawners.workload import Workload

PORTS = {"ftp": 2121, "ftps": 2121, "sftp": 2022, "webdav": 8080}
"""Unprivileged, so that nothing runs as root; each collector has an address of its own, so they never collide."""
PASSIVE_PORTS = (30000, 30049)
WELL_KNOWN_PORTS = {"ftp": 21, "ftps": 21, "sftp": 22, "webdav": 443}
"""Many instruments know no others. A Service has them too (its own port is no process's, so nothing runs as root)."""
RCLONE = "/usr/local/bin/rclone"
"""In the image (images/collector/Containerfile): where pip puts it."""
HISTORY = ".tenanthub/uploads"
"""Folder in the bucket where the rows of uploads are kept, a file a collector."""
SPOOL_GIB = 50
"""Room for what is being received or waits for the object store, where nobody said how large a file may be."""
LABELS: dict[str, JsonValue] = {
    "ftp": "FTP (plain, FTPS offered)",
    "ftps": "FTPS only (explicit TLS)",
    "sftp": "SFTP",
    "webdav": "WebDAV",
}
_USER = pattern(r"^[a-z][a-z0-9_-]{0,31}$", "1 to 32 of a-z, 0-9, - and _, first a letter, e.g. microscope-2")


class CollectorOptions(Options):
    """Where uploads go, and how the instrument speaks."""

    remote: RemoteName = Field(title="Remote", json_schema_extra={"source": "remotes"})
    """Object storage of the tenant that the files land in."""
    folder: Folder = Field(
        default="", title="Folder", json_schema_extra={"placeholder": "microscope/raw", "widget": "folder"}
    )
    """Folder in the bucket; empty: its top."""
    protocol: Literal["ftp", "ftps", "sftp", "webdav"] = Field(
        default="ftp", title="Protocol", json_schema_extra={"labels": LABELS}
    )
    """What the instrument speaks. Plain FTP sends the password unprotected: choose FTPS where the instrument can. With
    SFTP and WebDAV, which are rclone's own servers, an upload that breaks off may replace an earlier file."""
    username: Annotated[str, _USER] = Field(default="instrument", title="User")
    """User name that the instrument signs in with; the password is generated and shown on the page."""
    max_file_gib: Annotated[float, Field(gt=0, le=5000)] | None = Field(
        default=None, title="Largest file", json_schema_extra={"unit": "GiB", "group": "More"}
    )
    """Uploads beyond it are refused; empty: no limit but the disk's."""
    spool_gib: Annotated[float, Field(gt=0, le=10_000)] | None = Field(
        default=None, title="Room for waiting files", json_schema_extra={"unit": "GiB", "group": "More"}
    )
    """On a cluster: what is being received, or waits for the object store, lies on the worker's disk. Uploads beyond it
    are answered with 452 (try again later). Empty: two of the largest files, at least 10 GiB; 50 GiB where no largest
    file is given."""
    max_connections: Annotated[int, Field(ge=1, le=500)] = Field(
        default=50, title="Connections at once", json_schema_extra={"group": "More"}
    )
    """Across all instruments."""
    idle_timeout_s: Annotated[int, Field(ge=10, le=86400)] = Field(
        default=300, title="Idle time-out", json_schema_extra={"unit": "s", "group": "More"}
    )
    """A connection silent for longer is closed."""
    allow_download: bool = Field(default=False, title="Allow downloads", json_schema_extra={"group": "More"})
    """Let the instrument read files back."""


class CollectorKind(Kind):
    """An address of the tenant's own that takes uploads."""

    name = "collector"
    title = "Instrument upload"
    icon = "📡"
    options = CollectorOptions
    owners = frozenset({"tenant"})
    needs_address = True
    panels = ("address", "uploads", "log", "options")

    def check(self, options: Mapping[str, Any], tenant: Tenant, site: Site) -> list[Violation]:
        """The remote must be the tenant's, and the largest file must have room."""
        del site
        wrong = remote_violations(tenant, dict(options), "remote")
        room, largest = options["spool_gib"], options["max_file_gib"]
        if room is not None and largest is not None and room < largest:
            wrong.append(Violation("spool_gib", f"the largest file, {largest:g} GiB, would have no room"))
        return wrong

    def endpoints(self, workload: Workload, tenant: Tenant, address: str | None) -> tuple[tuple[str, str], ...]:
        """Address, port, user and where the files go."""
        options = workload.options
        protocol = options["protocol"]
        rows = [
            ("Protocol", str(LABELS[protocol])),
            *reached.rows(address),
            ("Port", str(PORTS[protocol])),
            ("User", options["username"]),
            ("Files go to", remote_path(tenant, options["remote"], options["folder"])),
        ]
        if protocol in ("ftp", "ftps"):
            rows.append(("Passive ports", f"{PASSIVE_PORTS[0]}-{PASSIVE_PORTS[1]}"))
        return tuple(rows)

    def local(self, workload: Workload, tenant: Tenant, site: Site, place: LocalPlace) -> LocalPlan:
        """images.collector, kept running for ever at the allocated address."""
        del site
        options = workload.options
        largest = options["max_file_gib"]
        return LocalPlan(
            mode="keep",
            argv=(str(place.tools.python), "-P", "-m", "images.collector", "{settings}"),
            settings={
                "protocol": options["protocol"],
                "address": place.address,
                "port": PORTS[options["protocol"]],
                "passive_ports": list(PASSIVE_PORTS) if options["protocol"] in ("ftp", "ftps") else None,
                "username": options["username"],
                "password_file": str(place.password_file),
                "rclone": str(place.tools.rclone),
                "rclone_config": str(place.rclone_config),
                "destination": remote_path(tenant, options["remote"], options["folder"]),
                "state_dir": str(place.folder / "collector"),
                "max_file_bytes": int(largest * 2**30) if largest else None,
                "limits": {
                    "max_connections": options["max_connections"],
                    # Many instruments sit behind one router: no tighter limit for one address than for all.
                    "max_connections_per_ip": options["max_connections"],
                    "idle_timeout_s": options["idle_timeout_s"],
                },
                "allow_download": options["allow_download"],
            },
            ready_file="collector/ready.json",
            grace_s=30,
        )

    def kube(self, workload: Workload, tenant: Tenant, site: Site, place: KubePlace) -> KubePlan:
        """images.collector in a Deployment of one, behind a Service at the allotted addresses."""
        del site
        options = workload.options
        protocol, largest = options["protocol"], options["max_file_gib"]
        spool = _spool(options["spool_gib"], largest)
        state = f"{STATE}/collector"
        return KubePlan(
            mode="keep",
            image=place.image,
            argv=("python", "-P", "-m", "images.collector", "{settings}"),
            settings={
                "protocol": protocol,
                "address": place.listen,
                # PASV tells IPv4 alone; by IPv6, EPSV tells no address at all.
                "public_address": place.addresses[0] if place.addresses else None,
                "port": PORTS[protocol],
                "passive_ports": list(PASSIVE_PORTS) if protocol in ("ftp", "ftps") else None,
                "username": options["username"],
                "password_file": PASSWORD,
                # The Pod's folders go with the Pod: what an instrument has pinned, and what people look up, must not.
                "seed_file": SEED,
                "history": f"{remote_path(tenant, options['remote'], '')}/{HISTORY}/{workload.name}.jsonl",
                "rclone": RCLONE,
                "rclone_config": RCLONE_CONF,
                "destination": remote_path(tenant, options["remote"], options["folder"]),
                "state_dir": state,
                "max_file_bytes": int(largest * GIB) if largest else None,
                # Below the folder's limit: the instrument is told 452 before the kubelet evicts the Pod.
                "max_spool_bytes": spool,
                "limits": {
                    "max_connections": options["max_connections"],
                    "max_connections_per_ip": options["max_connections"],
                    "idle_timeout_s": options["idle_timeout_s"],
                    # Every instrument comes from the address of the node that its packets came in by (Service:
                    # externalTrafficPolicy Cluster): a lock-out after five wrong passwords would lock out all of
                    # them. The password is random (about 80 bits), and each guess waits.
                    "login_failures": 100,
                    "lockout_s": 60,
                },
                "allow_download": options["allow_download"],
            },
            secrets=(remotes(), password(), seed()),
            scratch=(
                Scratch(name="state", path=STATE, size=spool + 2 * GIB),
                Scratch(name="tmp", path=TMP, size=GIB),
            ),
            ports=_ports(protocol),
            addresses=place.addresses,
            ready=Ready(file=f"{state}/ready.json"),
            grace_s=30,
        )


def _spool(room_gib: float | None, largest_gib: float | None) -> int:
    """Bytes: as told; else two of the largest files, and never less than for an evening's images."""
    if room_gib is not None:
        return int(room_gib * GIB)
    return max(10 * GIB, int(2 * largest_gib * GIB)) if largest_gib else SPOOL_GIB * GIB


def _ports(protocol: str) -> tuple[KubePort, ...]:
    """The control port by both its numbers, and every passive port singly: a Service knows no ranges."""
    control = PORTS[protocol]
    found = [
        KubePort(name="control", port=WELL_KNOWN_PORTS[protocol], target=control),
        KubePort(name="control-high", port=control, target=control),
    ]
    if protocol in ("ftp", "ftps"):
        first, last = PASSIVE_PORTS
        found += [KubePort(name=f"passive-{port}", port=port, target=port) for port in range(first, last + 1)]
    return tuple(found)
