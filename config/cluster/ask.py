"""Server-side dry runs: what an object would become by the API server, who holds which field, what is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from config.cluster.client import ApiError, Cluster
from config.order import Key, kind_of
from config.plan.match import Pair
from config.plan.model import Conflict, Preview

AT_ONCE = 8

Progress = Callable[[int, int], None]
"""Called with how many are done, of how many."""


def ask(cluster: Cluster, pairs: Sequence[Pair], progress: Progress = lambda _done, _all: None) -> dict[Key, Preview]:
    """A Preview for each of *pairs*. ClusterError where the cluster is not reached."""
    if not pairs:
        return {}
    found: dict[Key, Preview] = {}
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="ask") as pool:
        try:
            for pair, preview in zip(pairs, pool.map(lambda one: _preview(cluster, one), pairs), strict=True):
                found[pair.key] = preview
                progress(len(found), len(pairs))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return found


def _preview(cluster: Cluster, pair: Pair) -> Preview:
    desired = pair.desired or {}
    path = kind_of(desired).path(desired["metadata"]["name"], desired["metadata"].get("namespace"))
    held: tuple[Conflict, ...] = ()
    try:
        try:
            return Preview(cluster.apply(path, desired, dry_run=True))
        except ApiError as error:
            held = conflicts(error)
            if not held:
                raise
            return Preview(cluster.apply(path, desired, dry_run=True, force=True), held)
    except ApiError as error:
        return Preview(None, held, error.message)


def conflicts(error: ApiError) -> tuple[Conflict, ...]:
    """The fields that other managers hold, where that is why server-side apply was refused; else none."""
    if error.status != 409:
        return ()
    return tuple(
        Conflict(cause.get("field", "").removeprefix("."), _manager(cause.get("message", "")))
        for cause in error.causes
        if cause.get("reason") == "FieldManagerConflict"
    )


def _manager(message: str) -> str:
    """The API server says: conflict with "kubectl-edit" using v1."""
    return message.split('"')[1] if message.count('"') >= 2 else message
