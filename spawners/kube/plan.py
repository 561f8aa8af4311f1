"""What a workload becomes on a cluster: a program in a Pod, as data. Made by the kinds, carried out by manifests."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from config.models import Declared
from spawners.plan import Schedule

ETC = "/etc/tenanthub"
"""Where the settings file lies in every container, read-only."""
SETTINGS = f"{ETC}/settings.json"
SECRETS = "/run/secrets/tenanthub"
"""Folder of the mounted Secrets, one folder each."""
STATE = "/var/lib/tenanthub"
"""The folder that a program of images/ may write to; an emptyDir, which outlives the container but not the Pod."""
RUNS = f"{STATE}/runs"
TMP = "/tmp"  # noqa: S108  an emptyDir of the Pod's own
GIB = 2**30

REMOTES_SECRET = "tenanthub.remotes"  # noqa: S105  a name
"""The tenant's Secret with rclone's configuration. No workload's object can be called so: their names have no dot."""
RCLONE_CONF = f"{SECRETS}/remotes/rclone.conf"
PASSWORD = f"{SECRETS}/own/password"
SEED = f"{SECRETS}/own/seed"


class KubePlace(Declared):
    """Where a workload lands on the cluster: given to the kind, never chosen by it."""

    image: str
    addresses: tuple[str, ...] = ()
    """LoadBalancer addresses allotted to it, IPv4 first; at most one of each family. None for kinds without."""

    @property
    def listen(self) -> str:
        """What a program listens on: all addresses of the families that its Service has.

        "::" takes IPv4 as well where the Pod has both (Linux, net.ipv6.bindv6only=0, the default).
        """
        return "::" if any(":" in address for address in self.addresses) else "0.0.0.0"  # noqa: S104  a Pod's own


class KubePort(Declared):
    """A port of the Service and the one in the container that it leads to."""

    name: str = Field(pattern=r"^[a-z]([-a-z0-9]{0,13}[a-z0-9])?$")
    """IANA service name, at most 15 characters: Kubernetes refuses others as a container port's name."""
    port: int = Field(ge=1, le=65535)
    target: int = Field(ge=1024, le=65535)
    """Unprivileged: nothing runs as root, and NET_BIND_SERVICE is dropped like the rest."""


class SecretFile(Declared):
    """A key of a Secret as a file. The Secret's contents are made elsewhere and are never in a plan."""

    secret: str | None
    """The Secret's name; None: the workload's own, called like its objects."""
    key: str
    path: str


def remotes() -> SecretFile:
    """rclone's configuration with the tenant's remotes."""
    return SecretFile(secret=REMOTES_SECRET, key="rclone.conf", path=RCLONE_CONF)


def password() -> SecretFile:
    """The generated password of the workload."""
    return SecretFile(secret=None, key="password", path=PASSWORD)


def seed() -> SecretFile:
    """Random text of the workload's own, the same as long as its objects are there: programs derive keys from it."""
    return SecretFile(secret=None, key="seed", path=SEED)


class SecretEnv(Declared):
    """A key of a Secret as a variable, for programs that take it no other way."""

    variable: str
    secret: str
    key: str


class Scratch(Declared):
    """An emptyDir: the only sort of place that a program may write to."""

    name: str
    path: str
    size: int = Field(gt=0)
    """Bytes. A Pod that fills more is evicted by the kubelet, so programs get a tighter limit of their own."""


def with_home(home: str) -> tuple[Scratch, ...]:
    """The scratch folders of an interactive workload. 20 GiB of home: more than people forget in one, less than a disk
    that others need too; what fills it ends the Pod."""
    return (
        Scratch(name="home", path=home, size=20 * GIB),
        Scratch(name="state", path=STATE, size=GIB),
        Scratch(name="tmp", path=TMP, size=5 * GIB),
    )


class Claim(Declared):
    """A PersistentVolumeClaim: a folder that outlives the Pod. It is made where it is not there yet, and stays."""

    volume: str
    """Name of the volume in the Pod."""
    name: str
    """Of the claim. Workloads of one owner that name the same one share it."""
    path: str
    storage_class: str
    size: int = Field(gt=0)
    """Bytes."""


class Ready(Declared):
    """How the kubelet sees that the program serves."""

    file: str | None = None
    """A file that the program writes when it serves, and removes before and after."""
    http: str | None = None
    """Path of an HTTP GET to the first port that answers 200."""
    tcp: bool = False
    """The first port takes connections: for programs of which no more is known."""
    within_s: int = 60
    """Seconds after which a start that is not ready has failed."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.file is not None) + (self.http is not None) + self.tcp != 1:
            raise ValueError("give a file, an HTTP path or tcp")
        return self


class Beside(Declared):
    """A second container in the Pod, of an image that is not ours, beside a program of ours that stands before it.

    A side-car as Kubernetes means it (an init container that is restarted): it starts first, is started again when it
    ends, and ends with the first container. It is given no Secret, and nothing of the first one's.
    """

    image: str
    argv: tuple[str, ...] = ()
    """Program and arguments; none: what the image itself says."""
    env: dict[str, str] = {}  # noqa: RUF012  (pydantic copies it)
    cpu: float = Field(gt=0)
    memory: int = Field(gt=0)
    """CPUs and bytes: its part of the workload's size; the first container has the rest."""
    home: str
    """HOME. The working folder is the image's."""
    scratch: tuple[Scratch, ...]


class Rule(Declared):
    """One rule of the Role that the program itself gets in its tenant's namespace."""

    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]


class KubePlan(Declared):
    """The container of a workload, and the objects around it. Holds no secret."""

    mode: Literal["pod", "keep", "schedule", "once"]
    """pod: a Pod that KubeSpawner makes (interactive); keep: Deployment; once: Job; schedule: CronJob."""
    image: str
    argv: tuple[str, ...]
    """Program and arguments; the image's entry point is not used, unless there are none. "{settings}" stands for
    SETTINGS."""
    env: dict[str, str] = {}  # noqa: RUF012  (pydantic copies it)
    settings: dict[str, Any] | None = None
    """Content of the settings file, with paths inside the container; no secrets in it."""
    secrets: tuple[SecretFile, ...] = ()
    secret_env: tuple[SecretEnv, ...] = ()
    scratch: tuple[Scratch, ...] = (
        Scratch(name="state", path=STATE, size=GIB),
        Scratch(name="tmp", path=TMP, size=GIB),
    )
    claims: tuple[Claim, ...] = ()
    uid: int = Field(default=65532, ge=1)
    """User and group of the process, as the image's Containerfile has it."""
    home: str = STATE
    """HOME, and the working folder; in one of the scratch folders or on a claim."""
    ports: tuple[KubePort, ...] = ()
    addresses: tuple[str, ...] = ()
    """LoadBalancer addresses of the Service; none with ports: a Service of type ClusterIP."""
    sources: Literal["network", "everybody"] = "network"
    """Who may connect to the addresses: the subnets of the workload's network, or whoever reaches them."""
    pods_connect: bool = False
    """Whether Pods may as well, besides the network: those of its own tenant are who the walls let through to it."""
    ready: Ready | None = None
    grace_s: int = 30
    """Seconds between SIGTERM and SIGKILL."""
    time_limit_s: int | None = None
    """once, schedule: a run past it is ended, retries included (Job: activeDeadlineSeconds)."""
    schedule: Schedule | None = None
    retries: int = 1
    """once, schedule: how often a run that was killed (out of memory, a broken start) is tried again. What the program
    itself calls a failure is final, and what Kubernetes does to a Pod (drain, eviction, lost node) does not count."""
    keep_runs: int = 10
    """How many ended runs of a schedule keep their Job, and with it Pod and log: so many good and so many failed."""
    beside: Beside | None = None
    rules: tuple[Rule, ...] = ()
    """What the program may do at the API server; none: it gets no token."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.mode == "schedule") != (self.schedule is not None):
            raise ValueError("a schedule belongs to mode schedule, and to no other")
        if self.mode in ("keep",) and self.ready is None:
            raise ValueError("what is kept running has to say when it serves")
        folders = [scratch.path for scratch in self.scratch] + [claim.path for claim in self.claims]
        if not any(self.home == path or self.home.startswith(f"{path}/") for path in folders):
            raise ValueError("home must lie in a scratch folder or on a claim: everything else is read-only")
        return self
