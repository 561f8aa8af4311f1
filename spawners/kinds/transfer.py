"""A copy between two places, by rclone or rsync, with a dry run and checks where wanted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from config.models import Site, Tenant
from spawners.kinds.base import Kind, Options
from spawners.kinds.remotes import clean_folder, remote_path, remote_violations
from spawners.kinds.times import Cron, TimeZone, schedule_of
from spawners.kube.plan import GIB, RCLONE_CONF, RUNS, STATE, TMP, KubePlace, KubePlan, Scratch, remotes
from spawners.plan import LocalPlace, LocalPlan
from spawners.refusal import Refusal, Violation
from spawners.workload import Workload

Place = Annotated[str, Field(min_length=1, max_length=500)]
Patterns = Annotated[tuple[str, ...], Field(max_length=100)]
UID = 1000
"""In the image (images/transfer/Containerfile): ssh wants a user that has a name."""
HERE = "shared"
"""Stands for the tenant's shared folder, in front of the colon where a remote's name would be."""


class TransferOptions(Options):
    """From where to where, what, and how carefully."""

    source: Place = Field(title="Source", json_schema_extra={"placeholder": "data:microscope/raw"})
    """remote:folder for object storage of the tenant, shared:folder for the tenant's shared folder."""
    destination: Place = Field(title="Destination", json_schema_extra={"placeholder": "shared:copies"})
    """The same forms as the source."""
    tool: Literal["rclone", "rsync"] = Field(
        default="rclone",
        title="Tool",
        json_schema_extra={"labels": {"rclone": "rclone", "rsync": "rsync (ssh hosts and shared folders)"}},
    )
    """rclone reaches object storage and ssh hosts; rsync sends only the changed parts of files, over ssh with the key
    and the pinned host key of a remote of type sftp."""
    mode: Literal["copy", "sync", "move"] = Field(
        default="copy",
        title="What to do",
        json_schema_extra={
            "labels": {
                "copy": "Copy: add and replace, delete nothing",
                "sync": "Sync: make the destination the same, DELETING what the source does not have",
                "move": "Move: copy, then delete from the source",
            }
        },
    )
    """Copy never deletes."""
    dry_run: Literal["no", "first", "only"] = Field(
        default="no",
        title="Dry run",
        json_schema_extra={
            "labels": {
                "no": "No, begin at once",
                "first": "First a dry run, then the real one",
                "only": "Only a dry run",
            }
        },
    )
    """A dry run lists what would be done."""
    checksum: bool = Field(default=True, title="Compare checksums")
    """Compare contents, not only size and time, and check every file afterwards."""
    include: Patterns = Field(
        default=(), title="Only files that match", json_schema_extra={"group": "More", "widget": "lines"}
    )
    """Patterns such as *.tif, one a line; empty: everything."""
    exclude: Patterns = Field(
        default=(), title="Never files that match", json_schema_extra={"group": "More", "widget": "lines"}
    )
    """Patterns, one a line."""
    bandwidth_mib: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        default=None, title="Speed at most", json_schema_extra={"unit": "MiB/s", "group": "More"}
    )
    """Empty: as fast as it goes."""
    max_delete: Annotated[int, Field(ge=0)] | None = Field(
        default=None, title="Delete at most", json_schema_extra={"unit": "files", "group": "More"}
    )
    """A sync that would delete more stops before it deletes."""
    cron: Cron | None = Field(default=None, title="When", json_schema_extra={"widget": "cron"})
    """Empty: once, now. Else again and again: minute, hour, day of month, month, day of week."""
    timezone: TimeZone = Field(default="UTC", title="Time zone", json_schema_extra={"widget": "timezone"})
    """The zone that the expression is read in; summer time is followed."""
    missed: Literal["run-once", "skip"] = Field(
        default="run-once",
        title="Missed runs",
        json_schema_extra={
            "group": "More",
            "labels": {"run-once": "Run once when that is possible again", "skip": "Skip until the next time"},
        },
    )
    """What to do about a time that has passed without a run."""
    catch_up_h: Annotated[int, Field(ge=1, le=8760)] = Field(
        default=168, title="Catch up within", json_schema_extra={"unit": "h", "group": "More"}
    )
    """A missed run older than this is only shown."""
    staging_gib: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=20, title="Room in between", json_schema_extra={"unit": "GiB", "group": "More"}
    )
    """rsync from one ssh host to another lays the files down here in between: where they do not fit, it does not
    begin."""
    time_limit_min: Annotated[int, Field(ge=1, le=43_200)] = Field(
        default=1440, title="Time limit", json_schema_extra={"unit": "min", "group": "More"}
    )
    """It is stopped after that; started again, it goes on where it was."""

    @field_validator("source", "destination")
    @classmethod
    def _place(cls, place: str) -> str:
        name, colon, folder = place.partition(":")
        if not colon or not name:
            raise ValueError(f"{place!r} is no place: write remote:folder or shared:folder")
        return f"{name}:{clean_folder(folder)}"

    @field_validator("destination")
    @classmethod
    def _elsewhere(cls, destination: str, info: ValidationInfo) -> str:
        if destination == info.data.get("source"):
            raise ValueError("is the same place as the source")
        return destination


class TransferKind(Kind):
    """One run to its end, or one at each time of a schedule."""

    name = "transfer"
    title = "Transfer"
    icon = "🚚"
    options = TransferOptions
    owners = frozenset({"tenant"})
    panels = ("schedule", "progress", "runs", "log", "options")

    def check(self, options: Mapping[str, Any], tenant: Tenant, site: Site) -> list[Violation]:
        """Both places must be the tenant's; rsync knows no object storage."""
        del site
        violations = []
        if options["max_delete"] is not None and options["mode"] != "sync":
            violations.append(Violation("max_delete", "only Sync deletes at the destination; leave it empty"))
        for field in ("source", "destination"):
            name = str(options[field]).partition(":")[0]
            if name == HERE:
                continue
            violations += [Violation(field, v.message) for v in remote_violations(tenant, {field: name}, field)]
            found = tenant.remote(name)
            if options["tool"] == "rsync" and found is not None and found.type != "sftp":
                why = f"rsync reaches shared folders and ssh hosts; {name} is of type {found.type}: choose rclone"
                violations.append(Violation(field, why))
        return violations

    def endpoints(self, workload: Workload, tenant: Tenant, address: str | None) -> tuple[tuple[str, str], ...]:
        """From where to where."""
        del tenant, address
        return (("From", workload.options["source"]), ("To", workload.options["destination"]))

    def local(self, workload: Workload, tenant: Tenant, site: Site, place: LocalPlace) -> LocalPlan:
        """One run of images.transfer, or one at each time of the schedule."""
        del site
        options = workload.options
        return LocalPlan(
            mode="schedule" if options["cron"] else "once",
            schedule=schedule_of(options) if options["cron"] else None,
            argv=(str(place.tools.python), "-P", "-m", "images.transfer", "{settings}"),
            settings={
                "tool": options["tool"],
                "rclone": str(place.tools.rclone),
                "rclone_config": str(place.rclone_config),
                "source": _resolved(tenant, place, options["source"]),
                "destination": _resolved(tenant, place, options["destination"]),
                "folders": [str(place.shared_folder)] if place.shared_folder else [],
                **_how(options),
                **({"rsync": str(place.tools.rsync)} if place.tools.rsync else {}),
            },
            time_limit_s=options["time_limit_min"] * 60 + 120,
            grace_s=30,
        )

    def kube(self, workload: Workload, tenant: Tenant, site: Site, place: KubePlace) -> KubePlan:
        """A Job or CronJob of images.transfer between two remotes. Refusal for shared:, which would outlive Pods."""
        del site
        options = workload.options
        here = [field for field in ("source", "destination") if str(options[field]).partition(":")[0] == HERE]
        if here:
            why = "a cluster has no shared folder of the tenant; name one of its remotes"
            raise Refusal("place", [Violation(field, why) for field in here])
        sides = {field: remote_path(tenant, *_parts(options[field])) for field in ("source", "destination")}
        # What rclone has to read twice it keeps in files of its own below /tmp.
        staging = options["staging_gib"] * GIB if options["tool"] == "rsync" else 0
        return KubePlan(
            mode="schedule" if options["cron"] else "once",
            schedule=schedule_of(options) if options["cron"] else None,
            image=place.image,
            argv=("python", "-P", "-m", "images.lib.run", "images.transfer", "{settings}", RUNS),
            settings={"tool": options["tool"], "rclone_config": RCLONE_CONF, **sides, **_how(options)},
            secrets=(remotes(),),
            scratch=(
                # What does not fit is refused by the program, before the kubelet would evict the Pod.
                Scratch(name="state", path=STATE, size=staging + GIB),
                Scratch(name="tmp", path=TMP, size=10 * GIB),
            ),
            uid=UID,
            time_limit_s=options["time_limit_min"] * 60 + 120,
            grace_s=30,
        )


def _how(options: Mapping[str, Any]) -> dict[str, Any]:
    """What is the same wherever it runs."""
    speed = options["bandwidth_mib"]
    return {
        "mode": options["mode"],
        "include": list(options["include"]),
        "exclude": list(options["exclude"]),
        "dry_run": options["dry_run"],
        "checksum": options["checksum"],
        "bandwidth": f"{speed}M" if speed else None,
        "max_delete": options["max_delete"],
        "time_limit_s": options["time_limit_min"] * 60,
        "staging_bytes": options["staging_gib"] * GIB,
    }


def _parts(text: str) -> tuple[str, str]:
    """Remote and folder of a place."""
    name, _, folder = text.partition(":")
    return name, clean_folder(folder)


def _resolved(tenant: Tenant, place: LocalPlace, text: str) -> str:
    """The program's own form of a place: a path below the shared folder, or rclone's remote path."""
    name, folder = _parts(text)
    if name == HERE:
        return str((place.shared_folder or place.folder) / folder)
    return remote_path(tenant, name, folder)
