"""The commands that change a cluster, or say what would change: tenanthub plan and apply.

Exit codes of plan: 0 nothing to do, 2 changes, 1 something is wrong. Of apply: 0 the cluster is as declared, 1 not.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

from config.declared import declared
from config.errors import WorldError
from config.load import ExtraCheck
from config.terminal import command, output_format, warn, which_cluster, world_folder

_PLAN = """\
exit codes: 0 nothing to do, 2 there are changes, 1 something is wrong

examples:
  tenanthub plan /etc/tenanthub                   what would be created, changed field by field, deleted
  tenanthub plan . --tenant physics               only what belongs to one tenant
  tenanthub plan . -o json | jq '.changes[].name' the same for programs
"""
_APPLY = """\
exit codes: 0 the cluster is as declared, 1 it is not

examples:
  tenanthub apply /etc/tenanthub                        show the plan, ask, do it
  tenanthub apply . --yes                               do it without asking; never removes a tenant
  tenanthub apply . --yes --remove-tenant physics       and remove this one, with all that runs in it
  tenanthub apply . --keep-namespaces                   tenants that go leave their namespace behind, closed
  tenanthub apply . --force-conflicts                   take back the fields that others have changed
"""


def add_commands(subparsers: Any, extra_check: ExtraCheck | None = None) -> None:
    """Register plan and apply; each sets `run`, a callable from the Namespace to the exit code."""
    parser = _command(subparsers, "plan", "say what apply would change in the cluster", _PLAN)
    output_format(parser)
    parser.add_argument(
        "--tenant", action="append", default=[], metavar="NAME", help="show only what belongs to this tenant"
    )
    parser.set_defaults(run=lambda arguments: _plan(arguments, extra_check))
    parser = _command(subparsers, "apply", "change the cluster to what the world declares", _APPLY)
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument(
        "--remove-tenant",
        action="append",
        default=[],
        metavar="NAME",
        help="this tenant may be removed, with all that runs in it; once for each",
    )
    parser.add_argument("--force-conflicts", action="store_true", help="take over fields that others have changed")
    parser.add_argument(
        "--timeout", type=float, default=300, metavar="SECONDS", help="for what has to end first; default: 300"
    )
    parser.set_defaults(run=lambda arguments: _apply(arguments, extra_check))


def _command(subparsers: Any, name: str, summary: str, examples: str) -> argparse.ArgumentParser:
    parser = command(subparsers, name, summary, examples)
    world_folder(parser)
    which_cluster(parser)
    parser.add_argument(
        "--adopt", action="store_true", help="take over objects with our names that somebody else has made"
    )
    parser.add_argument(
        "--keep-namespaces",
        action="store_true",
        help="a tenant that goes leaves its namespace with quota and walls behind; what opens doors goes",
    )
    return parser


def _plan(arguments: argparse.Namespace, extra_check: ExtraCheck | None) -> int:
    # Here, because every command of tenanthub imports this file, and the Kubernetes client takes a while.
    from config.cluster import dialogue, planning
    from config.cluster.client import Cluster, ClusterError
    from config.plan.decide import Options
    from config.plan.model import Plan
    from config.plan.text import plan_data

    as_json = arguments.output == "json"
    options = Options(arguments.adopt, arguments.keep_namespaces)
    try:
        with planning.without_collector():
            wanted = declared(arguments.directory, extra_check)
            cluster = Cluster.connect(arguments.kubeconfig, arguments.context)
            plan = planning.make_plan(cluster, wanted, options, dialogue.counter("asking the API server"))
            plan = planning.only(plan, tuple(arguments.tenant))
            lost = dialogue.losses(cluster, plan)
    except (WorldError, ClusterError) as error:
        lines = [*map(str, error.problems)] if isinstance(error, WorldError) else [str(error)]
        if as_json:
            print(json.dumps(plan_data(Plan(problems=tuple(lines))), indent=2, ensure_ascii=False))
        else:
            dialogue.complain(lines)
        return 1
    warn(wanted.doubts)
    if as_json:
        data = plan_data(plan) | {"removals": [loss.data() for loss in lost]}
        print(json.dumps(data, indent=2, ensure_ascii=False))
    else:
        dialogue.show(plan, lost)
    if plan.problems:
        return 1
    return 2 if plan.changes else 0


def _apply(arguments: argparse.Namespace, extra_check: ExtraCheck | None) -> int:
    from config.cluster import dialogue, planning, turn
    from config.cluster.apply import ApplyError
    from config.cluster.client import ClusterError
    from config.plan.decide import Options

    consent = dialogue.Consent(arguments.yes, frozenset(arguments.remove_tenant), arguments.force_conflicts)
    try:
        with planning.without_collector():
            wanted = declared(arguments.directory, extra_check)
            warn(wanted.doubts)
            return turn.apply(
                wanted,
                kubeconfig=arguments.kubeconfig,
                context=arguments.context,
                options=Options(arguments.adopt, arguments.keep_namespaces),
                consent=consent,
                timeout=arguments.timeout,
            )
    except WorldError as error:
        dialogue.complain([*map(str, error.problems), "nothing was applied"])
    except ClusterError as error:
        dialogue.complain([str(error)])
    except ApplyError as error:
        dialogue.complain([*error.lines, "stopped here; put it right and run the same command again"])
    except KeyboardInterrupt:
        dialogue.complain(["interrupted; the same command goes on from here"])
        # Requests under way are done or not: either is fine. Threads are not waited for.
        sys.stdout.flush()
        os._exit(130)
    return 1
