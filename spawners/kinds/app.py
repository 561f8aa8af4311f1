"""The user's own program with a web page: behind the hub's sign-in, or at an address of the tenant's network."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from config.images import comes_from
from config.models import Site, Tenant
from config.models.base import pattern
from spawners import reached
from spawners.kinds.base import Kind, Options
from spawners.kube.plan import GIB, STATE, TMP, Beside, KubePlace, KubePlan, KubePort, Ready, Scratch, with_home
from spawners.plan import LocalPlace, LocalPlan
from spawners.refusal import Refusal, Violation
from spawners.workload import Workload

HOME = "/home/app"
"""In the image (images/app/Containerfile), which is the base of the images that people bring."""
UID = 1000
DEFAULT_PORT = 8080
"""Where nothing chooses one: at an address, and in an image of one's own."""
MIB = 2**20
DOOR_MEMORY = 192 * MIB
"""What images.app takes beside an image of one's own: 87 MiB once its modules are loaded (measured, Python 3.11); the
rest is for what is just passing through."""
LEAST_MEMORY = 2 * DOOR_MEMORY
_ONLY_CLUSTER = "is to be had on a cluster only"
_IMAGE = pattern(
    r"^[A-Za-z0-9][A-Za-z0-9._:/-]*(:[A-Za-z0-9._-]+)?(@sha256:[0-9a-f]{64})?$",
    "an image by tag or digest, e.g. registry.example.org/lab/viewer:1.2",
    max_length=300,
)
_FOLDER = re.compile(r"/[A-Za-z0-9._/-]+")
_NOT_WRITABLE = ("/proc", "/sys", "/dev", "/etc/tenanthub", "/run/secrets", "/var/run/secrets", STATE)


class AppOptions(Options):
    """A command and a port, or an image and its port."""

    command: Annotated[str, Field(max_length=2000)] = Field(
        default="",
        title="Command",
        json_schema_extra={"placeholder": "python -m http.server --bind 127.0.0.1 {port}", "widget": "text"},
    )
    """What to run, as in a terminal but without a shell. {port} stands for the port to listen on, {base_url} for the
    path under which the hub shows it. Without one, an image of your own runs what it says itself."""
    port: Annotated[int, Field(ge=1024, le=65535)] | None = Field(default=None, title="Port")
    """Only for a program whose port cannot be chosen with {port}; for an image of your own, the port it listens on."""
    image: Annotated[str, _IMAGE] | None = Field(
        default=None, title="Own image", json_schema_extra={"placeholder": "registry.example.org/lab/viewer:1.2"}
    )
    """An image with your program in it, from a registry that is allowed here; it runs as a user without rights. Only on
    a cluster. Empty: the image of this card."""
    reach: Literal["proxy", "address"] = Field(
        default="proxy",
        title="Reached by",
        json_schema_extra={
            "labels": {
                "proxy": "This hub, behind its sign-in",
                "address": "An address of the tenant's network, WITHOUT the hub's sign-in",
            }
        },
    )
    """At an address nobody is asked to sign in: whoever may connect sees all that the program shows, unless it asks for
    a password itself. Only on a cluster."""
    open_to: Literal["network", "everybody"] = Field(
        default="network",
        title="Who may connect",
        json_schema_extra={
            "labels": {"network": "The tenant's network", "everybody": "Whoever reaches the address"},
            "group": "More",
        },
    )
    """To the address; behind the hub's sign-in it is who may use this workload."""
    keep_path: bool = Field(default=False, title="Send the whole path", json_schema_extra={"group": "More"})
    """For programs that expect {base_url} in front of each request's path; otherwise it is taken away."""
    folders: Annotated[tuple[str, ...], Field(max_length=10)] = Field(
        default=(),
        title="Folders it writes to",
        json_schema_extra={"placeholder": "/var/cache/viewer", "group": "More", "widget": "lines"},
    )
    """Of an image of your own, one a line: 1 GiB each, empty at each start. Everything but these, its home and /tmp is
    read-only."""
    ready_timeout_s: Annotated[int, Field(ge=5, le=600)] = Field(
        default=60, title="Time to start", json_schema_extra={"unit": "s", "group": "More"}
    )
    """How long the program may take until it answers."""

    @field_validator("command")
    @classmethod
    def _splits(cls, command: str) -> str:
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise ValueError(f"cannot be read as a command: {error}") from None
        if command and not words:
            raise ValueError("write the command to run")
        return command

    @field_validator("folders")
    @classmethod
    def _writable(cls, folders: tuple[str, ...]) -> tuple[str, ...]:
        found = tuple(dict.fromkeys(one.rstrip("/") for one in folders))
        for one in found:
            if not _FOLDER.fullmatch(one) or ".." in one.split("/"):
                raise ValueError(f"{one!r} is no folder such as /var/cache/viewer")
            if any(one == root or one.startswith(f"{root}/") for root in (*_NOT_WRITABLE, HOME, TMP)):
                raise ValueError(f"{one} is the system's, or can be written to already")
        return found


class AppKind(Kind):
    """A command and a port; ends by hand, by the idle rule where it belongs to a person."""

    name = "app"
    title = "Own app"
    icon = "🧩"
    options = AppOptions
    owners = frozenset({"person", "tenant"})
    interactive = True
    panels = ("open", "address", "progress", "log", "options")
    logs = ("log.txt", "app.log")

    def check(self, options: Mapping[str, Any], tenant: Tenant, site: Site) -> list[Violation]:
        """The program and its port must come from somewhere, an image from a registry of the site."""
        del tenant
        command, image = options["command"], options["image"]
        wrong = []
        if not command and image is None:
            wrong.append(Violation("command", "write the command to run, or name an image of your own"))
        elif options["port"] is None and "{port}" not in command:
            wrong.append(Violation("port", "write {port} in the command, or give the port that the program listens on"))
        if image is not None and site.image_registries and not comes_from(image, site.image_registries):
            wrong.append(Violation("image", f"must come from {' or '.join(site.image_registries)}"))
        if "{base_url}" in command and (image is not None or options["reach"] == "address"):
            wrong.append(
                Violation("command", "{base_url} is known only behind the hub's sign-in, in this card's image")
            )
        if options["folders"] and image is None:
            wrong.append(Violation("folders", "are for an image of your own; leave them out"))
        return wrong

    def at_address(self, workload: Workload) -> bool:
        """Where the options say so."""
        return bool(workload.options["reach"] == "address")

    def endpoints(self, workload: Workload, tenant: Tenant, address: str | None) -> tuple[tuple[str, str], ...]:
        """The address, and that nothing stands before it."""
        del tenant
        if not self.at_address(workload):
            return ()
        port = _port(workload.options)
        return (
            *reached.rows(address, "http"),
            ("Port", f"80 and {port}"),
            ("Sign-in", "none of the hub's: only what the program itself asks for"),
        )

    def local(self, workload: Workload, tenant: Tenant, site: Site, place: LocalPlace) -> LocalPlan:
        """The launcher of images.app around the command. Refusal (reason place) for what needs a cluster."""
        del tenant, site
        options = workload.options
        lacking = [("image", options["image"] is not None), ("reach", options["reach"] == "address")]
        if wrong := [Violation(field, f"{_ONLY_CLUSTER}; this is one machine") for field, wanted in lacking if wanted]:
            raise Refusal("place", wrong)
        return LocalPlan(
            mode="direct",
            argv=(str(place.tools.python), "-P", "-m", "images.app", "{settings}"),
            settings={"run_dir": str(place.folder), "working_folder": str(place.home), **_command(options)},
            grace_s=10,
        )

    def kube(self, workload: Workload, tenant: Tenant, site: Site, place: KubePlace) -> KubePlan:
        """A Pod with the hub's sign-in in front, or a Deployment at an address of the tenant's without it."""
        del tenant, site
        if self.at_address(workload):
            return _at_address(workload, place)
        if workload.options["image"] is not None:
            return _beside(workload, place)
        return KubePlan(
            mode="pod",
            image=place.image,
            argv=("python", "-P", "-m", "images.app", "{settings}"),
            settings={"run_dir": f"{STATE}/run", "working_folder": HOME, **_command(workload.options)},
            uid=UID,
            home=HOME,
            scratch=with_home(HOME),
            grace_s=15,
        )


def _command(options: Mapping[str, Any]) -> dict[str, Any]:
    """What images.app is told of a command that it starts itself."""
    return {
        "command": shlex.split(options["command"]),
        "port": options["port"],
        "absolute_url": options["keep_path"],
        "ready_timeout_s": options["ready_timeout_s"],
    }


def _port(options: Mapping[str, Any]) -> int:
    """The port where nobody chooses one at the start."""
    return int(options["port"] or DEFAULT_PORT)


def _argv(options: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(word.replace("{port}", str(_port(options))) for word in shlex.split(options["command"]))


def _own(options: Mapping[str, Any], *others: Scratch) -> tuple[Scratch, ...]:
    """What an image of one's own may write to."""
    named = [Scratch(name=f"own-{number}", path=path, size=GIB) for number, path in enumerate(options["folders"], 1)]
    return (*others, *named)


def _beside(workload: Workload, place: KubePlace) -> KubePlan:
    """Somebody's own image as a side-car, and images.app of *place* as the door before it: nothing of ours is put into
    the image, and it gets neither the hub's token nor any other Secret."""
    options, size = workload.options, workload.size
    if size.memory < LEAST_MEMORY:
        least = LEAST_MEMORY // MIB
        raise Refusal.of("place", f"with an image of your own it needs at least {least} MiB of memory", "size")
    return KubePlan(
        mode="pod",
        image=place.image,
        argv=("python", "-P", "-m", "images.app", "{settings}"),
        settings={
            "run_dir": f"{STATE}/run",
            **_command(options),
            "command": [],
            "port": _port(options),
            "beside": True,
        },
        uid=UID,
        beside=Beside(
            image=options["image"],
            argv=_argv(options),
            cpu=size.cpu * 3 / 4,
            memory=size.memory - DOOR_MEMORY,
            home=HOME,
            scratch=_own(
                options,
                Scratch(name="app-home", path=HOME, size=20 * GIB),
                Scratch(name="app-tmp", path=TMP, size=5 * GIB),
            ),
        ),
        grace_s=15,
    )


def _at_address(workload: Workload, place: KubePlace) -> KubePlan:
    """The program by itself behind a Service: nobody is asked to sign in, so images.app has no part in it."""
    options = workload.options
    port = _port(options)
    ports = [KubePort(name="web", port=80, target=port), KubePort(name="app", port=port, target=port)]
    return KubePlan(
        mode="keep",
        image=options["image"] or place.image,
        argv=_argv(options),
        uid=UID,
        home=HOME,
        scratch=_own(
            options, Scratch(name="home", path=HOME, size=20 * GIB), Scratch(name="tmp", path=TMP, size=5 * GIB)
        ),
        ports=tuple(ports),
        addresses=place.addresses,
        sources=options["open_to"],
        ready=Ready(tcp=True, within_s=options["ready_timeout_s"]),
        grace_s=15,
    )
