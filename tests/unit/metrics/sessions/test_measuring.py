import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from canarium.core.allowed_addresses import parse_allowed
from canarium.core.observed import AnalysisResult, ContainerState, Meta, PodRecord
from canarium.core.plan import GatewayEndpoint, Measure
from canarium.core.spec import MetricsEndpoint
from canarium.judge import Metric, Reading, Sample
from canarium.kube.informers.store import Key
from canarium.metrics.counters import Counters
from canarium.metrics.sessions import SILENT_READINGS, Measurements, make_targets
from canarium.metrics.sessions.session import Session, identify
from canarium.metrics.sources.pods import Measurement, PodTarget, ScrapeError
from canarium.outbound.reach import Reach
from canarium.sim.loop import VirtualLoop

from tests.unit.kube.fake import FakeClient

FRAUD = ("risk", "fraud")
STABLE, CANARY = "5d8f7c9b64", "7b9d6f5c88"
STEP = Measure(
    key="step-1",
    metrics=(Metric("error-rate", "ErrorRate", max=0.05),),
    min_requests=10,
    interval_seconds=0.001,
    not_before=0.0,
    canary=CANARY,
    stable=STABLE,
    endpoint=MetricsEndpoint(port=8082, path="/metrics", profile="MLServer"),
    stable_endpoint=MetricsEndpoint(port=8082, path="/metrics", profile="MLServer"),
)
GOOD, BAD, SILENT = Sample(50, 0), Sample(50, 40), None


def pod(name: str, revision: str, **changes: Any) -> PodRecord:
    meta = Meta(namespace="risk", name=name, uid=name, resource_version="1")
    return replace(PodRecord(meta, revision, ip="198.18.0.7", ready=True), **changes)


PODS = (pod("s-1", STABLE), pod("c-1", CANARY))


@dataclass
class ScriptedMeter:
    """Gives these samples of the canary one after the other, and then blocks."""

    canary: list[Sample | None]
    errors: tuple[ScrapeError, ...] = ()
    asked: list[tuple[list[str], list[str]]] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    kept: Mapping[str, Counters] = field(default_factory=dict)
    counted: Mapping[str, Counters] = field(default_factory=dict)
    resumed: bool = False

    def resume(self, kept: Mapping[str, Counters]) -> None:
        self.kept = kept

    async def measure(
        self, stable: Sequence[PodTarget], canary: Sequence[PodTarget]
    ) -> Measurement:
        self.asked.append(([t.pod for t in stable], [t.pod for t in canary]))
        if not self.canary:
            self.over.set()
            await asyncio.Event().wait()
        sample = self.canary.pop(0)
        reading = Reading(1.0, GOOD if sample else None, sample)
        return Measurement(reading, self.errors, (), self.counted, self.resumed)


class Stage:
    """Measurements over scripted meters; `woken` holds what objects were to be looked at."""

    def __init__(self, *meters: ScriptedMeter, now: Callable[[], float] = lambda: 1e9) -> None:
        self.meters = list(meters)
        self.woken: list[tuple[Key, bool]] = []
        self.heard = asyncio.Event()
        self.measurements = Measurements(
            lambda _key: PODS,
            self._wake,
            now,
            make_meter=lambda: self.meters.pop(0),
        )

    def _wake(self, key: Key, urgent: bool) -> None:
        self.woken.append((key, urgent))
        self.heard.set()

    def result(self) -> AnalysisResult | None:
        return self.measurements.result(FRAUD)


@asynccontextmanager
async def stage(*meters: ScriptedMeter, **options: Any) -> AsyncIterator[Stage]:
    it = Stage(*meters, **options)
    try:
        yield it
    finally:
        await it.measurements.close()


async def played(meter: ScriptedMeter) -> None:
    await asyncio.wait_for(meter.over.wait(), 40)


async def test_readings_become_a_verdict_with_rows_and_a_state_to_save() -> None:
    meter = ScriptedMeter([SILENT, GOOD])
    async with stage(meter) as it:
        it.measurements.ensure(FRAUD, STEP)
        await played(meter)
        result = it.result()
    assert result is not None
    assert (result.key, result.verdict, result.reason) == ("step-1", "Pass", "WithinBounds")
    (row,) = result.rows
    assert (row["metric"], row["check"], row["canaryBad"], row["canaryTotal"]) == (
        "error-rate",
        "max",
        0,
        50,
    )
    assert all(isinstance(value, str | int) for value in row.values())
    assert result.state.startswith("{")
    assert meter.asked[0] == (["s-1"], ["c-1"])


async def test_the_first_reading_says_nothing_and_wakes_nobody() -> None:
    meter = ScriptedMeter([SILENT])
    async with stage(meter) as it:
        it.measurements.ensure(FRAUD, STEP)
        await played(meter)
        assert (it.result(), it.woken) == (None, [])


async def test_pods_that_go_on_saying_nothing_are_no_data() -> None:
    meter = ScriptedMeter([SILENT] * SILENT_READINGS)
    async with stage(meter) as it:
        it.measurements.ensure(FRAUD, STEP)
        await played(meter)
        found = it.result()
        assert found is not None
        assert (found.verdict, it.woken) == ("NoData", [(FRAUD, False)])


async def test_a_failed_verdict_wakes_the_object_at_once_and_before_others() -> None:
    meter = ScriptedMeter([GOOD, GOOD, BAD, BAD])
    async with stage(meter) as it:
        it.measurements.ensure(FRAUD, STEP)
        await played(meter)
        assert it.woken == [(FRAUD, False), (FRAUD, False), (FRAUD, True)]


async def test_figures_alone_wake_the_object_every_few_seconds_only() -> None:
    times = iter(float(second) for second in range(1000, 2000))
    meter = ScriptedMeter([GOOD] * 20)
    async with stage(meter, now=lambda: next(times)) as it:
        it.measurements.ensure(FRAUD, STEP)
        await played(meter)
        assert 3 <= len(it.woken) <= 10


async def test_pods_that_cannot_be_read_are_told_and_nothing_is_passed_on_that() -> None:
    errors = tuple(ScrapeError(f"c-{n}", CANARY, "no answer within 0.8 s") for n in range(9))
    meter = ScriptedMeter([SILENT], errors)
    async with stage(meter) as it:
        it.measurements.ensure(FRAUD, STEP)
        await played(meter)
        result = it.result()
    assert result is not None
    assert (result.verdict, result.problems[0], len(result.problems)) == (
        "NoData",
        "c-0: no answer within 0.8 s",
        5,
    )


async def test_the_same_key_goes_on_and_no_measure_ends_it() -> None:
    meter = ScriptedMeter([GOOD] * 3)
    async with stage(meter) as it:
        for _ in range(3):
            it.measurements.ensure(FRAUD, STEP)
        await played(meter)
        it.measurements.ensure(FRAUD, None)
        assert (it.result(), it.meters) == (None, [])


async def test_the_next_step_keeps_the_meter_and_counts_its_own_answers() -> None:
    meter = ScriptedMeter([GOOD, GOOD])
    async with stage(meter) as it:
        it.measurements.ensure(FRAUD, STEP)
        await played(meter)
        meter.canary, meter.over = [GOOD], asyncio.Event()
        it.measurements.ensure(FRAUD, replace(STEP, key="step-2"))
        await played(meter)
        result = it.result()
    assert result is not None
    assert (result.key, result.rows[0]["canaryTotal"]) == ("step-2", 50)


async def test_another_canary_gets_a_meter_of_its_own() -> None:
    first, second = ScriptedMeter([GOOD]), ScriptedMeter([GOOD])
    async with stage(first, second) as it:
        it.measurements.ensure(FRAUD, STEP)
        await played(first)
        it.measurements.ensure(FRAUD, replace(STEP, key="other", canary="0f336a1ab5"))
        await played(second)
        assert second.asked[0] == (["s-1"], [])


async def test_a_restart_goes_on_with_the_evidence_that_was_saved() -> None:
    before, after = ScriptedMeter([GOOD] * 4), ScriptedMeter([GOOD])
    async with stage(before) as it:
        it.measurements.ensure(FRAUD, STEP)
        await played(before)
        saved = it.result()
    assert saved is not None
    async with stage(after) as it:
        it.measurements.ensure(FRAUD, replace(STEP, resume=saved.state))
        await played(after)
        result = it.result()
    assert result is not None
    assert result.rows[0]["canaryTotal"] == 250


async def test_saved_evidence_that_is_garbage_is_as_good_as_none() -> None:
    meter = ScriptedMeter([GOOD])
    async with stage(meter) as it:
        it.measurements.ensure(FRAUD, replace(STEP, resume="{garbage"))
        await played(meter)
        result = it.result()
    assert result is not None
    assert result.rows[0]["canaryTotal"] == 50


async def test_what_comes_before_the_initial_delay_is_over_is_not_counted() -> None:
    meter = ScriptedMeter([BAD, GOOD])
    async with stage(meter, now=lambda: 0.0) as it:
        it.measurements.ensure(FRAUD, replace(STEP, not_before=0.01))
        await played(meter)
        result = it.result()
    assert result is not None
    assert result.rows[0]["canaryBad"] == 0


def test_a_session_that_breaks_goes_on_ever_more_rarely_with_what_it_found(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[float] = []

    async def run(session: Session) -> None:
        begun.append(asyncio.get_running_loop().time())
        if len(begun) > 100:
            await asyncio.Event().wait()
        raise ExceptionGroup("of a task group", [ZeroDivisionError("somebody else's text")])

    async def play() -> AnalysisResult | None:
        async with stage(ScriptedMeter([])) as it:
            it.measurements.ensure(FRAUD, STEP)
            await asyncio.sleep(600.0)
            return it.result()

    monkeypatch.setattr(Session, "run", run)
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        result = runner.run(play())
    assert 10 < len(begun) < 40
    assert result is not None
    (problem,) = result.problems
    assert problem.startswith("measuring broke: an internal error (ZeroDivisionError")
    assert "somebody" not in problem
    assert [record.levelname for record in caplog.records] == ["ERROR"]


async def test_measuring_that_cannot_begin_is_told_and_hinders_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def explode() -> ScriptedMeter:
        raise KeyError("secret")

    async with stage() as it:
        monkeypatch.setattr(it.measurements, "_make_meter", explode)
        it.measurements.ensure(FRAUD, STEP)
        result = it.result()
    assert result is not None
    assert (result.key, result.verdict) == ("step-1", "NoData")
    assert "an internal error (KeyError" in result.problems[0]


async def test_who_takes_over_goes_on_from_where_the_counters_stood() -> None:
    counted = {"s-1/0": Counters(100, 0), "c-1/0": Counters(20, 10)}
    first = ScriptedMeter([GOOD], counted=counted)
    async with stage(first) as it:
        it.measurements.ensure(FRAUD, STEP)
        await played(first)
        result = it.result()
    assert result is not None
    after = ScriptedMeter([])
    async with stage(after) as it:
        it.measurements.ensure(FRAUD, replace(STEP, resume=result.state))
        await played(after)
    assert after.kept == counted


async def test_a_reading_that_goes_back_to_a_saved_one_tells_nothing_of_shares() -> None:
    """Only of pods that didn't restart is it known, so that a canary may seem to answer nothing."""
    hanging = Sample(0, 0)
    for resumed, verdict in ((True, "NoData"), (False, "Fail")):
        meter = ScriptedMeter([hanging] * 10, resumed=resumed)
        async with stage(meter) as it:
            it.measurements.ensure(FRAUD, replace(STEP, traffic_share=True, share=0.5))
            await played(meter)
            result = it.result()
        assert result is not None
        assert result.verdict == verdict


async def find_nothing(_host: str, _port: int) -> Sequence[str]:
    return ()


async def test_a_gateways_source_is_shared_where_its_address_means_the_same_to_all() -> None:
    """A Service of one's own namespace is another one elsewhere, and so is what is refused."""
    listed = parse_allowed(["traefik.gateways", "10.0.0.0/8"])
    reach = Reach(FakeClient(), listed, find_nothing)
    measurements = Measurements(
        lambda _key: (), lambda _key, _urgent: None, client=FakeClient(), reach=reach
    )
    kept = []
    for address in (
        "http://traefik.gateways:9100/",
        "http://10.1.2.3:9100/",
        "http://traefik:9100/",
    ):
        for namespace in ("risk", "fraud"):
            endpoint = GatewayEndpoint("Traefik", address, "")
            kept.append(measurements._make_gateway_meter((namespace, "m"), endpoint))
    places = {(address, namespace) for address, namespace, _ in measurements._gateways}
    assert places == {
        ("http://traefik.gateways:9100/", ""),
        ("http://10.1.2.3:9100/", ""),
        ("http://traefik:9100/", "risk"),
        ("http://traefik:9100/", "fraud"),
    }
    await measurements.close()


async def test_a_gateways_source_goes_with_the_last_session_that_reads_it() -> None:
    """Else whoever edits its address again and again has each one kept, with what it answered."""
    measurements = Measurements(lambda _key: PODS, lambda *_: None, client=FakeClient())
    meters = [
        measurements._make_gateway_meter(FRAUD, GatewayEndpoint("Istio", f"http://g{n}:80/", ""))
        for n in (*range(27), 0)
    ]
    assert len(measurements._gateways) == 27
    assert meters[0]._source is meters[-1]._source
    del meters[1:]
    gc.collect()
    assert len(measurements._gateways) == 1
    await measurements.close()


def test_a_pod_is_another_when_one_of_its_containers_was_restarted() -> None:
    begun = ContainerState("server", restarts=1)
    twice = replace(PODS[0], containers=(begun, ContainerState("init", init=True, restarts=5)))
    assert (identify(PODS[0]), identify(twice)) == ("s-1/0", "s-1/1")


def test_only_ready_pods_of_the_revision_are_asked_and_addresses_may_be_of_ip_version_6() -> None:
    pods = (
        pod("c-1", CANARY, ip="fd00::7"),
        pod("c-2", CANARY, ready=False),
        pod("c-3", CANARY, ip=""),
        pod("s-1", STABLE),
    )
    assert make_targets(pods, CANARY, STEP.endpoint) == [
        PodTarget("c-1", "http://[fd00::7]:8082/metrics", "MLServer", CANARY)
    ]
