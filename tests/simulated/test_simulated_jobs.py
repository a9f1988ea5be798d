"""Jobs that judge, in a simulated cluster: a step waits for its Job, and goes by how that ends."""

from __future__ import annotations

from typing import Any

import pytest
from canarium.errors import ApiError
from canarium.sim.controllers.jobs import Course

from tests.simulated.play import ERROR_RATE, KEY, SMOKE, Play, serving

STEPS = ((20, "10s"), (50, "10s"))
JOBS = {"metrics": [SMOKE]}
BOTH = {"metrics": [ERROR_RATE, SMOKE], "minRequests": 20}


def made_for(play: Play) -> list[str]:
    """A record, filled from now on, of the Jobs that are made: the revision that each is of."""
    made: list[str] = []

    def note(change: Any) -> None:
        if change.kind == "Job" and change.type == "ADDED":
            made.append(change.body["metadata"]["labels"]["canarium.dev/revision"])

    play.observe(note)
    return made


def jobs(play: Play) -> list[str]:
    return [body["metadata"]["name"] for body in play.server.all_of("Job")]


def rows(play: Play, part: str = "canary") -> list[tuple[str, str, str]]:
    found = play.status(KEY).get(part, {}).get("analysis", [])
    return [(row["metric"], row["verdict"], row.get("reason", "")) for row in found]


@pytest.mark.parametrize("analysis", [JOBS, BOTH], ids=["alone", "beside counts"])
def test_a_version_whose_jobs_succeed_is_promoted_with_one_job_a_step(analysis: Any) -> None:
    with serving(analysis=analysis) as play:
        made = made_for(play)
        play.want("2")
        play.until("Idle", "2")
        play.rest()
        assert (made, jobs(play)) == ([play.revision("2")] * len(STEPS), [])


@pytest.mark.parametrize("analysis", [JOBS, BOTH], ids=["alone", "beside counts"])
def test_a_version_whose_job_fails_is_rolled_back_with_the_jobs_own_words(analysis: Any) -> None:
    with serving(analysis=analysis) as play:
        play.jobs.behave("2", Course("Failed"))
        made = made_for(play)
        play.want("2")
        play.until("Reverting")
        assert rows(play)[-1] == ("smoke", "Fail", "JobFailed")
        play.until("Rejected")
        play.rest()
        (name,) = jobs(play)
        (rejected,) = play.status(KEY)["rejected"]
        words = "BackoffLimitExceeded: Job has reached the specified backoff limit"
        assert rejected["message"] == f"smoke: Job {name}: {words}"
        assert (play.shares, play.reason, len(made)) == ({"1": 1.0}, "JobFailed", 1)


def test_the_failed_job_stays_for_its_logs_until_something_else_is_tried() -> None:
    with serving(analysis=JOBS) as play:
        play.jobs.behave("2", Course("Failed"))
        play.want("2")
        play.until("Rejected")
        play.run(300.0)
        (failed,) = jobs(play)
        play.want("3")
        play.until("Idle", "3")
        assert failed not in jobs(play)
        play.rest()


def test_a_step_lasts_until_its_job_has_finished() -> None:
    with serving(analysis=JOBS) as play:
        play.jobs.behave("2", Course(seconds=55.0))
        play.want("2")
        play.until_weight(20)
        play.until("Holding")
        play.run(50.0)
        assert (play.state(KEY), play.reason, play.condition("Judged")) == (
            "Holding", "JobRunning", ("True", "Inconclusive"),
        )  # fmt: skip
        assert rows(play) == [("smoke", "Inconclusive", "JobRunning")]
        play.run(15.0)
        assert play.status(KEY)["canary"]["weight"] == 50


def test_decide_early_a_step_ends_as_soon_as_its_job_has_succeeded() -> None:
    analysis = {**JOBS, "decide": "Early"}
    with serving(analysis=analysis, steps=((20, "10m"),)) as play:
        play.want("2")
        play.until("Holding")
        assert play.run_until(lambda: play.state(KEY) != "Holding") < 10.0


def test_a_job_that_takes_too_long_has_failed() -> None:
    with serving(analysis=JOBS) as play:
        play.jobs.behave("2", Course("Never"))
        play.want("2")
        play.until("Rejected", most_seconds=120.0)
        assert play.reason == "JobFailed"


def test_a_promotion_by_hand_takes_the_running_job_with_it() -> None:
    with serving(analysis=JOBS, steps=((20, "10m"),)) as play:
        play.jobs.behave("2", Course(seconds=55.0))
        play.want("2")
        play.run_until(lambda: bool(jobs(play)))
        play.ask("promote", "2")
        play.until("Idle", "2")
        play.rest()
        assert jobs(play) == []


def test_a_finished_job_that_somebody_tidies_away_is_not_run_again() -> None:
    with serving(analysis=JOBS, steps=((20, "1m"),)) as play:
        made = made_for(play)
        play.want("2")
        play.run_until(lambda: ("smoke", "Pass", "") in rows(play))
        play.server.delete("Job", ("risk", jobs(play)[0]), "ttl-after-finished-controller")
        play.until("Idle", "2")
        assert len(made) == 1


def test_an_operator_that_may_not_see_jobs_makes_none_and_promotes_nothing() -> None:
    with Play(analysis=JOBS) as play:
        play.server.absent.add("Job")
        play.restart_operator()
        play.want("1")
        play.until("Idle")
        play.want("2")
        play.until("Holding")
        play.run(60.0)
        assert (play.state(KEY), play.condition("Judged")) == ("Holding", ("False", "NoData"))
        assert rows(play) == [("smoke", "NoData", "JobsNotVisible")]
        play.server.absent.discard("Job")
        play.until("Idle", "2")


def test_a_job_that_a_quota_refuses_is_nobodys_fault_and_tried_again() -> None:
    refused = [True]

    def admit(kind: str, _body: Any) -> None:
        if kind == "Job" and refused:
            raise ApiError(403, "Forbidden", "jobs is forbidden: exceeded quota: few")

    with serving(analysis=JOBS) as play:
        play.server.admission.append(admit)
        play.want("2")
        play.until("Holding")
        play.run(30.0)
        assert (play.state(KEY), play.reason) == ("Holding", "QuotaExceeded")
        assert rows(play) == [("smoke", "NoData", "QuotaExceeded")]
        refused.clear()
        play.until("Idle", "2")


def test_killed_at_any_write_an_operator_makes_one_job_a_step() -> None:
    """But when it is killed between making one and noting its uid: that one is made anew."""
    writes, end, _ = play_through()
    again = []
    for number in range(1, writes + 1):
        for moment in ("before", "after"):
            _, found, made = play_through((number, moment))
            assert found == end, f"killed {moment} write {number}"
            if len(made) > len(STEPS):
                assert len(made) == len(STEPS) + 1
                again.append((number, moment))
    made_at = [number for number, moment in again if moment == "after"]
    noted_at = [number for number, moment in again if moment == "before"]
    assert len(made_at) == len(STEPS)
    assert noted_at == [number + 1 for number in made_at]


def play_through(crash: tuple[int, str] | None = None) -> tuple[int, dict[str, Any], list[str]]:
    """How many writes a rollout took, what was there at its end, and the Jobs that were made."""
    with serving(analysis=JOBS, replicas=1) as play:
        before, made = play.network.writes, made_for(play)
        if crash:
            play.crash_at(*crash)
        play.want("2")
        play.until("Idle", "2")
        play.run(30.0)
        return play.network.writes - before, play.end(), made
