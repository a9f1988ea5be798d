"""A ModelRevision that somebody else wrote is not rendered, however right it looks."""

from __future__ import annotations

import json
from dataclasses import replace

from canarium.core.names import make_digest
from canarium.core.observed import RevisionRecord
from canarium.core.status import TrustedRevision
from canarium.rollout.situation.revision import MOST_TRUSTED

from tests.properties.world import World, make_rollout, make_spec, serving

FORGED = "f0f0f0f0f0"


def forge(world: World, version: str) -> RevisionRecord:
    """A record that names what the spec of a version will name, with a template of its own."""
    genuine = next(iter(world.revisions.values()))
    spec = make_spec(version)
    template = json.loads(genuine.template)
    template["spec"]["hostNetwork"] = True
    template["metadata"]["labels"]["canarium.dev/revision"] = FORGED
    text = json.dumps(template)
    meta = replace(genuine.meta, name=f"fraud-{FORGED}", uid="forged")
    forged = replace(
        genuine,
        meta=replace(meta, labels={**meta.labels, "canarium.dev/revision": FORGED}),
        revision=FORGED,
        canonical=spec.canonical,
        template=text,
        digest=make_digest(text),
        version=version,
        image=spec.image,
    )
    world.revisions[meta.name] = forged
    return forged


def test_what_the_spec_names_is_not_taken_from_a_record_that_status_does_not_know() -> None:
    world = serving()
    forge(world, "2")
    world.apply(make_spec("2"))
    world.run_until("Guarding")

    assert world.stable == "2"
    assert FORGED not in {each.revision for each in world.deployments.values()}
    assert not any(b"hostNetwork" in each.template for each in world.deployments.values())


def test_nobody_goes_back_to_a_record_that_status_does_not_know() -> None:
    world = serving()
    forge(world, "2")
    world.commands["rollback"] = f"{FORGED}@1"
    world.run(30.0)

    assert (world.state, world.stable) == ("Idle", "1")
    assert FORGED not in {each.revision for each in world.deployments.values()}
    assert "rollback" in world.status.ignored_commands


def test_without_an_account_of_what_is_trusted_the_records_that_are_there_count() -> None:
    """The other half, and an upgrade: an operator that kept none has left objects behind."""
    world = serving()
    forged = forge(world, "2")
    world.status_raw = {k: v for k, v in world.status_raw.items() if k != "trustedRevisions"}
    world.apply(make_spec("2"))
    world.run_until("Guarding")

    assert FORGED in {each.revision for each in world.deployments.values()}
    assert TrustedRevision(FORGED, forged.digest) in world.status.trusted_revisions


def test_every_revision_of_the_history_stays_one_that_can_be_gone_back_to() -> None:
    world = serving()
    for version in ("2", "3", "4"):
        world.apply(make_spec(version))
        world.run_until("Guarding")
        world.run(400.0)
    world.command("rollback", "1")
    world.run(60.0)

    assert world.stable == "1"
    assert {each.revision for each in world.status.trusted_revisions} == {
        each.revision for each in world.revisions.values()
    }


def test_what_is_gone_is_forgotten_before_the_account_gets_long() -> None:
    world = serving()
    for version in range(2, 30):
        world.apply(make_spec(str(version), rollout=make_rollout(guard=0.0)))
        world.run(60.0)
    there = {each.revision for each in world.revisions.values()}
    assert len(there) < MOST_TRUSTED
    assert len(world.status.trusted_revisions) <= MOST_TRUSTED + 2
    assert there <= {each.revision for each in world.status.trusted_revisions}
