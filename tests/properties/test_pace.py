"""Random edits of a spec: no minute sees too many new revisions, and the last edit is tried."""

from __future__ import annotations

import pytest
from canarium.rollout.situation.pace import MOST_BEGUN, PACE_SECONDS
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.properties.world import World, make_rollout, make_spec, serving

pytestmark = pytest.mark.timeout(900)

EDITS = st.lists(
    st.tuples(
        st.integers(2, 40) | st.integers(2, 5),  # ever new ones, or the same few
        st.sampled_from([0.5, 1.0, 2.0, 2.0, 4.0]),
        st.sampled_from([None, None, None, 0, 1, 2]),
    ),
    min_size=20,
    max_size=40,
)
"The version, for how many seconds, and after how many writes the operator is killed."


@settings(max_examples=8)
@given(edits=EDITS, history=st.sampled_from([0, 1, 3, 10]))
def test_however_a_spec_is_edited_no_minute_sees_more_new_revisions_and_the_last_is_tried(
    edits: list[tuple[int, float, int | None]], history: int
) -> None:
    world = serving()
    created: dict[str, float] = {}
    for version, seconds, writes in edits:
        edit(world, version, history, writes)
        world.run(seconds, tick=seconds)
        found = (record.meta for record in world.revisions.values())
        created |= {meta.uid: meta.created_at for meta in found}
    times = sorted(created.values())
    gaps = [late - early for early, late in zip(times, times[MOST_BEGUN:], strict=False)]
    assert min(gaps, default=PACE_SECONDS) >= PACE_SECONDS
    world.run(PACE_SECONDS + 10.0, tick=2.0)
    assert world.canary == str(edits[-1][0])


def edit(world: World, version: int, history: int, writes: int | None) -> None:
    """Edit the spec, and kill the operator after so many writes of the next pass."""
    terms = make_rollout(20, hold=600.0, history=history)
    world.apply(make_spec(str(version), rollout=terms))
    if writes is not None:
        world.crash_after = writes
        world.step()
        world.crash_after = None
