"""Runs of a schedule or of a single launch, as its Jobs and their Pods tell of them. Pure.

One row is one Job: the Pods of its tries are one run, the last of them says how it ended. What a program has to say is
the termination message that images.lib.run leaves (JSON, at most 4096 bytes); without one, the kubelet's words count.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from images.lib.run import run_id_of_job
from spawners.kube import doom, live
from spawners.kube.look import at, objects, pod_over
from spawners.kube.manifests import MANUAL
from spawners.kube.plan import KubePlan
from spawners.plan import Schedule
from spawners.runtime import RunSeen
from spawners.schedule import LATE, MISSED_ROWS, ScheduleError, next_runs

Object = Mapping[str, Any]
SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"
"""Annotation on a CronJob's Jobs: the time of the schedule, RFC 3339 (Kubernetes, "CronJob", Job creation)."""
STOPPED = "it was stopped"
_OUTCOMES = frozenset({"ok", "failed", "stopped"})
_MESSAGE = 1000
"""Characters of a program's message that are shown and kept."""
_COUNTS = 40
_MISSED_LOOKED_AT = 500
"""Times of a schedule that are compared at most: a run each minute, and a page that asks every few seconds."""
_KEPT_OF_A_SORT: int = KubePlan.model_fields["keep_runs"].default


@dataclass(frozen=True)
class Result:
    """What the program itself said of its run."""

    outcome: str
    message: str
    counts: dict[str, Any]


def run_id(job: Object) -> str:
    """The time that the Job's name tells, in UTC, and the end of the name: unique, in order, and the same from its
    beginning on. The run's folder in object storage is called so, too: the program goes by the same name.

    A Job of another name (made with kubectl) tells when it was made instead; its folder differs in the time.
    """
    meta = job["metadata"]
    if (told := run_id_of_job(str(meta["name"]))) is not None:
        return told
    made = _time(meta["creationTimestamp"]) or datetime.min.replace(tzinfo=UTC)
    return f"{made.astimezone(UTC):%Y%m%dT%H%M%SZ}-{str(meta['name']).rpartition('-')[2]}"


def pods_of(job: Object, pods: Iterable[Object]) -> list[Object]:
    """The Pods of a Job's tries among *pods*, in their order."""
    uid = job["metadata"]["uid"]
    return [one for one in pods if any(ref.get("uid") == uid for _, ref in objects(one, "metadata", "ownerReferences"))]


def terminated(pod: Object | None) -> Mapping[str, Any]:
    """How the Pod's container ended; empty while it has not."""
    for _, one in objects(pod, "status", "containerStatuses"):
        if isinstance(found := at(one, "state", "terminated"), Mapping):
            return found
    return {}


def result_of(pod: Object | None) -> Result | None:
    """The program's own result; None where it left none. Whoever may run a command in the Pod may have written it."""
    try:
        said = json.loads(str(terminated(pod).get("message") or ""))
    except ValueError:
        return None
    if not isinstance(said, dict) or said.get("outcome") not in _OUTCOMES:
        return None
    counts = said.get("counts")
    plain = {
        str(name)[:60]: value
        for name, value in (counts.items() if isinstance(counts, dict) else ())
        if isinstance(value, int | float | str | bool) and len(str(value)) <= 200
    }
    return Result(said["outcome"], _line(str(said.get("message") or "")), dict(list(plain.items())[:_COUNTS]))


def run_of(job: Object, pods: Sequence[Object]) -> RunSeen:
    """One Job with the Pods of its tries (oldest first), as a page shows it."""
    last = pods[-1] if pods else None
    outcome, message, counts = _ending(job, last)
    scheduled = _time(at(job, "metadata", "annotations", SCHEDULED))
    started = _time(at(job, "status", "startTime"))
    return RunSeen(
        id=run_id(job),
        scheduled=scheduled,
        trigger=_trigger(job, scheduled),
        started=started,
        ended=None if outcome == "running" else _ended(job, last),
        outcome=outcome,
        message=message,
        counts=counts,
    )


def _ending(job: Object, last: Object | None) -> tuple[str, str, dict[str, Any]]:
    """Outcome, message and counts."""
    said = result_of(last)
    own = (said.message, said.counts) if said else ("", {})
    failed = _condition(job, "Failed")
    if failed.get("reason") == "DeadlineExceeded":
        return "time-limit", own[0] or "it took longer than it may", own[1]
    if live.job_over(job):
        if said and (said.outcome != "ok" or not failed):
            return said.outcome, *own
        return ("failed", _why(failed, last), own[1]) if failed else ("ok", *own)
    if at(job, "spec", "suspend"):
        # A stopped run is a suspended Job: its Pod is ended, and by the time it is gone its words may be so too.
        return "stopped", own[0] or STOPPED, own[1]
    return "running", "", {}


def _why(failed: Mapping[str, Any], last: Object | None) -> str:
    if last is not None and pod_over(last):
        return _line(doom.of_pod(last, datetime.min.replace(tzinfo=UTC)).words)
    return _line(str(failed.get("message") or "it failed, and its Pod is gone"))


def _ended(job: Object, last: Object | None) -> datetime | None:
    failed = _condition(job, "Failed").get("lastTransitionTime")
    suspended = _condition(job, "Suspended").get("lastTransitionTime")
    finished = terminated(last).get("finishedAt")
    return _time(at(job, "status", "completionTime") or finished or failed or suspended)


def _trigger(job: Object, scheduled: datetime | None) -> str:
    if at(job, "metadata", "annotations", MANUAL) or scheduled is None:
        return "manual"
    made = _time(job["metadata"]["creationTimestamp"])
    return "catch-up" if made is not None and made - scheduled > LATE else "schedule"


# -- what did not run -------------------------------------------------------------------------------------------------


def missed(schedule: Schedule, since: datetime, runs: Sequence[RunSeen], now: datetime) -> list[RunSeen]:
    """Times of the schedule at which no run began, newest first, as far as they can be told.

    *since*: when the schedule was launched. Ended runs are kept in a limited number of each sort, so nothing is said
    of the time before the oldest one of a sort that may have lost some. A time that came while a run went on was
    skipped, the others were missed (the controller was away; the hub's being away costs no run).
    """
    begin = max([since, *_complete_since(runs)])
    try:
        times = next_runs(schedule.cron, schedule.timezone, begin, _MISSED_LOOKED_AT)
    except ScheduleError:
        return []
    ran = {run.scheduled for run in runs}
    gone = [one for one in times if one < now - LATE and one not in ran]
    rows = [_not_run(one, runs) for one in gone]
    if len(rows) > MISSED_ROWS:
        words = f"{len(rows)} times of the schedule, {gone[0]:%Y-%m-%d %H:%M} to {gone[-1]:%Y-%m-%d %H:%M} UTC"
        return [rows[-1].model_copy(update={"outcome": "missed", "message": f"{words}: nothing ran"})]
    return rows[::-1]


def _complete_since(runs: Sequence[RunSeen]) -> list[datetime]:
    found = []
    for sort in ({"ok"}, {"failed", "stopped", "time-limit"}):
        begun = [run.started for run in runs if run.outcome in sort and run.started]
        if len(begun) >= _KEPT_OF_A_SORT:
            found.append(min(begun))
    return found


def _not_run(moment: datetime, runs: Iterable[RunSeen]) -> RunSeen:
    busy = any(run.started and run.started < moment and (run.ended is None or moment < run.ended) for run in runs)
    return RunSeen(
        id=f"{moment:%Y%m%dT%H%M%SZ}",
        scheduled=moment,
        trigger="schedule",
        outcome="skipped" if busy else "missed",
        message="the run before was still going on" if busy else "nothing ran at this time",
        counts={},
    )


def together(now_there: Iterable[RunSeen], kept: Iterable[RunSeen], limit: int) -> list[RunSeen]:
    """Rows of the cluster and rows that were kept, newest first; the cluster knows better what it still has."""
    rows = {run.id: run for run in kept} | {run.id: run for run in now_there}
    return sorted(rows.values(), key=lambda run: run.id, reverse=True)[:limit]


def over(jobs: Iterable[Object], known: Collection[str]) -> list[Object]:
    """The Jobs that have ended and are not among the run ids *known*."""
    ended = [one for one in jobs if live.job_over(one) or at(one, "spec", "suspend")]
    return [one for one in ended if run_id(one) not in known]


def _condition(job: Object, sort: str) -> Mapping[str, Any]:
    every = [one for _, one in objects(job, "status", "conditions")]
    return next((one for one in every if one.get("type") == sort and one.get("status") == "True"), {})


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MESSAGE else f"{line[: _MESSAGE - 1]}…"


def _time(text: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return found.astimezone(UTC) if found is not None and found.tzinfo else None
