"""`python -m tests.bench.planparts DIR`: the parts of `tenanthub plan DIR` one after the other, timed, as JSON.

A process of its own, so that each time begins as the command does: nothing imported, nothing remembered. The command
itself reads the cluster while it compiles; here one waits for the other, so the sum is more than the command takes.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path


def main(folder: Path) -> dict[str, float]:
    """Seconds by part. CannotRun's text on stderr and exit code 1 where it is no plan without changes."""
    marks = [time.perf_counter()]

    def mark() -> None:
        marks.append(time.perf_counter())

    from config.cluster import dialogue, planning  # noqa: F401  # what the command imports too
    from config.cluster.client import Cluster
    from config.cluster.observe import Observation
    from config.compile import compile_world
    from config.plan.decide import DEFAULT, decide
    from config.plan.match import match
    from hub.cli import _kind_check

    mark()
    with planning.without_collector():
        wanted = planning.declared(folder, _kind_check)
        mark()
        desired = compile_world(wanted.world)
        mark()
        with Observation(Cluster.connect(), wanted.keys) as observation:
            observed = observation.finish(desired)
        mark()
        plan = decide(match(desired, observed.live, wanted.keys), wanted.keys, {}, DEFAULT)
        mark()
    if plan.changes or plan.problems:
        raise SystemExit("the plan was to be empty")
    names = ("imports", "load", "compile", "live", "decide")
    return {name: after - before for name, before, after in zip(names, marks, marks[1:], strict=False)}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
