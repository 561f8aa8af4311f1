"""The user's own program with a web page, behind the hub's sign-in."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, field_validator

from config.models import Site, Tenant
from spawners.kinds.base import Kind, Options
from spawners.kube.plan import STATE, KubePlace, KubePlan, with_home
from spawners.plan import LocalPlace, LocalPlan
from spawners.refusal import Violation
from spawners.workload import Workload

HOME = "/home/app"
"""In the image (images/app/Containerfile), which is the base of the images that people bring."""
UID = 1000


class AppOptions(Options):
    """A command and a port."""

    command: Annotated[str, Field(min_length=1, max_length=2000)] = Field(
        title="Command",
        json_schema_extra={"placeholder": "python -m http.server --bind 127.0.0.1 {port}", "widget": "text"},
    )
    """What to run, as in a terminal but without a shell. {port} stands for the port to listen on, {base_url} for the
    path under which the hub shows it."""
    port: Annotated[int, Field(ge=1024, le=65535)] | None = Field(default=None, title="Port")
    """Only for a program whose port cannot be chosen with {port}."""
    keep_path: bool = Field(default=False, title="Send the whole path", json_schema_extra={"group": "More"})
    """For programs that expect {base_url} in front of each request's path; otherwise it is taken away."""
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
        if not words:
            raise ValueError("write the command to run")
        return command


class AppKind(Kind):
    """A command and a port; ends by hand, by the idle rule where it belongs to a person."""

    name = "app"
    title = "Own app"
    icon = "🧩"
    options = AppOptions
    owners = frozenset({"person", "tenant"})
    interactive = True
    panels = ("open", "progress", "log", "options")
    logs = ("log.txt", "app.log")

    def check(self, options: Mapping[str, Any], tenant: Tenant, site: Site) -> list[Violation]:
        """The port must come from somewhere."""
        del tenant, site
        if options.get("port") is None and "{port}" not in options["command"]:
            return [Violation("port", "write {port} in the command, or give the port that the program listens on")]
        return []

    def local(self, workload: Workload, tenant: Tenant, site: Site, place: LocalPlace) -> LocalPlan:
        """The launcher of images.app around the command."""
        del tenant, site
        options = workload.options
        return LocalPlan(
            mode="direct",
            argv=(str(place.tools.python), "-P", "-m", "images.app", "{settings}"),
            settings={
                "run_dir": str(place.folder),
                "command": shlex.split(options["command"]),
                "port": options["port"],
                "absolute_url": options["keep_path"],
                "ready_timeout_s": options["ready_timeout_s"],
                "working_folder": str(place.home),
            },
            grace_s=10,
        )

    def kube(self, workload: Workload, tenant: Tenant, site: Site, place: KubePlace) -> KubePlan:
        """The same in a Pod. It is reached by the hub's proxy alone: images.app has the hub's sign-in in front."""
        del tenant, site
        options = workload.options
        return KubePlan(
            mode="pod",
            image=place.image,
            argv=("python", "-P", "-m", "images.app", "{settings}"),
            settings={
                "run_dir": f"{STATE}/run",
                "command": shlex.split(options["command"]),
                "port": options["port"],
                "absolute_url": options["keep_path"],
                "ready_timeout_s": options["ready_timeout_s"],
                "working_folder": HOME,
            },
            uid=UID,
            home=HOME,
            scratch=with_home(HOME),
            grace_s=15,
        )
