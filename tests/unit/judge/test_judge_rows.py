"""What people read of a verdict."""

from canarium.judge import rows, start

from tests.unit.judge.judging import (
    answers,
    error_rate,
    lasting,
    latency_p99,
    observe_all,
    reading,
)


def test_a_row_about_errors_says_counts_rates_bound_evidence_and_interval() -> None:
    metrics = [error_rate(max=0.05, max_increase=0.005)]
    analysis = observe_all(
        start(metrics),
        [reading(answers(160, 1), answers(40, 12))],
    )
    absolute, compared = rows(analysis)
    assert absolute.message == (
        "canary: 12 of 40 failed (30%); allowed: 5%; its rate is 11.3% to 54.9%;"
        " evidence against it 43.9, fails at 200"
    )
    assert compared.message == (
        "canary: 12 of 40 failed (30%); stable: 1 of 160 failed (0.625%);"
        " allowed: 0.5 points more; difference 4.5 points to 56.6 points;"
        " evidence against it 54, fails at 200"
    )
    assert (compared.stable_bad, compared.stable_total) == (1, 160)
    assert (compared.canary_bad, compared.canary_total, compared.bound) == (12, 40, 0.005)


def test_a_row_about_latency_says_what_is_slow_and_what_ratio_was_really_tested() -> None:
    slow = reading(lasting((160, 0.021)), lasting((40, 0.102)))
    (row,) = rows(observe_all(start([latency_p99(max_ratio=1.2)]), [slow, slow]))
    assert row.message.startswith(
        "canary: 40 of 40 took over 50 ms (100%); stable: 0 of 160 took over 25 ms (0%);"
        " allowed: no larger a share (ratio tested 2); difference "
    )


def test_a_row_about_a_ratio_of_errors_says_the_ratio() -> None:
    (row,) = rows(
        observe_all(start([error_rate(max_ratio=1.5)]), [reading(answers(50), answers(50))])
    )
    assert "; allowed: 1.5 times stable's; difference " in row.message


def test_messages_stay_short() -> None:
    metrics = [error_rate(max=0.05, max_increase=0.005), latency_p99(max=0.25, max_ratio=1.2)]
    many = reading(lasting((10**7, 0.3)), lasting((10**7, 0.3)))
    assert all(len(row.message) < 250 for row in rows(observe_all(start(metrics), [many] * 3)))
