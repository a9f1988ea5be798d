import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import pytest
from canarium import judge
from canarium.core.metrics import MetricQuery
from canarium.core.observed import AnalysisResult, Meta, PodRecord
from canarium.core.plan import GatewayEndpoint, Measure
from canarium.core.spec import MetricsEndpoint, PrometheusQuery
from canarium.judge import Counts, Metric, Reading, Sample
from canarium.metrics.counters import Counters
from canarium.metrics.sessions.readers import MetricAnswers
from canarium.metrics.sessions.session import Scrapers, Session, SessionDeps
from canarium.metrics.sources.gateway import Backend
from canarium.metrics.sources.pods import Measurement, Missing, PodTarget
from canarium.outbound.auth import Credentials
from canarium.outbound.errors import SourceError
from canarium.outbound.reach import NotReachedError
from canarium.sim.loop import VirtualLoop

STABLE, CANARY = "5d8f7c9b64", "7b9d6f5c88"
SCORE = MetricQuery(
    Metric("score", "Gauge", min=0.9, source="metric:score"), PrometheusQuery(query="score"), 10.0
)
CLICKS = MetricQuery(
    Metric("clicks", "Ratio", higher_is_better=True, source="metric:clicks"),
    PrometheusQuery(good="clicks", total="shown"),
    10.0,
)
STEP = Measure("step-1", (), 0, 1.0, 0.0, CANARY, STABLE)

Answering = Callable[[], MetricAnswers]


@dataclass
class Asked:
    """Answers as a function says, and counts how often it was asked."""

    answer: Answering
    times: int = 0

    async def ask(self) -> MetricAnswers:
        self.times += 1
        return self.answer()


@dataclass
class Gateway:
    """A gateway that counted so much for each revision, again and again."""

    canary: Sample
    asked: list[tuple[Backend | None, Backend]] = field(default_factory=list)

    async def measure(self, stable: Backend | None, canary: Backend) -> Measurement:
        self.asked.append((stable, canary))
        return Measurement(Reading(2.0, Sample(80, 0), self.canary))


@dataclass
class Unreached(Gateway):
    """A gateway that is not read."""

    error: Exception = field(kw_only=True)

    async def measure(self, stable: Backend | None, canary: Backend) -> Measurement:
        raise self.error


@dataclass
class Pods:
    """What the pods are asked with."""

    asked: list[PodTarget] = field(default_factory=list)

    def resume(self, kept: Mapping[str, Counters]) -> None:
        raise AssertionError("a session has its meter already")

    async def measure(
        self, stable: Sequence[PodTarget], canary: Sequence[PodTarget]
    ) -> Measurement:
        self.asked += [*stable, *canary]
        return Measurement(Reading(1.0, None, None))


@dataclass
class Lacking(Pods):
    """Pods whose metrics lack what a profile names."""

    missing: tuple[Missing, ...] = ()

    async def measure(
        self, stable: Sequence[PodTarget], canary: Sequence[PodTarget]
    ) -> Measurement:
        self.asked += [*stable, *canary]
        unknown = Sample(None, None)
        return Measurement(Reading(1.0, unknown, unknown), missing=self.missing)


@dataclass
class Stage:
    """A session in virtual time; what it published, and what it noted of its queries' readings."""

    measure: Measure
    answers: dict[str, Answering] = field(default_factory=dict)
    gateway: Gateway | None = None
    experiment: judge.Experiment | None = None
    results: list[AnalysisResult] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict)
    meter: Pods = field(default_factory=Pods)
    pods: tuple[PodRecord, ...] = ()
    notes: list[str] = field(default_factory=list)
    asked: dict[str, Asked] = field(default_factory=dict)

    def play(self, seconds: float, *, then: Callable[[Session], None] | None = None) -> None:
        async def run() -> None:
            session = self.make_session()
            task = asyncio.create_task(session.run())
            await asyncio.sleep(seconds)
            if then is not None:
                then(session)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(run())

    def make_session(self) -> Session:
        metric_queries = tuple(metric_query.metric for metric_query in self.measure.metric_queries)
        deps = SessionDeps(
            key=("risk", "fraud"),
            find_pods=lambda: self.pods,
            make_reader=self._make_asker,
            make_gateway_meter=lambda _gateway: self.gateway,  # type: ignore[arg-type,return-value]
            authorize=self._authorize,
            publish=self.results.append,
            record_reading=lambda _metric_query, problem: self.notes.append(problem),
            now=asyncio.get_running_loop().time,
        )
        analysis = judge.start((*self.measure.metrics, *metric_queries))
        return Session(self.measure, deps, Scrapers(self.meter), analysis, self.experiment)

    async def _authorize(self, secret: str) -> Credentials:
        if secret not in self.secrets:
            raise SourceError(f"there is no Secret {secret}")
        return Credentials(self.secrets[secret])

    def _make_asker(self, _measure: Measure, metric_query: MetricQuery) -> Asked:
        name = metric_query.metric.name
        self.asked[name] = Asked(self.answers[name])
        return self.asked[name]


def broken() -> MetricAnswers:
    raise SourceError("no answer within 5 s")


def test_each_feed_is_asked_at_its_own_pace() -> None:
    stage = Stage(
        replace(STEP, metric_queries=(SCORE, replace(CLICKS, interval_seconds=60.0))),
        {"score": lambda: MetricAnswers(1.0, 1.0), "clicks": lambda: MetricAnswers(None, None)},
    )
    stage.play(125.0)
    assert {name: asked.times for name, asked in stage.asked.items()} == {"score": 13, "clicks": 3}


def test_a_gauge_below_its_bound_fails_at_once() -> None:
    stage = Stage(
        replace(STEP, metric_queries=(SCORE,)), {"score": lambda: MetricAnswers(1.0, 0.5)}
    )
    stage.play(1.0)
    (result,) = stage.results
    assert (result.verdict, result.reason) == ("Fail", "BelowMin")
    assert (result.rows[0]["value"], result.rows[0]["source"]) == ("0.5", "Prometheus")


def test_a_reading_that_fails_is_told_and_neither_passes_nor_fails() -> None:
    stage = Stage(replace(STEP, metric_queries=(SCORE,)), {"score": broken})
    stage.play(55.0)
    assert stage.notes == ["no answer within 5 s"] * 6
    assert {result.problems for result in stage.results} == {("score: no answer within 5 s",)}
    assert stage.results[0].verdict == "NoData"
    assert (stage.results[-1].verdict, stage.results[-1].reason) == ("Inconclusive", "MetricError")


def refused() -> MetricAnswers:
    raise NotReachedError("addresses.allow lacks quality.example.com:80")


def test_what_is_not_asked_is_told_from_what_fails() -> None:
    """Only of what was asked does having no data say anything: not before, and not if refused."""
    answers: list[Answering] = [refused, broken, refused, lambda: MetricAnswers(1.0, 1.0)]
    late = replace(CLICKS, interval_seconds=1000.0)
    asked = asyncio.Event()

    def answer_late() -> MetricAnswers:
        assert asked.is_set(), "the other one published first"
        return MetricAnswers(None, None)

    def answer() -> MetricAnswers:
        asked.set()
        return answers.pop(0)()

    stage = Stage(
        replace(STEP, metric_queries=(SCORE, late)), {"score": answer, "clicks": answer_late}
    )
    stage.play(35.0)
    first, second, *others = stage.results
    assert (first.withheld, second.withheld) == (True, True)
    assert [result.withheld for result in others] == [False, True, False]


def test_a_gateway_that_is_not_asked_is_told_from_one_that_fails() -> None:
    metric = Metric("error-rate", "ErrorRate", max=0.05, source="Gateway")
    measure = replace(
        STEP, metrics=(metric,), gateway=GatewayEndpoint("Traefik", "http://gateway:9100/metrics")
    )
    for error, withheld in ((NotReachedError("no"), True), (SourceError("no"), False)):
        stage = Stage(measure, gateway=Unreached(Sample(1, 0), error=error))
        stage.play(5.0)
        assert {result.withheld for result in stage.results} == {withheld}


def test_a_source_that_recovers_has_no_problem_any_more() -> None:
    answers: list[Answering] = [broken, lambda: MetricAnswers(1.0, 1.0)]
    stage = Stage(replace(STEP, metric_queries=(SCORE,)), {"score": lambda: answers.pop(0)()})  # noqa: PLW0108 - another one each time
    stage.play(15.0)
    assert [(result.problems, result.verdict) for result in stage.results] == [
        (("score: no answer within 5 s",), "NoData"),
        ((), "Pass"),
    ]


@pytest.mark.parametrize(
    ("canary", "outcome"),
    [(Counts(800, 1000), "CanaryBetter"), (Counts(950, 1000), "CanaryWorse")],
)
def test_an_experiment_is_decided_by_the_good_events_of_both(canary: Counts, outcome: str) -> None:
    stage = Stage(
        replace(STEP, metric_queries=(CLICKS,), experiment="clicks"),
        {"clicks": lambda: MetricAnswers(Counts(900, 1000), canary)},
        experiment=judge.start_experiment(higher_is_better=True),
    )
    stage.play(60.0)
    last = stage.results[-1]
    assert (last.experiment, last.verdict) == (outcome, "Pass")
    (row,) = last.rows
    assert (row["metric"], row["check"], row["reason"]) == ("clicks", "experiment", outcome)
    assert (row["canaryBad"], row["stableBad"]) == (
        (1000 - canary.bad) * row["canaryTotal"] // 1000,
        100 * row["stableTotal"] // 1000,
    )
    assert "experiment" in json.loads(last.state)


def test_an_experiment_learns_nothing_from_one_side_alone() -> None:
    stage = Stage(
        replace(STEP, metric_queries=(CLICKS,), experiment="clicks"),
        {"clicks": lambda: MetricAnswers(None, Counts(100, 1000))},
        experiment=judge.start_experiment(higher_is_better=True),
    )
    stage.play(600.0)
    assert {result.experiment for result in stage.results} == {"Undecided"}


def test_what_is_decided_at_the_end_of_a_hold_is_published_when_it_is_over() -> None:
    ranks = replace(SCORE, metric=Metric("score", "Gauge", judge="RankSum", source="metric:score"))
    readings = iter(range(100))
    stage = Stage(
        replace(STEP, metric_queries=(ranks,)),
        {"score": lambda: MetricAnswers(float(next(readings)), 1000.0 + next(readings))},
    )
    stage.play(
        195.0,
        then=lambda session: session.update(replace(STEP, metric_queries=(ranks,), hold_over=True)),
    )
    *before, last = stage.results
    assert {(result.verdict, result.reason) for result in before[-5:]} == {
        ("Inconclusive", "DecidedAtEnd")
    }
    assert (last.verdict, last.reason) == ("Fail", "HigherThanStable")


def test_a_gateway_is_read_for_the_metrics_that_it_counts_and_knows_who_got_what() -> None:
    metric = Metric("error-rate", "ErrorRate", max=0.05, source="Gateway")
    gateway = Gateway(Sample(20, 10))
    measure = replace(
        STEP, metrics=(metric,), gateway=GatewayEndpoint("Traefik", "http://gateway:9100/metrics")
    )
    stage = Stage(measure, gateway=gateway)
    stage.play(5.0)
    assert gateway.asked[0] == (
        Backend("risk", f"fraud-{STABLE}", "fraud"),
        Backend("risk", f"fraud-{CANARY}", "fraud"),
    )
    assert len(gateway.asked) == 3
    (row,) = stage.results[-1].rows
    assert (stage.results[-1].verdict, row["source"]) == ("Fail", "Gateway")


GUARDED = replace(
    STEP,
    metrics=(Metric("error-rate", "ErrorRate", max=0.05),),
    endpoint=MetricsEndpoint(8082, "/metrics", "MLServer"),
    pods_secret="scraper",
)
POD = PodRecord(Meta("risk", "c-1", "c-1", "1"), CANARY, ip="198.18.0.7", ready=True)


def test_pods_that_ask_who_one_is_are_shown_what_the_secret_holds() -> None:
    stage = Stage(GUARDED, secrets={"scraper": "Bearer abc"}, pods=(POD,))
    stage.play(0.5)
    assert [target.authorization for target in stage.meter.asked] == ["Bearer abc"]
    assert "abc" not in repr(stage.meter.asked)


def test_pods_are_not_asked_without_the_secret_that_is_named() -> None:
    stage = Stage(GUARDED, pods=(POD,))
    stage.play(10.0)
    assert stage.meter.asked == []
    last = stage.results[-1]
    assert (last.verdict, last.problems) == ("Inconclusive", ("there is no Secret scraper",))


async def test_a_session_that_can_read_nothing_waits_until_it_is_ended() -> None:
    nothing = replace(
        STEP, metrics=(Metric("error-rate", "ErrorRate", max=0.05, source="Gateway"),)
    )
    task = asyncio.create_task(Stage(nothing).make_session().run())
    for _ in range(5):
        await asyncio.sleep(0)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (RecursionError("x"), "what was answered is nested too deeply to be read (RecursionError)"),
        (OverflowError("x"), "a number beyond what can be counted (OverflowError)"),
        (
            UnicodeEncodeError("idna", "..", 0, 1, "label empty or too long"),
            "an address, or an answer, with letters that cannot be there (UnicodeEncodeError)",
        ),
        (KeyError("x"), "an internal error, which the operator's log has (KeyError)"),
    ],
    ids=lambda case: type(case).__name__,
)
def test_what_a_reader_raises_is_its_failed_reading(
    raised: Exception, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> MetricAnswers:
        raise raised

    stage = Stage(
        replace(STEP, metric_queries=(SCORE, CLICKS)),
        {"score": fail, "clicks": lambda: MetricAnswers(Counts(1, 10), Counts(1, 10))},
    )
    stage.play(125.0)
    assert {name: asked.times for name, asked in stage.asked.items()} == {"score": 13, "clicks": 13}
    assert stage.results[-1].problems == (f"score: {said}",)
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "risk/fraud score" in caplog.records[0].__dict__["object"]


def test_a_meter_that_breaks_is_a_failed_reading_of_the_pods() -> None:
    class Broken(Pods):
        async def measure(
            self, stable: Sequence[PodTarget], canary: Sequence[PodTarget]
        ) -> Measurement:
            raise OverflowError

    endpoint = MetricsEndpoint(8082, "/metrics", "MLServer")
    metric = Metric("error-rate", "ErrorRate", max=0.05)
    stage = Stage(replace(STEP, metrics=(metric,), endpoint=endpoint), meter=Broken())
    stage.play(10.0)
    assert stage.results[-1].problems == ("a number beyond what can be counted (OverflowError)",)


# What isn't counted

ERRORS = Metric("error-rate", "ErrorRate", max=0.05)
NO_COUNTER = Missing(CANARY, "Prometheus", "http_requests_total", "Answers")
NO_HISTOGRAM = Missing(STABLE, "Prometheus", "http_request_duration_seconds", "Durations")
ENDPOINT = MetricsEndpoint(8082, "/metrics", "Prometheus")


def lacking(*missing: Missing, metrics: tuple[Metric, ...]) -> Stage:
    measure = replace(
        STEP,
        metrics=metrics,
        endpoint=ENDPOINT,
        stable_endpoint=ENDPOINT,
        canary_version="v3",
        stable_version="v2",
        share=0.2,
        traffic_share=True,
    )
    return Stage(measure, meter=Lacking([], missing))


def test_a_counter_that_is_not_there_is_no_data_by_name_and_no_hang() -> None:
    stage = lacking(NO_COUNTER, NO_HISTOGRAM, metrics=(ERRORS,))
    stage.play(300.0)
    told = (
        "v3's metrics have no http_requests_total (profile Prometheus): is it counted under"
        " another name?"
    )
    assert {(result.verdict, result.problems) for result in stage.results} == {("NoData", (told,))}


def test_of_what_is_not_there_only_what_is_judged_is_told() -> None:
    stage = lacking(NO_COUNTER, NO_HISTOGRAM, metrics=(Metric("l", "Latency", 0.99, max=1.0),))
    stage.play(3.0)
    (told,) = stage.results[-1].problems
    assert told == (
        "v2's metrics have no http_request_duration_seconds (profile Prometheus): is it counted"
        " under another name?"
    )


def test_servers_that_count_no_errors_say_so() -> None:
    stage = lacking(Missing(STABLE, "KServe", "", "Answers"), metrics=(ERRORS,))
    stage.play(3.0)
    assert stage.results[-1].problems == ("v2's servers count no failed answers (profile KServe)",)


def test_pods_are_read_for_what_callers_speak() -> None:
    stage = lacking(metrics=(ERRORS,))
    stage.measure = replace(stage.measure, protocol="GRPC")
    stage.pods = (PodRecord(Meta("risk", "fraud-1", "u", "1"), CANARY, ip="10.0.0.1", ready=True),)
    stage.play(1.0)
    assert {target.protocol for target in stage.meter.asked} == {"GRPC"}
