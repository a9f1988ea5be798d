"""DORA's figures of one rollout, out of what its ModelRevision records."""

from typing import Any

import pytest
from canarium.core.observed import Meta, RevisionRecord
from canarium.telemetry.dora import WINDOW_SECONDS, Deployment, find_deployment

CREATED = 1_700_000_000.0
STABLE = CREATED + 900
NOW = CREATED + 3600


def record(outcome: str, **fields: Any) -> RevisionRecord:
    meta = Meta("risk", "fraud-7b9d6f5c88", "uid", "1", created_at=CREATED)
    given = {"started_at": CREATED, "ended_at": STABLE, **fields}
    return RevisionRecord(meta, "7b9d6f5c88", "", "", "", outcome=outcome, **given)


@pytest.mark.parametrize("outcome", ["Stable", "Superseded"])
def test_what_became_stable_is_a_deployment_led_from_its_first_sight(outcome: str) -> None:
    found = find_deployment(record(outcome, stable_at=STABLE), NOW)

    assert found == Deployment(STABLE, "Stable", lead_seconds=900.0, since="revision")


def test_a_commit_time_is_where_lead_time_begins() -> None:
    committed = record("Stable", stable_at=STABLE, committed_at=CREATED - 7200)

    found = find_deployment(committed, NOW)

    assert found == Deployment(STABLE, "Stable", lead_seconds=8100.0, since="commit")


def test_a_commit_that_would_be_later_than_its_delivery_is_not_believed() -> None:
    found = find_deployment(record("Stable", stable_at=STABLE, committed_at=STABLE + 1), NOW)

    assert found == Deployment(STABLE, "Stable", lead_seconds=900.0, since="revision")


def test_a_revision_that_was_tried_again_has_no_lead_time() -> None:
    found = find_deployment(record("Stable", stable_at=STABLE, started_at=CREATED + 60), NOW)

    assert found == Deployment(STABLE, "Stable", lead_seconds=None)


def test_what_was_rolled_back_failed_and_was_restored_when_its_rollout_ended() -> None:
    found = find_deployment(record("RolledBack", reason="ErrorRateTooHigh"), NOW)

    assert found == Deployment(STABLE, "RolledBack", "ErrorRateTooHigh", restore_seconds=900.0)


def test_what_a_person_left_after_it_was_stable_failed_from_nobody_knows_when() -> None:
    left = record("RolledBack", reason="Overridden", stable_at=STABLE, ended_at=STABLE + 600)

    assert find_deployment(left, NOW) == Deployment(STABLE + 600, "RolledBack", "Overridden")


@pytest.mark.parametrize("outcome", ["", "Canceled"])
def test_what_did_not_come_to_an_end_is_no_deployment(outcome: str) -> None:
    assert find_deployment(record(outcome), NOW) is None


def test_what_ended_more_than_thirty_days_ago_is_no_longer_counted() -> None:
    old = record("Stable", stable_at=STABLE)

    assert find_deployment(old, STABLE + WINDOW_SECONDS - 1) is not None
    assert find_deployment(old, STABLE + WINDOW_SECONDS) is None
