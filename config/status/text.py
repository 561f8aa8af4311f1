"""The report as text: one tenant's block, or a table of all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from config.status.block import block
from config.status.model import Addon, Level, Objects, Report, State, Tenant, Walls
from config.status.paint import WIDTH, Paint, cut, wrap
from config.terminal import count

_SHOWN = 40
"""Findings below the table, at most: the rest is in each tenant's own block."""
_COLUMNS = (("TENANT", 20), ("NAMESPACE", 11), ("OBJECTS", 9), ("WORKERS", 9), ("PODS", 5), ("ADDRESSES", 11))


def as_text(report: Report, paint: Paint, *, table: bool) -> str:
    """The report in at most 100 columns; *table*: one line a tenant instead of one block."""
    lines = [*_head(report, paint), ""]
    if table:
        lines += _table(report.tenants, paint)
        lines += _below(report.tenants, paint)
    else:
        for tenant in report.tenants:
            lines += block(tenant, paint)
    lines += [
        "",
        *_walls(report.walls, paint, short=table),
        *_addons(report.addons, paint),
        *_shared(report.shared, paint),
    ]
    for finding in report.findings:
        if finding.level is not Level.NOTE or finding.concern != "walls":  # unknown walls stand above already
            lines += paint.finding(finding.level, finding.text)
    return "\n".join([*lines, "", _verdict(report, paint)])


def _head(report: Report, paint: Paint) -> list[str]:
    where = f"{report.site}: {report.server}, Kubernetes {report.version}, {report.at}"
    return [paint.paint("head", cut(where, WIDTH))]


def _table(tenants: Iterable[Tenant], paint: Paint) -> Iterator[str]:
    yield "  ".join(f"{title:<{width}}" for title, width in _COLUMNS) + "  STATE"
    for tenant in tenants:
        cells = (tenant.name, tenant.phase, _objects(tenant), _workers(tenant), str(tenant.workers.pods), _held(tenant))
        row = "  ".join(f"{cut(cell, width):<{width}}" for cell, (_, width) in zip(cells, _COLUMNS, strict=True))
        yield f"{row}  {_state(tenant, paint)}"


def _objects(tenant: Tenant) -> str:
    return f"{tenant.objects.as_declared}/{tenant.objects.declared}"


def _workers(tenant: Tenant) -> str:
    if tenant.workers.anywhere:
        return "any"
    if any(node.exists is None for node in tenant.workers.nodes):
        return "unknown"
    good = sum(1 for node in tenant.workers.nodes if node.ready and node.labelled and node.tainted is not False)
    return f"{good}/{len(tenant.workers.nodes)}"


def _held(tenant: Tenant) -> str:
    pools = [network.loadbalancer for network in tenant.networks if network.loadbalancer]
    if not pools:
        return "-"
    total = sum(pool.total for pool in pools)
    return f"{sum(pool.used for pool in pools)}/{total if total < 10**6 else 'many'}"


def _state(tenant: Tenant, paint: Paint) -> str:
    levels = [finding.level for finding in tenant.findings]
    for level, word in ((Level.ALARM, "alarm"), (Level.WRONG, "wrong")):
        if number := levels.count(level):
            return f"{paint.level(level)} {paint.paint(level, f'{number} {word}')}"
    return f"{paint.mark(True)} as declared"


def _below(tenants: Iterable[Tenant], paint: Paint) -> Iterator[str]:
    rows = [
        (finding, tenant)
        for level in (Level.ALARM, Level.WRONG)
        for tenant in tenants
        for finding in tenant.findings
        if finding.level is level
    ]
    if rows:
        yield ""
    for finding, tenant in rows[:_SHOWN]:
        yield from paint.finding(finding.level, f"{tenant.name}: {finding.text}")
    if len(rows) > _SHOWN:
        yield f"  and {len(rows) - _SHOWN} more: tenanthub status DIR TENANT shows those of one tenant"


def _walls(walls: Walls, paint: Paint, *, short: bool) -> Iterator[str]:
    where = f"{count(len(walls.checks), 'dry run')} in {walls.namespace}" if walls.namespace else "not tried"
    word = {State.UP: "up", State.DOWN: paint.paint("alarm", "DOWN"), State.UNKNOWN: "unknown"}[walls.state]
    yield f"walls     {paint.state(walls.state)} {word} ({where})"
    for check in () if short and walls.state is State.UP else walls.checks:
        first, *rest = wrap(f"{check.name}: {check.text}", " " * 12)
        yield f"{' ' * 10}{paint.state(check.state)} {first.lstrip()}"
        yield from rest


def _addons(addons: Iterable[Addon], paint: Paint) -> Iterator[str]:
    named = [addon for addon in addons if addon.declared]
    told = [
        f"{paint.mark(addon.installed)} {addon.name}{'' if addon.installed else ' is not installed'}" for addon in named
    ]
    yield f"add-ons   {', '.join(told) if told else 'site.yaml names none'}"


def _shared(shared: Objects, paint: Paint) -> Iterator[str]:
    good = shared.as_declared == shared.declared and not shared.surplus
    whole = count(shared.declared, "object")
    yield f"for all   {paint.mark(good)} {shared.as_declared} of {whole} as declared (admission policies)"


def _verdict(report: Report, paint: Paint) -> str:
    every = [*report.findings, *(finding for tenant in report.tenants for finding in tenant.findings)]
    alarms = sum(1 for finding in every if finding.level is Level.ALARM)
    wrong = sum(1 for finding in every if finding.level is Level.WRONG)
    if alarms:
        more = f" and {count(wrong, 'thing')} not as declared" if wrong else ""
        return paint.paint("alarm", f"{count(alarms, 'ALARM')}: a wall between tenants does not hold{more}")
    if wrong:
        return paint.paint("wrong", f"{count(wrong, 'thing')} not as declared")
    return paint.paint("good", "all as declared")
