"""Which children count: those that the object owns, and of Deployments and Jobs what we made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from canarium.core.made import is_made
from canarium.core.observed import DeploymentRecord, JobRecord, Meta, Observed

OWNED = ("revisions", "deployments", "services", "routes", "jobs", "budgets")
"The children that are told apart by their owner; autoscalers are looked at whoever made them."


def keep_own(observed: Observed) -> Observed:
    """Without what somebody else owns; jobs and budgets that cannot be seen stay None."""
    uid = observed.model.meta.uid
    kept: dict[str, Any] = {}
    for name in OWNED:
        records = getattr(observed, name) or ()
        if not all(_is_owned(uid, record.meta) for record in records):
            kept[name] = tuple(record for record in records if _is_owned(uid, record.meta))
    return replace(observed, **kept) if kept else observed


def leave_out_strays(
    owned: Observed, made: Mapping[str, str]
) -> tuple[Observed, tuple[DeploymentRecord | JobRecord, ...]]:
    """Without the Deployments and Jobs that we have not made; and these."""
    every: tuple[DeploymentRecord | JobRecord, ...] = (*owned.deployments, *(owned.jobs or ()))
    strays = tuple(record for record in every if not is_made(made, record))
    if not strays:
        return owned, ()
    ours = replace(
        owned,
        deployments=tuple(each for each in owned.deployments if is_made(made, each)),
        jobs=None if owned.jobs is None else tuple(j for j in owned.jobs if is_made(made, j)),
    )
    return ours, strays


def _is_owned(uid: str, meta: Meta) -> bool:
    return meta.owner is not None and meta.owner.uid == uid
