"""Back from an object on the cluster to its workload, for a hub whose database is lost. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from config.models import Site
from config.names import keys, namespace
from spawners.kube import names
from spawners.workload import Workload


class NotAdoptable(Exception):
    """The object carries our labels, but not a workload that can be believed; the text says why, for its page."""


def workload_of(manifest: Mapping[str, Any], site: Site) -> Workload:
    """The workload that *manifest* (live, or of manifests()) says it is. NotAdoptable.

    Members of a tenant can write such objects with kubectl. What they claim is believed only where it says the same
    thrice: in the record, in the labels and in the namespace, which only the hub can label and only the tenant can
    write into. So nobody can pass for another tenant; between people of one tenant there is no wall to hold.
    """
    metadata = manifest.get("metadata") or {}
    where = f"{manifest.get('kind')} {metadata.get('name')}"
    text = (metadata.get("annotations") or {}).get(names.annotation_workload(keys(site)))
    if not text:
        raise NotAdoptable(f"{where} has no record of its workload")
    try:
        workload = Workload.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise NotAdoptable(f"{where}: its record cannot be read: {first['msg']}") from None
    if metadata.get("namespace") != namespace(workload.tenant):
        raise NotAdoptable(f"{where} lies in namespace {metadata.get('namespace')}, its record says {workload.tenant}")
    have = metadata.get("labels") or {}
    for key, value in names.labels(workload, site).items():
        if have.get(key) != value:
            raise NotAdoptable(f"{where}: label {key} says {have.get(key)!r}, its record {value!r}")
    return workload
