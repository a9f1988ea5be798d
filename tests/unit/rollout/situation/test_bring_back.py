"""Times of a rollout that make no sense, as a jump of a clock or an outage leaves them."""

from canarium.core.status import Rollout, format_time, parse_time
from canarium.rollout.situation.clock import bring_back

TAKEN_OVER = 1_796_065_392.248_73
"A moment as a clock has it, finer than the milliseconds that status keeps."


def test_what_was_brought_back_is_where_it_should_be_once_it_was_stored() -> None:
    before = Rollout("Holding", progress_at=TAKEN_OVER - 90.0, verified_at=TAKEN_OVER - 90.0)
    after = bring_back(before, TAKEN_OVER + 0.1, TAKEN_OVER, settle=2.5)
    assert after.progress_at is not None
    assert after.verified_at is not None
    stored = Rollout(
        "Holding",
        progress_at=parse_time(format_time(after.progress_at)),
        verified_at=parse_time(format_time(after.verified_at)),
    )
    assert stored != before
    assert bring_back(stored, TAKEN_OVER + 0.4, TAKEN_OVER, settle=2.5) == stored
