"""What must outlive a workload's Pods: why a launch failed, why it was stopped, how its runs ended, the ends of logs,
the last uploads.

It is kept in one ConfigMap a workload, in the tenant's namespace, so that a hub which was restarted, was away for a day
or has lost its database finds it again, and it goes with the namespace. Annotations of the workload's own objects
would go with those (an interactive Pod, a stopped schedule); a Secret would be for the same readers; the hub's database
is what may be lost. Whoever may write it may read the logs in it anyway: a tenant's people may do both in their
namespace (config.emit.rbac). So nothing that is read back decides about access, quota or a launch: it is shown, and
only to people of the tenant in whose namespace it lies. Pure: what to keep and how it is trimmed; recorder.py does it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pydantic import ValidationError

from config.emit.common import Manifest, metadata
from config.models import Declared, Site
from config.names import Keys, keys, namespace
from spawners.kube import names
from spawners.kube.adopt import NotAdoptable, workload_of
from spawners.kube.uploads import KEPT as UPLOADS
from spawners.kube.uploads import Row, from_text, to_text, together
from spawners.runtime import RunSeen
from spawners.workload import Workload

RUNS = 30
"""Ended runs that are kept, newest first."""
LOG = 16 * 1024
"""Bytes of one log's end. The last lines say why it ended; whole logs are the site's own log store's."""
LOGS = 96 * 1024
"""Bytes of all logs of a workload: with 2,000 workloads that all fill it, 200 MB of etcd's usual 2 to 8 GiB. The newest
runs' logs come first, failed ones before those that ended well."""
_LEAST = 1024
"""Less of a log than this says nothing."""
KEPT = timedelta(days=30)
"""After that a workload that is not on the cluster is forgotten, as its Jobs are (manifests.KEPT_S)."""
MOST = 50
"""Ended workloads that are remembered in a tenant: its namespace may have 100 ConfigMaps (config.emit.quota)."""
WORDS = 1000
"""Characters of a reason."""
_ROWS, _UPLOADS, _LAST, _LOG = "runs.json", "uploads.jsonl", "log", "log."
Ending = Literal["stopped", "failed", "finished"]


class Past(Declared):
    """What is known of a workload that may be gone from the cluster."""

    workload: Workload
    state: Ending | None = None
    """How it ended; None while it goes on."""
    reason: str = ""
    in_line: bool = False
    """Whether its launch waits for its turn, so that nothing of it is on the cluster yet."""
    changed: datetime
    runs: tuple[RunSeen, ...] = ()
    """Ended ones, newest first."""
    logs: dict[str, str] = {}  # noqa: RUF012  (pydantic copies it)
    """Ends of logs by run id; "" is that of the workload itself."""
    uploads: tuple[Row, ...] = ()
    """Of a collector, newest first."""

    @property
    def noted(self) -> frozenset[str]:
        """Ids of the runs that are kept."""
        return frozenset(run.id for run in self.runs)


# -- what is kept -----------------------------------------------------------------------------------------------------


def ended(before: Past | None, workload: Workload, state: Ending, reason: str, log: str, now: datetime) -> Past:
    """A launch failed, or a workload was stopped or ended by itself. An empty *log* leaves the one that is there, as
    long as it is the same launch's."""
    past = _of(before, workload, now)
    logs = {**past.logs, **({"": log} if log else {})}
    if before is not None and before.workload.asked != workload.asked and not log:
        logs.pop("", None)
    update = {"state": state, "reason": _line(reason), "in_line": False, "changed": now, "logs": logs}
    return trimmed(past.model_copy(update=update))


def waits(before: Past | None, workload: Workload, now: datetime) -> Past:
    """Its launch waits in line."""
    return started(before, workload, now).model_copy(update={"in_line": True})


def is_in_line(past: Past) -> bool:
    """Whether the last that was heard of it is that it waits for its turn."""
    return past.in_line and past.state is None


def started(before: Past | None, workload: Workload, now: datetime) -> Past:
    """It was started (again): how the last launch ended is over, its runs stay."""
    past = _of(before, workload, now)
    return trimmed(past.model_copy(update={"state": None, "reason": "", "in_line": False, "changed": now}))


def ran(before: Past | None, workload: Workload, run: RunSeen, log: str, now: datetime) -> Past:
    """A run ended. Noted twice it is there once."""
    past = _of(before, workload, now)
    rows = sorted([run, *(one for one in past.runs if one.id != run.id)], key=lambda one: one.id, reverse=True)
    logs = {**past.logs, **({run.id: log} if log else {})}
    return trimmed(past.model_copy(update={"runs": tuple(rows), "changed": now, "logs": logs}))


def uploaded(before: Past | None, workload: Workload, rows: Sequence[Row]) -> Past | None:
    """A collector's Pod has ended, and these are its last uploads, newest first. How it ended is said elsewhere, so
    nothing else changes. Somebody may have taken it off the list meanwhile, or made something else of its name: then
    nothing is kept."""
    if before is None or (before.workload.id, before.workload.kind) != (workload.id, workload.kind):
        return before
    return before.model_copy(update={"uploads": tuple(together(rows, before.uploads, UPLOADS))})


def _of(before: Past | None, workload: Workload, now: datetime) -> Past:
    # Another workload of the same name (another kind, say) inherits nothing.
    if before is None or (before.workload.id, before.workload.kind) != (workload.id, workload.kind):
        return Past(workload=workload, changed=now)
    return before.model_copy(update={"workload": workload})


def trimmed(past: Past) -> Past:
    """Within the limits above; what it gives fits into a ConfigMap (1 MiB) by a wide margin."""
    rows = past.runs[:RUNS]
    failed = [one.id for one in rows if one.outcome != "ok"]
    well = [one.id for one in rows if one.outcome == "ok"]
    # Of those that went well, only the newest one is as telling as any that failed.
    wanted = ["", *well[:1], *failed, *well[1:]]
    logs: dict[str, str] = {}
    left = LOGS
    for name in wanted:
        if left < _LEAST:
            break
        text = log_end(past.logs.get(name, ""), min(LOG, left))
        if text:
            logs[name] = text
            left -= len(text.encode())
    return past.model_copy(update={"runs": rows, "logs": logs})


def log_end(text: str, limit: int) -> str:
    """At most *limit* bytes (UTF-8) of the end, from the beginning of a line where there is one.

    >>> log_end("first\\nsecond\\n", 8)
    'second\\n'
    """
    raw = text.encode("utf-8", "replace")
    if len(raw) <= limit:
        return raw.decode()
    if limit <= 0:
        return ""
    cut = raw[-limit - 1 :]  # one byte more tells whether it begins a line
    line = cut.find(b"\n")
    found = cut[line + 1 :] if 0 <= line < limit else cut[1:]
    return found.decode("utf-8", "ignore")


def surplus(every: Iterable[Past], now: datetime) -> list[Past]:
    """Those of a tenant's that need not be kept: outdated ones, and the oldest ended ones beyond MOST. What is on the
    cluster still is not to be forgotten whatever this says; that the caller sees."""
    newest = sorted((one for one in every if one.state is not None), key=lambda one: one.changed, reverse=True)
    too_many = {one.workload.id for one in newest[MOST:]}
    return [one for one in every if one.workload.id in too_many or now - one.changed > KEPT]


# -- to a ConfigMap and back ------------------------------------------------------------------------------------------


def object_name(workload: Workload) -> str:
    """The ConfigMap's name. No ConfigMap that a workload itself is made of has a dot."""
    return f"{names.object_name(workload)}.past"


def label(site_keys: Keys) -> str:
    """On each of them, value "past": they are listed by it."""
    return f"{site_keys.domain}/keeps"


def annotation(site_keys: Keys) -> str:
    """With state, reason and change, so that a list of pages needs the metadata alone, and never a log."""
    return f"{site_keys.domain}/past"


def config_map(past: Past, site: Site) -> Manifest:
    """The manifest. No owner reference: it has to outlive whatever could own it. *past* has to be trimmed."""
    own, workload = keys(site), past.workload
    about = past.model_dump_json(include={"state", "reason", "in_line", "changed"})
    data = {_ROWS: json.dumps([run.model_dump(mode="json") for run in past.runs], ensure_ascii=False)}
    data |= {(_LOG + name if name else _LAST): text for name, text in past.logs.items()}
    data |= {_UPLOADS: to_text(past.uploads)} if past.uploads else {}
    meta = metadata(
        site,
        object_name(workload),
        namespace=namespace(workload.tenant),
        labels={**names.labels(workload, site), label(own): "past"},
        annotations={**names.record(workload, site), annotation(own): about},
    )
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def past_of(found: Mapping[str, Any], site: Site) -> Past | None:
    """What a ConfigMap (or its metadata alone) says; None where it says nothing that could be ours.

    The workload is believed as little as any object's (adopt.workload_of): record, labels and namespace must agree.
    The rest is text for people, and rows that are none are left out.
    """
    try:
        workload = workload_of(found, site)
    except NotAdoptable:
        return None
    meta, data = found["metadata"], found.get("data")
    data = data if isinstance(data, Mapping) else {}
    if meta.get("name") != object_name(workload):
        return None
    about = _json((meta.get("annotations") or {}).get(annotation(keys(site))))
    try:
        past = Past.model_validate({**(about if isinstance(about, dict) else {}), "workload": workload})
    except ValidationError:
        past = Past(workload=workload, changed=workload.asked)
    if past.changed.tzinfo is None:
        past = past.model_copy(update={"changed": past.changed.replace(tzinfo=UTC)})
    logs = {name.removeprefix(_LOG): str(text) for name, text in data.items() if name.startswith(_LOG)}
    if _LAST in data:
        logs[""] = str(data[_LAST])
    rows = sorted(_rows(_json(data.get(_ROWS))), key=lambda one: one.id, reverse=True)
    update = {"runs": tuple(rows), "logs": logs, "uploads": from_text(str(data.get(_UPLOADS, "")))}
    return trimmed(past.model_copy(update={"reason": _line(past.reason), **update}))


def _rows(found: Any) -> Iterable[RunSeen]:
    for one in found if isinstance(found, list) else ():
        try:
            run = RunSeen.model_validate(one)
        except ValidationError:
            continue
        moments = (run.scheduled, run.started, run.ended)
        if all(moment is None or moment.tzinfo for moment in moments):  # others could not be compared with ours
            yield run


def _json(text: Any) -> Any:
    try:
        return json.loads(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= WORDS else f"{line[: WORDS - 1]}…"
