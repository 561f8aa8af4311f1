"""What is to be said of a launch just now: it is ready, it is doomed and why, or it still waits and for what. Pure.

Sources: Kubernetes, "Pod Lifecycle", "Images", "Assigning Pods to Nodes", "Resource Quotas"; the kubelet's reasons for
a waiting container (pkg/kubelet/images, pkg/kubelet/container) and the scheduler's sentence (framework.FitError).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from spawners.kube.look import at, mapping, objects, pod_over

Object = Mapping[str, Any]

UNSCHEDULABLE_S = 10.0
"""How long a Pod may find no place: one that ends may still leave it. A site that adds nodes on demand needs more."""
_OOM = "it needed more memory than its size gives: choose a larger size"
_DEFINITE = re.compile(
    r"not found|manifest unknown|no match|unauthori[sz]ed|denied|forbidden|unsupported|invalid|does not exist"
    r"|authentication required|no basic auth",
    re.IGNORECASE,
)
"""In a registry's refusal: to ask again will not help. Everything else (a time-out, a broken line) is tried again by
the kubelet once, a few seconds later, before it says ImagePullBackOff."""

_PASSING = re.compile(
    r"failed to sync \S+ cache|context deadline exceeded|timed? ?out|object has been modified|too many requests"
    r"|is reserved for|connection refused|etcdserver:",
    re.IGNORECASE,
)
"""In what a kubelet or a controller says when it or the API server has too much to do; they try again by themselves."""


@dataclass(frozen=True)
class Verdict:
    """What a launch is told."""

    state: Literal["ready", "waiting", "doomed"]
    words: str
    """One line for the user; "" where it is ready."""


READY = Verdict("ready", "")


def waits(words: str) -> Verdict:
    """Still waiting."""
    return Verdict("waiting", words)


def doomed(words: str) -> Verdict:
    """To wait longer is of no use."""
    return Verdict("doomed", words)


def passing(message: str) -> Verdict | None:
    """That it waits, where *message* tells of nothing but a busy cluster."""
    return waits("the cluster is busy; it is tried again") if _PASSING.search(message) else None


def of_pod(
    pod: Object | None, now: datetime, events: Iterable[Object] = (), patience_s: float = UNSCHEDULABLE_S
) -> Verdict:
    """The verdict on one Pod; None: it is not there yet. *patience_s*: see UNSCHEDULABLE_S."""
    if pod is None:
        return waits("the cluster has not begun yet")
    for judge in (_deleted, _ended, _containers):
        if (found := judge(pod)) is not None:
            return found
    if (found := _place(pod, now, patience_s)) is not None:
        return found
    if _is(pod, "Ready") and at(pod, "status", "podIP"):
        return READY
    return _from_events(pod, events) or _going_on(pod)


def of_deployment(deployment: Object | None, pods: Sequence[Object], now: datetime, **more: Any) -> Verdict:
    """On a workload that is kept running: its own refusals first, then the newest of its Pods. *more*: see of_pod."""
    if deployment is None:
        return waits("the cluster has not begun yet")
    seen = at(deployment, "status", "observedGeneration") or 0
    if seen < (at(deployment, "metadata", "generation") or 0):
        return waits("the cluster has not begun yet")  # its status is still that of what was applied before
    for _, one in objects(deployment, "status", "conditions"):
        # The Deployment repeats what its ReplicaSet was told when it wanted to create a Pod.
        if one.get("type") == "ReplicaFailure" and one.get("status") == "True":
            message = str(one.get("message") or "")
            return passing(message) or doomed(refused(message))
    if not at(deployment, "status", "updatedReplicas"):
        return waits("waiting for the one before to end" if pods else "the cluster has not begun yet")
    if at(deployment, "status", "availableReplicas"):
        return READY
    living = [one for one in pods if not at(one, "metadata", "deletionTimestamp")]
    found = of_pod(living[-1] if living else None, now, **more)
    return found if found.state != "ready" else waits("waiting until it can be used")


def of_job(job: Object | None, pods: Sequence[Object], now: datetime, events: Iterable[Object] = ()) -> Verdict:
    """On a single run: it counts as started once its program runs, or has ended well."""
    if job is None:
        return waits("the cluster has not begun yet")
    for _, one in objects(job, "status", "conditions"):
        if one.get("status") == "True" and one.get("type") == "Complete":
            return READY
        if one.get("status") == "True" and one.get("type") == "Failed":
            return doomed(_last_words(pods) or _plain(str(one.get("message") or "it failed")))
    for one in events:
        message = str(one.get("message") or "")
        if one.get("reason") == "FailedCreate" and not pods and not passing(message):
            return doomed(refused(message))
    newest = pods[-1] if pods else None
    if newest is not None and at(newest, "status", "phase") in ("Running", "Succeeded"):
        return READY
    if newest is not None and at(newest, "status", "phase") == "Failed":
        return waits("it failed and is tried again")
    return of_pod(newest, now, events)


def refused(message: str) -> str:
    """The API server's refusal of an object, in words for people: quota, the cluster's rules, a name that is taken."""
    if quota := re.search(r"exceeded quota: \S+, requested: (\S+), used: (\S+), limited: (\S+)", message):
        wanted, used, limit = (part.rstrip(",") for part in quota.groups())
        return (
            f"the tenant's quota on the cluster is full: it needs {_amounts(wanted)}, {_amounts(used)} are in use,"
            f" {_amounts(limit)} are allowed; stop a workload or choose a smaller size"
        )
    if security := re.search(r'violates PodSecurity "[^"]*": (.*)', message):
        return f"the cluster's Pod Security rules refuse it: {security.group(1)}"
    if rule := re.search(r"ValidatingAdmissionPolicy '[^']*' with binding '[^']*' denied request: (.*)", message):
        return f"the cluster's rules refuse it: {rule.group(1)}"
    if hook := re.search(r'admission webhook "([^"]+)" denied the request: (.*)', message):
        return f"the cluster refuses it ({hook.group(1)}): {hook.group(2)}"
    if limit := re.search(r"is forbidden: \[?((?:maximum|minimum) .*?)\]?$", message):
        return f"the tenant's limits on the cluster refuse it: {limit.group(1)}"
    return f"the cluster refuses it: {_plain(message)}"


# -- a Pod, step by step; None: this says nothing ---------------------------------------------------------------------


def _deleted(pod: Object) -> Verdict | None:
    return doomed("somebody deleted it while it started") if at(pod, "metadata", "deletionTimestamp") else None


def _ended(pod: Object) -> Verdict | None:
    if not pod_over(pod):
        return None
    for _, one in objects(pod, "status", "containerStatuses"):
        if ended := at(one, "state", "terminated"):
            return doomed(ended_words(ended))
    reason = str(at(pod, "status", "reason") or "")
    message = _plain(str(at(pod, "status", "message") or ""))
    if reason == "Evicted":
        return doomed(f"its worker had to end it: {message}")
    if reason.startswith("OutOf"):
        return doomed(f"its worker had no {reason.removeprefix('OutOf')} left after all; try again")
    return doomed(f"it ended: {': '.join(part for part in (reason, message) if part) or 'it said nothing'}")


def ended_words(ended: Object) -> str:
    """How a container ended (its `terminated`), with its last line where the kubelet kept that."""
    if ended.get("reason") == "OOMKilled":
        return _OOM
    lines = [line.strip() for line in str(ended.get("message") or "").splitlines() if line.strip()]
    if ended.get("reason") in ("StartError", "ContainerCannotRun"):
        return _not_started(lines[-1] if lines else "the worker does not say why")
    code = ended.get("exitCode")
    how = f"it ended with exit code {code}" if code is not None else "it ended"
    return f"{how}: {lines[-1][-300:]}" if lines else f"{how} and said nothing"


def _containers(pod: Object) -> Verdict | None:
    lists = ("initContainerStatuses", "containerStatuses")
    for _, one in (row for name in lists for row in objects(pod, "status", name)):
        waiting = at(one, "state", "waiting")
        if waiting and (judge := _WAITING.get(str(waiting.get("reason")))):
            found = judge(one, str(waiting.get("message") or ""))
            if found is not None:
                return found
        if at(one, "lastState", "terminated", "reason") == "OOMKilled":
            return doomed(_OOM)
        # Between two starts, before the kubelet calls it a crash loop.
        if at(one, "state", "terminated", "exitCode") and one.get("restartCount"):
            return _crash({"lastState": one["state"]}, "")
    return None


def _bad_name(container: Object, message: str) -> Verdict:
    del message
    return doomed(f"{container.get('image')} is no name of an image: ask the operator to correct the profile")


def _pull(container: Object, message: str) -> Verdict | None:
    if _DEFINITE.search(message):
        return _pull_backoff(container, message)
    return waits(f"the image {container.get('image')} could not be loaded; trying again")


def _pull_backoff(container: Object, message: str) -> Verdict:
    image = str(container.get("image"))
    # 'Back-off pulling image "x": ErrImagePull: …': what the registry said is the end of it.
    said = message.rpartition("ErrImagePull: ")[2] if "ErrImagePull: " in message else message
    why = _registry_words(said)
    return doomed(f"the image {image} cannot be loaded: {why}")


def _registry_words(said: str) -> str:
    for pattern, words in (
        (r"not found|manifest unknown|does not exist", "the registry has no image of that name and tag"),
        (r"unauthori[sz]ed|denied|authentication required|no basic auth|forbidden", "the registry does not give it"),
        (r"no match for platform|no matching manifest", "it is not made for this sort of processor"),
        (r"no such host|server misbehaving|dial tcp: lookup", "the registry's name is not known"),
        (r"connection refused|timeout|timed out|no route to host|unreachable", "the registry does not answer"),
        (r"x509|certificate", "the worker does not trust the registry's certificate"),
    ):
        if re.search(pattern, said, re.IGNORECASE):
            return words
    return _plain(said) or "the registry does not say why"


def _config(container: Object, message: str) -> Verdict:
    del container
    if secret := re.search(r'secret "([^"]+)" not found', message):
        return doomed(f"its Secret {secret.group(1)} is not there")
    if key := re.search(r"couldn't find key (\S+) in Secret \S+?/(\S+)", message):
        return doomed(f"its Secret {key.group(2)} has no entry {key.group(1)}")
    if re.search("run as root|non-root|non-numeric user", message):
        return doomed("the image wants to run as root, which is not allowed here")
    return passing(message) or doomed(f"it cannot be set up: {_plain(message)}")


def _create(container: Object, message: str) -> Verdict:
    del container
    return passing(message) or doomed(_not_started(message))


def _not_started(message: str) -> str:
    if program := re.search(r'exec: "([^"]+)": .*(not found|no such file)', message):
        return f"the image has no program {program.group(1)}"
    return f"its program cannot be started: {_plain(message)}"


def _crash(container: Object, message: str) -> Verdict:
    ended = mapping(container, "lastState", "terminated")
    return doomed(f"{ended_words(ended) if ended else _plain(message)}; it was started again, and ended again")


_WAITING: dict[str, Callable[[Object, str], Verdict | None]] = {
    "InvalidImageName": _bad_name,
    "ErrImagePull": _pull,
    "ImagePullBackOff": _pull_backoff,
    "ErrImageNeverPull": lambda one, _: doomed(f"the image {one.get('image')} is not on its worker"),
    "ImageInspectError": _pull_backoff,
    "RegistryUnavailable": _pull_backoff,
    "CreateContainerConfigError": _config,
    "CreateContainerError": _create,
    "RunContainerError": _create,
    "CrashLoopBackOff": _crash,
}


def _place(pod: Object, now: datetime, patience_s: float) -> Verdict | None:
    condition = _condition(pod, "PodScheduled")
    if condition.get("status") != "False":
        return None
    words = no_place(str(condition.get("message") or ""))
    since = _time(condition.get("lastTransitionTime"))
    if since is not None and (now - since).total_seconds() >= patience_s:
        return doomed(f"there is no place for it: {words}")
    return waits(f"looking for a place: {words}")


def no_place(message: str) -> str:
    """The scheduler's sentence, e.g. "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) …", for people."""
    # The sentences that follow are about claims of devices and about pushing other Pods aside: ours do neither.
    text = message.partition(". ")[0]
    _, _, why = text.partition("available: ")
    found = [_node_words(part) for part in re.findall(r"(\d+ (?:.(?!, \d+ ))+.)", why)]
    return "; ".join(found) or _plain(text) or "the cluster does not say why"


def _node_words(part: str) -> str:
    number, _, what = part.strip(" .,").partition(" ")
    nodes = "1 node" if number == "1" else f"{number} nodes"
    have = "has" if number == "1" else "have"
    if lacking := re.match(r"Insufficient (\S+)", what):
        return f"{nodes} {have} too little {lacking.group(1)} left"
    if "Too many pods" in what:
        return f"{nodes} {have} as many Pods as {'it takes' if number == '1' else 'they take'}"
    if "affinity/selector" in what or "node selector" in what:
        return f"{nodes} {'is no worker' if number == '1' else 'are no workers'} of this tenant"
    if "taint" in what:
        taint = re.search(r"\{(.*?)\}", what)
        if taint and taint.group(1).startswith("node.kubernetes.io/"):
            trouble = taint.group(1).removeprefix("node.kubernetes.io/").partition(":")[0]
            return f"{nodes} cannot be used now ({trouble})"
        return f"{nodes} {'is kept' if number == '1' else 'are kept'} for others"
    if "unschedulable" in what:
        return f"{nodes} {have} been taken out of use by the operator"
    return f"{nodes}: {what}"


def _from_events(pod: Object, events: Iterable[Object]) -> Verdict | None:
    """What only events say: a volume that cannot be mounted, an image under way."""
    last: Verdict | None = None
    for one in events:
        reason, message = str(one.get("reason")), str(one.get("message") or "")
        if reason == "FailedMount" and (secret := re.search(r'secret "([^"]+)" not found', message)):
            return doomed(f"its Secret {secret.group(1)} is not there")
        if reason == "FailedMount":
            last = waits(f"waiting for a volume: {_plain(message)}")
        elif reason == "FailedCreatePodSandBox":
            last = waits(f"its worker cannot give it a network yet: {_plain(message)}")
        elif reason == "Pulling":
            last = waits(f"loading the image on {at(pod, 'spec', 'nodeName')}, which takes longest the first time")
        elif reason in ("Pulled", "Created", "Started"):
            last = None
    return last


def _going_on(pod: Object) -> Verdict:
    node = at(pod, "spec", "nodeName")
    if not node:
        return waits("looking for a place")
    if at(pod, "status", "phase") == "Running":
        return waits(f"started on {node}; waiting until it can be used")
    return waits(f"being set up on {node}")


def _last_words(pods: Sequence[Object]) -> str:
    for pod in reversed(pods):
        if found := _ended(pod):
            return found.words
    return ""


def _condition(found: Object, sort: str) -> Mapping[str, Any]:
    return next((one for _, one in objects(found, "status", "conditions") if one.get("type") == sort), {})


def _is(found: Object, sort: str) -> bool:
    return _condition(found, sort).get("status") == "True"


def _time(text: Any) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else None


def _amounts(text: str) -> str:
    """`limits.memory=8Gi,requests.cpu=2` -> "8Gi memory, 2 cpu"; what is asked for and its limit are told once."""
    pairs = dict.fromkeys(
        (value, name.removeprefix("requests.").removeprefix("limits."))
        for name, _, value in (part.partition("=") for part in text.split(","))
    )
    return ", ".join(f"{value} {name}" for value, name in pairs)


def _plain(text: str, limit: int = 300) -> str:
    """One line, no longer than people read."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
