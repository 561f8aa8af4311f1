"""Names of a workload's objects, and the labels and annotations by which a hub finds them again."""

from __future__ import annotations

from config.models import Site, Tenant
from config.names import Keys, keys, slug
from spawners.workload import Workload

MAX_OBJECT_NAME = 52
"""The CronJob controller appends up to 11 characters to make a Job's name of at most 63 (Kubernetes, "CronJob")."""
_OWNER = 20


def object_name(workload: Workload) -> str:
    """Name of all objects of *workload* in its tenant's namespace; an RFC 1035 label of at most 52 characters.

    `<name>` for what the tenant owns, `<name>--<owner>` for a person's. No name holds "--" (JupyterHub 6 server names)
    and `slug` gives two accounts never the same text, so the first "--" tells the two parts apart and no two workloads
    of a tenant share a name. As Service names want it, the first character is a letter: a server's name begins so.
    """
    name = workload.name if workload.tenant_owned else f"{workload.name}--{slug(workload.owner, _OWNER)}"
    if not workload.name or len(name) > MAX_OBJECT_NAME:  # cannot be by resolve; a record made by hand could
        raise ValueError(f"{workload.id} gives no name of at most {MAX_OBJECT_NAME} characters")
    return name


def run_name(workload: Workload) -> str:
    """Name of the Job of one launch: the same launch gives the same name, so that asked for twice it runs once."""
    return f"{object_name(workload)}-{int(workload.asked.timestamp()):08x}"


def manual_name(workload: Workload, moment_s: float) -> str:
    """Name of a Job that people start outside of the schedule; *moment_s* is Unix time in seconds."""
    return f"{object_name(workload)}-m{int(moment_s):08x}"


def annotation_workload(names: Keys) -> str:
    """Annotation with the whole Workload as JSON: a hub with an empty database adopts by it. No secrets in it."""
    return f"{names.domain}/workload-record"


def annotation_owner(names: Keys) -> str:
    """Annotation with the exact account; the label of the same name holds only a slug of it."""
    return f"{names.domain}/owner-account"


def annotation_settings(names: Keys) -> str:
    """Annotation on Pods with the program's settings; the kubelet makes a file of it (downward API)."""
    return f"{names.domain}/settings"


def selector(workload: Workload, site: Site) -> dict[str, str]:
    """The labels that pick the Pods of *workload*, and no other's, within its namespace."""
    names = keys(site)
    return {names.owner: slug(workload.owner), names.workload: workload.name}


def labels(workload: Workload, site: Site) -> dict[str, str]:
    """The labels on every object of *workload*."""
    names = keys(site)
    return {
        names.tenant: workload.tenant,
        **selector(workload, site),
        names.kind: workload.kind,
        names.profile: workload.profile,
    }


def pod_labels(workload: Workload, tenant: Tenant, site: Site) -> dict[str, str]:
    """The labels on its Pods: those, and the network whose egress address they leave from, where it has any.

    Kyoto paper, table 2; config.emit.admission refuses the label for a network without egress addresses.
    """
    network = tenant.network(workload.network) if workload.network else None
    egress = {keys(site).egress_policy: network.name} if network and network.egress else {}
    return {**labels(workload, site), **egress}


def record(workload: Workload, site: Site) -> dict[str, str]:
    """The annotations of its top object (Deployment, CronJob, Job, or an interactive Pod)."""
    names = keys(site)
    return {annotation_owner(names): workload.owner, annotation_workload(names): workload.model_dump_json()}
