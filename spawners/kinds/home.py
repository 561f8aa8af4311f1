"""Where the home of a notebook or VS Code is kept: its options, the choices of a form, and what it changes in a plan.

Four places: a remote of the tenant (images.lib.home restores and saves it), a storage class of the site (a volume a
home), this machine's own disk, or none. Which of them there are depends on where it runs: one machine keeps homes
anyway, a Pod's folder ends with the Pod.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from config.models import Site, StorageClass, Tenant, format_memory
from config.names import slug
from spawners.kinds.base import Options
from spawners.kinds.remotes import remote_path
from spawners.kube import plan as kube
from spawners.plan import LocalPlace, LocalPlan
from spawners.refusal import Refusal, Violation
from spawners.workload import Workload

AUTO, MACHINE, REMOTE, CLASS, NONE = "auto", "machine", "remote", "class", "none"
FOLDER = "homes"
"""Folder in a remote's bucket that all kept homes are below."""
_HOME = re.compile(rf"{AUTO}|{MACHINE}|{NONE}|({REMOTE}|{CLASS})(:[a-z0-9][a-z0-9.-]{{0,199}})?")
_ACCOUNT = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,99}")
_NAME = r"[a-z]([a-z0-9]|-(?!-)){0,28}"
_PROGRAM_S = 10
"""What the server itself gets (seconds) to end, before the last save."""
_LAST_SAVE_S = {MACHINE: 30, "cluster": 590}
"""Seconds for the last save. A Pod's folder is gone afterwards, so a store that is away is waited for; in the usual
case it takes a second or two, whatever the limit. On one machine the folder stays, and the next start saves it."""
_RESTORE_S = {MACHINE: 60, "cluster": 150}
"""Seconds for restoring, within what a start may take; what is larger goes on coming in while the server runs."""


def _known_place(value: str) -> str:
    if not _HOME.fullmatch(value):
        raise ValueError("must be auto, machine, none, remote:NAME or class:NAME")
    return value


def _home_name(value: str) -> str:
    if not re.fullmatch(_NAME, value) or value.endswith("-"):
        raise ValueError(
            "must be lower-case letters, digits and single hyphens, e.g. thesis; at most 29, a letter first"
        )
    return value


class HomeOptions(Options):
    """The options of a kind whose home can be kept."""

    home: Annotated[str, AfterValidator(_known_place)] = Field(
        default=AUTO, title="Home folder", json_schema_extra={"source": "homes", "widget": "select"}
    )
    """Where your files are when the server is stopped."""
    home_name: Annotated[str, AfterValidator(_home_name)] | None = Field(
        default=None, title="Name of the home", json_schema_extra={"group": "More", "placeholder": "thesis"}
    )
    """Servers of yours with the same name here have the same files. Empty: this server's own home."""


@dataclass(frozen=True)
class KeptHome:
    """The place of one home."""

    sort: str
    """MACHINE, REMOTE, CLASS or NONE."""
    name: str = ""
    """Of the remote or storage class."""


@dataclass(frozen=True)
class Choices:
    """What a form offers."""

    every: tuple[tuple[str, str], ...]
    """(value, text); the first is what "auto" means here."""
    warning: str = ""
    """Where nothing is kept whatever one chooses."""

    @property
    def default(self) -> str:
        """What "auto" means."""
        return self.every[0][0]


def choices(tenant: Tenant, site: Site, *, on_cluster: bool) -> Choices:
    """The places of a home here, the usual one first. Pure."""
    remotes = [
        (
            f"{REMOTE}:{one.name}",
            f"Kept in {one.title or one.name} (bucket {one.bucket}): brought at the start, saved every few minutes",
        )
        for one in tenant.remotes
        if not (on_cluster and one.type == "builtin")
    ]
    if not on_cluster:
        return Choices(((MACHINE, "Kept on this machine, the same for all your servers"), *remotes))
    classes = [
        (f"{CLASS}:{one.name}", f"Kept on a volume ({one.title or one.name}, {format_memory(one.home_size)})")
        for one in site.cluster.storage_classes
    ]
    none = (NONE, "Not kept: what is in it is lost when the server ends")
    warning = "" if classes or remotes else "Nothing here can keep it: save your work elsewhere before the server ends."
    return Choices((*classes, *remotes, none), warning)


def meant(value: str, tenant: Tenant, site: Site, *, on_cluster: bool) -> str:
    """*value* in full: "auto" and places without a name mean the first that there is. Pure."""
    offered = choices(tenant, site, on_cluster=on_cluster)
    if value == AUTO:
        return offered.default
    if value in (REMOTE, CLASS):
        return next((one for one, _ in offered.every if one.startswith(f"{value}:")), value)
    return value


def violations(options: Mapping[str, Any], tenant: Tenant, site: Site) -> list[Violation]:
    """A remote or storage class that is not there. Whether this machine keeps homes, only the place knows."""
    sort, _, name = options["home"].partition(":")
    if sort == REMOTE and (tenant.remote(name) is None if name else not tenant.remotes):
        have = ", ".join(remote.name for remote in tenant.remotes) or "none: its file declares no remotes"
        return [Violation("home", f"{tenant.name} has no remote{f' {name!r}' if name else ''}; it has {have}")]
    found = [one.name for one in site.cluster.storage_classes]
    if sort == CLASS and (name not in found if name else not found):
        have = ", ".join(found) or "none: site.yaml declares no cluster.storage_classes"
        return [
            Violation("home", f"there is no storage class{f' {name!r}' if name else ''} for homes; there is {have}")
        ]
    return []


def _place(workload: Workload, tenant: Tenant, site: Site, *, on_cluster: bool) -> KeptHome:
    """The workload's. Refusal (reason place) for one that is not to be had here."""
    options = {"home": AUTO, **workload.options}
    wrong = violations(options, tenant, site)  # what is taken back was decided on another world
    if wrong:
        raise Refusal("place", wrong)
    sort, _, name = meant(options["home"], tenant, site, on_cluster=on_cluster).partition(":")
    if on_cluster and sort == MACHINE:
        why = "a Pod has no machine of its own to keep a home on: choose another place, or none"
        raise Refusal.of("place", why, "home")
    if sort == CLASS and not on_cluster:
        raise Refusal.of("place", "storage classes are a cluster's; here the machine keeps homes", "home")
    remote = tenant.remote(name) if sort == REMOTE else None
    if on_cluster and remote is not None and remote.type == "builtin":
        raise Refusal.of("place", f"the remote {name} is one machine's own object store; a cluster has none", "home")
    if sort == NONE and not on_cluster:
        sort = MACHINE  # it is there all the same, and nobody is worse off for it
    return KeptHome(sort, name)


def home_name(workload: Workload) -> str:
    """The name of the workload's home: as asked for, or its own."""
    return str(workload.options.get("home_name") or workload.name)


def owners_folder(workload: Workload) -> str:
    """The owner's folder among kept homes. Two accounts never have the same, and no account's name leaves it."""
    owner = workload.owner
    return owner if _ACCOUNT.fullmatch(owner) and ".." not in owner else slug(owner)


def where(workload: Workload, tenant: Tenant, remote: str) -> str:
    """rclone's path of the workload's home, e.g. data:physics-data/homes/jane/lab."""
    return remote_path(tenant, remote, f"{FOLDER}/{owners_folder(workload)}/{home_name(workload)}")


def local_home(workload: Workload, tenant: Tenant, site: Site, place: LocalPlace) -> Path:
    """The folder of the workload's home on this machine. One that a remote keeps is apart from the owner's usual one,
    or all of that would be saved; it stays when the server is stopped."""
    if _place(workload, tenant, site, on_cluster=False).sort != REMOTE:
        return place.home
    # No account's name begins with a dot.
    return place.home.parent / ".kept" / place.home.name / home_name(workload)


def keep_local(plan: LocalPlan, workload: Workload, tenant: Tenant, site: Site, place: LocalPlace) -> LocalPlan:
    """*plan*, with images.lib.home around its program where a remote keeps the home."""
    kept = _place(workload, tenant, site, on_cluster=False)
    if kept.sort != REMOTE:
        return plan
    settings = {
        "home": str(local_home(workload, tenant, site, place)),
        "state_folder": str(place.folder),
        "rclone": str(place.tools.rclone),
        "rclone_config": str(place.rclone_config),
        "remote": where(workload, tenant, kept.name),
        "command": list(plan.argv),
        "settings": plan.settings,
        "stop_program_s": _PROGRAM_S,
        "last_save_s": _LAST_SAVE_S[MACHINE],
        "restore_s": _RESTORE_S[MACHINE],
        "lasting": True,
    }
    return plan.model_copy(
        update={
            "argv": (str(place.tools.python), "-P", "-m", "images.lib.home", "{settings}"),
            "settings": settings,
            "grace_s": _PROGRAM_S + _LAST_SAVE_S[MACHINE] + 5,
        }
    )


def keep_kube(plan: kube.KubePlan, workload: Workload, tenant: Tenant, site: Site) -> kube.KubePlan:
    """*plan*, with its home where the workload keeps it. Refusal (reason place) where that is not to be had."""
    kept = _place(workload, tenant, site, on_cluster=True)
    if kept.sort == CLASS:
        return _on_volume(plan, workload, next(one for one in site.cluster.storage_classes if one.name == kept.name))
    if kept.sort != REMOTE:
        return plan
    settings = {
        "home": plan.home,
        "state_folder": kube.STATE,
        "rclone": "rclone",
        "rclone_config": kube.RCLONE_CONF,
        "remote": where(workload, tenant, kept.name),
        "command": list(plan.argv),
        "settings": plan.settings,
        "stop_program_s": _PROGRAM_S,
        "last_save_s": _LAST_SAVE_S["cluster"],
        "restore_s": _RESTORE_S["cluster"],
    }
    return plan.model_copy(
        update={
            "argv": ("python", "-P", "-m", "images.lib.home", "{settings}"),
            "settings": settings,
            "secrets": (*plan.secrets, kube.remotes()),
            "grace_s": _PROGRAM_S + _LAST_SAVE_S["cluster"],
        }
    )


def _on_volume(plan: kube.KubePlan, workload: Workload, storage: StorageClass) -> kube.KubePlan:
    claim = kube.Claim(
        volume="home",
        # Not the workload's name: two servers with one home have one claim. A hyphen more than a workload's objects.
        name=f"home-{home_name(workload)}--{slug(workload.owner, 20)}",
        path=plan.home,
        storage_class=storage.name,
        size=storage.home_size,
    )
    scratch = tuple(one for one in plan.scratch if one.path != plan.home)
    return plan.model_copy(update={"scratch": scratch, "claims": (claim,)})
