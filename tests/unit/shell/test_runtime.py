import asyncio
import re
from dataclasses import replace
from typing import Any

import pytest
from canarium.core.plan import Plan
from canarium.errors import ConfigError
from canarium.kube.config import Cluster
from canarium.kube.informers.projections.models import project_model
from canarium.shell.handlers import EndlessBackoffs
from canarium.shell.readiness import MISSING_CRD
from canarium.shell.runtime import Options, Runtime, parse_features

from tests.unit.kube.transcript import Answer, make_page, make_refusal, play
from tests.unit.kube.wire import Json, make_model

NOWHERE = Cluster(server="http://127.0.0.1:1")


def make_runtime(**options: Any) -> Runtime:
    return Runtime(Options(**options), lambda _observed, _now: Plan(), NOWHERE)


def version(runtime: Runtime) -> str | None:
    model = runtime.cache.models.get("risk", "fraud")
    return model.meta.resource_version if model else None


async def test_kopfs_events_bring_models_and_older_ones_are_passed_over() -> None:
    runtime = make_runtime()
    for number in (5, 7, 6):
        runtime.ingest_model(make_model(version=number))
    assert (version(runtime), runtime.queue.depth) == ("7", 1)


async def test_a_deletion_that_kopf_saw_late_spares_the_object_that_came_after() -> None:
    runtime = make_runtime()
    runtime.ingest_model(make_model(version=5))
    runtime.drop_model(make_model(version=6))
    assert version(runtime) is None
    runtime.ingest_model(make_model(version=9, metadata={"uid": "next"}))
    runtime.drop_model(make_model(version=8))
    assert version(runtime) == "9"


async def test_nothing_is_ready_before_everything_was_listed() -> None:
    problems = make_runtime().problems()
    kinds = [problem.split(":")[0] for problem in problems]
    assert kinds == [
        "modeldeployments",
        "modelrevisions",
        "deployments",
        "replicasets",
        "pods",
        "services",
        "jobs",
        "poddisruptionbudgets",
        "endpointslices",
        "httproutes",
        "grpcroutes",
        "ingressroutes",
        "traefikservices",
        "virtualservices",
        "horizontalpodautoscalers",
        "scaledobjects",
        "metrictemplates",
        "httproutes",  # of everybody
        "grpcroutes",
        "gateways",
        "gatewayclasses",
        "customresourcedefinitions",
        "customresourcedefinitions",
        "clustermetrictemplates",
    ]


async def test_each_namespace_has_its_own_caches_but_gateways_are_everybodys() -> None:
    runtime = make_runtime(namespaces=("a", "b"))
    places = [(r.resource.plural, r.namespace) for r in runtime.reflectors]
    assert places[:2] == [("modelrevisions", "a"), ("modelrevisions", "b")]
    assert places[-5:] == [
        ("gateways", None),
        ("gatewayclasses", None),
        ("customresourcedefinitions", None),
        ("customresourcedefinitions", None),
        ("clustermetrictemplates", None),
    ]


@pytest.mark.parametrize(
    ("pages", "want"), [([], None), ([make_model(version=5)], "5"), ([make_model(version=9)], "9")]
)
async def test_a_resync_notices_what_kopf_has_missed(pages: list[Json], want: str | None) -> None:
    async with play(make_page(*pages, version=9)) as (client, _):
        runtime = make_runtime()
        runtime.client = client
        runtime.ingest_model(make_model(version=5))
        await runtime._list_models()
        assert (version(runtime), runtime.listed.is_set()) == (want, True)


async def test_an_object_that_cannot_be_read_keeps_no_other_from_being_listed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def explode(body: Json, *_: Any) -> Any:
        if body["metadata"]["name"] == "bad":
            raise OverflowError("the text of somebody else")
        return project_model(body)

    bad = make_model(version=3, metadata={"name": "bad", "uid": "uid-of-bad"})
    async with play(make_page(bad, make_model(version=5), version=9)) as (client, _):
        runtime = make_runtime()
        runtime.client = client
        monkeypatch.setattr("canarium.kube.informers.cache.project_model", explode)
        await runtime._list_models()
        assert (version(runtime), runtime.listed.is_set()) == ("5", True)
        assert 'canarium_internal_errors_total{part="Projecting"} 1.0' in render(runtime)
    assert [record.__dict__["object"] for record in caplog.records] == ["risk/bad"]


async def test_a_list_that_breaks_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime, tries, again = make_runtime(), list[int](), asyncio.Event()

    async def explode() -> None:
        tries.append(1)
        if len(tries) == 2:
            again.set()
        raise RecursionError

    monkeypatch.setattr(runtime, "_list_models", explode)
    task = asyncio.create_task(runtime._resync())
    await asyncio.wait_for(again.wait(), 40)
    assert not task.done()
    task.cancel()
    await asyncio.wait([task])


async def test_missing_crds_are_said_and_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    script = [make_refusal(404, "NotFound"), make_refusal(404, "NotFound")]
    async with play(*script) as (client, apiserver):
        runtime = make_runtime()
        runtime.client = client
        task = asyncio.create_task(runtime._resync())
        await asyncio.wait_for(apiserver.over.wait(), 40)
        task.cancel()
        await asyncio.wait([task])
        assert runtime.problems()[0] == MISSING_CRD
    assert caplog.text.count(MISSING_CRD) == 1


async def test_a_kind_of_routes_is_there_when_it_was_listed() -> None:
    runtime = make_runtime()
    runtime.ingest_model(make_model())
    runtime.queue.done(await runtime.queue.get())
    routes, everybodys = (r for r in runtime.reflectors if r.resource.plural == "httproutes")
    everybodys._enter("synced")
    assert runtime.cache.installed == frozenset()  # our own are not known yet
    routes._enter("synced")
    assert (runtime.cache.installed, runtime.queue.depth) == (frozenset({"HTTPRoute"}), 1)
    routes._enter("absent")
    assert runtime.cache.installed == frozenset()


def test_kopf_never_runs_out_of_tries() -> None:
    delays = [delay for delay, _ in zip(EndlessBackoffs(), range(1000), strict=False)]
    assert (delays[:8], delays[-1]) == ([0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0], 30.0)


async def test_kopf_logs_in_with_the_same_credentials_until_there_are_others() -> None:
    runtime = make_runtime()
    runtime.cluster = replace(NOWHERE, token="old")
    first, again = runtime.log_in(), runtime.log_in()
    runtime.cluster = replace(runtime.cluster, token="new")
    renewed = runtime.log_in()
    said = [login.aiohttp_session.headers["Authorization"] for login in (first, again, renewed)]
    for login in (first, renewed):
        await login.aiohttp_session.close()
    assert (first == again, first == renewed, first.server) == (True, False, NOWHERE.server)
    assert said == ["Bearer old", "Bearer old", "Bearer new"]


FORBIDDEN = make_refusal(403, "Forbidden", "no list of modeldeployments")


async def test_a_namespace_without_the_rights_keeps_no_other_from_being_served(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with play(FORBIDDEN, make_page(make_model(version=5), version=9)) as (client, _):
        runtime = make_runtime(namespaces=("other", "risk"))
        runtime.client = client
        await runtime._list_models()
    assert (runtime.served, version(runtime), runtime.listed.is_set()) == (("risk",), "5", True)
    said = "namespace other is not served: 403 Forbidden: no list of modeldeployments"
    assert (runtime.notices(), caplog.messages) == ([said], [said])


async def test_a_barred_namespace_is_served_once_all_of_it_can_be_read() -> None:
    async with play(FORBIDDEN, make_page(make_model(version=5), version=9)) as (client, _):
        runtime = make_runtime(namespaces=("risk",))
        runtime.client = client
        await runtime._list_models()
        assert "none of the namespaces can be served" in runtime.problems()
        await runtime._list_models()
        assert (runtime.served, version(runtime)) == ((), None)  # its pods aren't known yet
        for reflector in runtime._reflectors_of("risk"):
            reflector._enter("synced")
        await runtime._list_models()
    assert (runtime.served, version(runtime)) == (("risk",), "5")


async def test_the_right_to_a_child_is_needed_as_much_as_the_right_to_the_object() -> None:
    runtime = make_runtime(namespaces=("other", "risk"), leader_election=False)
    runtime.ingest_model(make_model())
    runtime.listed.set()
    for reflector in runtime.reflectors:
        if (reflector.resource.plural, reflector.namespace) == ("pods", "risk"):
            reflector.problem = "403 Forbidden: no pods"
            reflector.settled.set()
        else:
            reflector._enter("synced")
    runtime.options = replace(runtime.options, workers=0)
    leading = asyncio.create_task(runtime._lead())
    await asyncio.wait_for(runtime._settled.wait(), 40)
    leading.cancel()
    await asyncio.wait([leading])
    assert (runtime.served, version(runtime)) == (("other",), None)
    assert runtime.notices() == ["namespace risk is not served: 403 Forbidden: no pods"]


@pytest.mark.parametrize(
    ("minor", "want"), [("29", ["Kubernetes 1.29 is too old"]), ("30+", []), ("35", [])]
)
async def test_an_old_cluster_is_said_and_no_reason_to_stand_still(
    minor: str, want: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    async with play(Answer({"major": "1", "minor": minor})) as (client, _):
        runtime = make_runtime()
        runtime.client = client
        await runtime._check_version()
    assert [message.partition(":")[0] for message in caplog.messages] == want
    assert [notice.partition(":")[0] for notice in runtime.notices()] == want


def test_only_what_there_is_can_be_disabled() -> None:
    assert parse_features(["KEDA", "", "Usage"]) == ("KEDA", "Usage")
    with pytest.raises(ConfigError, match="'Kourier' cannot be disabled: name any of GatewayAPI"):
        parse_features(["Kourier"])


def render(runtime: Runtime) -> str:
    return b"".join(runtime._render_metrics()).decode()


async def test_models_are_told_by_the_process_that_acts_as_long_as_it_acts() -> None:
    runtime = make_runtime()
    runtime.ingest_model(make_model(version=5))
    told = 'canarium_model_ready{namespace="risk",model="fraud"}'
    assert (told in render(runtime), "canarium_leader 0.0" in render(runtime)) == (False, True)

    acting = asyncio.create_task(runtime._work(None))
    await asyncio.sleep(0)
    assert (told in render(runtime), "canarium_leader 1.0" in render(runtime)) == (True, True)

    acting.cancel()
    await asyncio.wait([acting])
    assert "canarium_model" not in render(runtime)


async def test_a_cache_is_as_old_as_the_one_of_the_namespace_that_heard_nothing() -> None:
    runtime = make_runtime(namespaces=("a", "b"))
    of_a, of_b = (r for r in runtime.reflectors if r.resource.plural == "modelrevisions")
    now = asyncio.get_running_loop().time()
    of_a._heard_at, of_b._heard_at = now - 5, now - 100

    text = render(runtime)

    (age,) = re.findall(r'canarium_cache_age_seconds\{resource="modelrevisions"\} (\S+)', text)
    assert 99 < float(age) < 130
