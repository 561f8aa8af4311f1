"""The plan itself: what would be made, changed, made anew, deleted, and what forbids it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from config.emit.common import Manifest
from config.names import Keys
from config.order import Key, kind_of
from config.plan import nodes
from config.plan.compare import differences, lookup, overlaid, path_text, visible
from config.plan.managed import holder, ours
from config.plan.match import Matched, Pair, is_ending, is_ours, is_replaced, match
from config.plan.model import Action, Change, Conflict, Field, Plan, Preview, Removal, change_of, title

GUARDS = frozenset(
    {
        "Namespace",
        "CiliumClusterwideNetworkPolicy",
        "NetworkPolicy",
        "ResourceQuota",
        "LimitRange",
        "ServiceAccount",
    }
)
"""What stays with a namespace that is kept: its walls and limits. Everything that opens a door goes."""


@dataclass(frozen=True)
class Options:
    """What the operator has said."""

    adopt: bool = False
    """Objects with our names that somebody else has made become ours."""
    keep_namespaces: bool = False
    """The namespace of a tenant that goes stays, with all that guards it."""


DEFAULT = Options()


def plan(
    desired: Sequence[Manifest],
    live: Sequence[Manifest],
    keys: Keys,
    previews: Mapping[Key, Preview] | None = None,
    options: Options = DEFAULT,
) -> Plan:
    """What to do so that the cluster is as *desired*. *live*: ours, and others' objects with a wanted name.

    *previews*: the API server's answers for `match.to_ask`; without them changes are shown as well as we know.
    """
    return decide(match(desired, live, keys), keys, previews or {}, options)


def decide(matched: Matched, keys: Keys, previews: Mapping[Key, Preview], options: Options) -> Plan:
    """The plan for what `match` has found."""
    problems: list[str] = []
    warnings: list[str] = []
    changes: list[Change] = []
    same = matched.unchanged
    for pair in matched.created:
        changes.append(_created(pair, keys, previews, problems))
    for pair in matched.differing:
        change = _differing(pair, keys, previews.get(pair.key), problems)
        if change is None:
            same += 1
        else:
            changes.append(change)
    if not options.adopt:
        problems += _foreign(matched.differing, keys)
    for pair in matched.nodes:
        if pair.live is None or is_ending(pair.live):
            warnings.append(f"{(pair.desired or pair.live or {})['metadata']['name']} is not in the cluster; skipped")
        elif (change := nodes.changed(pair, keys)) is not None:
            changes.append(change)
        else:
            same += 1
    removals = _removals(matched.gone, keys, options)
    kept = {removal.namespace: removal.tenant for removal in removals if removal.kept}
    changes += [_gone(one, keys, kept) for one in matched.gone]
    anew = _standing(changes, matched.standing, keys)
    changes, same = _dependent(changes) + anew, same - len(anew)
    changes.sort(key=lambda change: change.key)
    return Plan(tuple(changes), removals, tuple(problems), tuple(warnings), same)


def tenant_of(manifest: Manifest, keys: Keys) -> str:
    """The tenant whose label it carries; empty for none."""
    return str(manifest["metadata"].get("labels", {}).get(keys.tenant, ""))


def _created(pair: Pair, keys: Keys, previews: Mapping[Key, Preview], problems: list[str]) -> Change:
    desired = pair.desired or {}
    preview = previews.get(pair.key)
    note = "as soon as the one that is ending is gone" if pair.live else ""
    change = change_of("create", desired, pair.live, tenant_of(desired, keys), note=note)
    if preview is not None and preview.refused:
        problems.append(f"{change.title} is refused by the API server: {preview.refused}")
    return change


def _differing(pair: Pair, keys: Keys, preview: Preview | None, problems: list[str]) -> Change | None:
    desired, live = pair.desired or {}, pair.live or {}
    told = title(desired["kind"], pair.key[1], pair.key[2])
    if preview is not None and preview.refused:
        problems.append(f"{told} is refused by the API server: {preview.refused}")
    after = preview.manifest if preview is not None and preview.manifest else overlaid(desired, live)
    fields = tuple(
        Field(path_text(steps), old, new, holder(live, steps) if old is not None else "")
        for steps, old, new in differences(visible(live), visible(after))
    )
    replaced = is_replaced(pair)
    note = ""
    if not fields and not replaced:
        if preview is not None and preview.manifest and ours(preview.manifest) == ours(live):
            return None  # only written differently
        note = "every value is as declared; tenanthub becomes their manager"
    if preview is not None:
        conflicts = preview.conflicts
    else:
        held = (field for field in fields if field.by and field.new is not None)
        conflicts = tuple(Conflict(field.path, field.by.partition(",")[0]) for field in held)
    if replaced:
        some = (path for path in kind_of(desired).immutable if lookup(desired, path) != lookup(live, path))
        note, conflicts = f"made anew: {' and '.join(map(path_text, some))} cannot be changed", ()
    action: Action = "replace" if replaced else "change"
    tenant = tenant_of(desired, keys)
    return change_of(action, desired, live, tenant, fields=fields, conflicts=conflicts, note=note)


def _foreign(differing: Sequence[Pair], keys: Keys) -> list[str]:
    """Objects with our names that others have made; of a whole namespace only the namespace is named."""
    # Kubernetes itself makes a ServiceAccount `default` in every namespace.
    theirs = [
        pair
        for pair in differing
        if not is_ours(pair.live or {}, keys)
        and ((pair.desired or {})["kind"], pair.key[2]) != ("ServiceAccount", "default")
    ]
    spaces = {pair.key[2] for pair in theirs if (pair.desired or {})["kind"] == "Namespace"}
    return [
        f"{title((pair.desired or {})['kind'], *pair.key[1:])} exists, but was not made by tenanthub "
        f"(it has no label {keys.declared_by}); "
        "give it or the tenant another name, delete it, or take it over with --adopt"
        for pair in theirs
        if pair.key[1] not in spaces
    ]


def _removals(gone: Sequence[Manifest], keys: Keys, options: Options) -> tuple[Removal, ...]:
    spaces = (one for one in gone if one["kind"] == "Namespace" and not is_ending(one))
    found = ((tenant_of(one, keys), one["metadata"]["name"]) for one in spaces)
    return tuple(Removal(tenant or space, space, options.keep_namespaces) for tenant, space in sorted(found))


def _gone(one: Manifest, keys: Keys, kept: Mapping[str, str]) -> Change:
    tenant, metadata = tenant_of(one, keys), one["metadata"]
    space = metadata["name"] if one["kind"] == "Namespace" else metadata.get("namespace")
    stays = one["kind"] in GUARDS and (space in kept or (space is None and tenant and tenant in kept.values()))
    if stays and not is_ending(one):
        return change_of("keep", None, one, tenant, note="stays; tenanthub no longer looks after it")
    return change_of("delete", None, one, tenant, note="is ending already" if is_ending(one) else "")


def _dependent(changes: list[Change]) -> list[Change]:
    """A gateway that is made anew cannot go while a policy names it: such policies are made anew too."""
    remade = _remade(changes)
    return [
        replace(change, action="replace", note=_ANEW, conflicts=())
        if change.kind.kind == "EgressClusterPolicy" and change.action == "change" and _gateway(change.live) in remade
        else change
        for change in changes
    ]


def _standing(changes: list[Change], standing: Sequence[Pair], keys: Keys) -> list[Change]:
    """The same for policies that are as declared."""
    remade = _remade(changes)
    return [
        change_of("replace", pair.desired, pair.live, tenant_of(pair.desired or {}, keys), note=_ANEW)
        for pair in standing
        if _gateway(pair.live) in remade
    ]


_ANEW = "made anew, as its gateway is"


def _remade(changes: list[Change]) -> frozenset[str]:
    some = (change for change in changes if change.kind.kind == "EgressGateway" and change.action == "replace")
    return frozenset(change.name for change in some)


def _gateway(policy: Manifest | None) -> str:
    return str(((policy or {}).get("spec") or {}).get("egressGatewayName", ""))
