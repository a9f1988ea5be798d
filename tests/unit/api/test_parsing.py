import json
import pathlib
import time
import timeit
from collections.abc import Iterator
from typing import Any, get_args

import pytest
import yaml
from canarium.api import parse_deployment, parse_rollout
from canarium.api.modeldeployment.parsing import COPIED_FIELDS, image_version
from canarium.api.modeldeployment.strategies import Strategy, expand
from canarium.core.normalise import canonical_json, normalise_source
from canarium.core.receivers import Receiver
from canarium.core.spec import (
    AnalysisSpec,
    CustomMetric,
    ExperimentSpec,
    HeaderMatch,
    JobSpec,
    MetricsEndpoint,
    ParentRef,
    PathMatch,
    PrometheusQuery,
    RolloutSpec,
    Scaling,
    ScalingMetric,
    Spec,
    Step,
    TemplateRef,
    Traffic,
    WebQuery,
)
from canarium.errors import Problem, SpecError
from canarium.judge.metrics import Metric
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.unit.api.specs import BAD_SPECS, REMOVE, Bad, changed, complete, plain

Json = dict[str, Any]

ROOT = pathlib.Path(__file__).parents[3]
CPU = ScalingMetric("cpu", "CPU", average="500m")


def problems_of(body: Json) -> tuple[Problem, ...]:
    with pytest.raises(SpecError) as caught:
        parse_deployment(body)
    return caught.value.problems


def test_a_spec_with_only_an_image_gets_every_default() -> None:
    source = {"server": {"image": "registry.example/fraud:7"}}
    body = {"metadata": {"name": "fraud", "namespace": "risk"}, "spec": source}
    assert parse_deployment(body) == Spec(
        source=source,
        canonical='{"server":{"image":"registry.example/fraud:7","port":8080}}',
        model_name="fraud",
        version="7",
        image="registry.example/fraud:7",
        port=8080,
        replicas=1,
        traffic=Traffic(),
        rollout=RolloutSpec(),
        metrics=None,
    )


def test_a_spec_that_uses_every_field_becomes_numbers() -> None:
    body = complete()
    source = {part: body["spec"][part] for part in ("model", "server", "pod")}
    spec = parse_deployment(body)
    assert spec == Spec(
        source=source,
        canonical=canonical_json(normalise_source(source)),
        model_name="fraud-detector",
        version="7",
        image="registry.example/fraud:7",
        port=9000,
        replicas=1,
        traffic=Traffic(
            router="GatewayAPI",
            parent_refs=(
                ParentRef("public", "gateways", section_name="https", port=443),
                ParentRef("public", "default"),
                ParentRef("fraud", "default", port=80, kind="Service"),
            ),
            hostnames=("fraud.example.com", "*.example.org"),
            paths=(PathMatch("Exact", "/v2/models/fraud/infer"), PathMatch("PathPrefix", "/")),
            request_timeout="30s",
        ),
        rollout=RolloutSpec(
            steps=(
                Step("shadow", 0, mirror=20, replicas=2),
                Step(
                    "testers",
                    0,
                    headers=(
                        HeaderMatch("x-canary", "1"),
                        HeaderMatch("x-team", "a|b", "RegularExpression"),
                    ),
                    replicas_percent=50,
                ),
                Step("five", 5, hold_seconds=90.0, approval=True),
            ),
            experiment=ExperimentSpec(
                metric="clicks",
                weight=40,
                cookie="canarium-variant",
                min_seconds=24 * 3600.0,
                max_seconds=240 * 3600.0,
            ),
            analysis=AnalysisSpec(
                metrics=(
                    Metric("error-rate", "ErrorRate", max=0.05, max_increase=0.005),
                    Metric(
                        "latency-p99",
                        "Latency",
                        quantile=0.99,
                        max=0.25,
                        max_ratio=1.2,
                        source="Gateway",
                    ),
                ),
                custom=(
                    CustomMetric(
                        "precision",
                        TemplateRef("precision", "ClusterMetricTemplate"),
                        arguments=(("segment", 'card "present"'),),
                        min=0.9,
                        max_increase=0.01,
                        interval_seconds=60.0,
                    ),
                    CustomMetric(
                        "refusals",
                        PrometheusQuery(
                            bad='refused_total{revision="{{revision}}"}',
                            total='asked_total{revision="{{revision}}"}',
                            address="http://prometheus.monitoring:9090/team",
                            secret="prometheus",
                            timeout_seconds=2.0,
                        ),
                        max=0.02,
                        consecutive_error_limit=10,
                    ),
                    CustomMetric(
                        "gpu-memory",
                        PrometheusQuery(query='gpu_used_bytes{service="{{service}}"}'),
                        max_ratio=1.1,
                        min_ratio=0.5,
                        rank_sum=True,
                        higher_is_better=False,
                    ),
                    CustomMetric(
                        "score",
                        WebQuery(
                            "https://quality.example/{{model}}/{{revision}}",
                            value="$.score",
                            secret="quality",
                            timeout_seconds=60.0,
                        ),
                        min=-0.5,
                        failure_limit=2,
                    ),
                    CustomMetric(
                        "clicks",
                        WebQuery(
                            "http://clicks.shop/{{revision}}", good="$.clicks", total="$.shown"
                        ),
                        min=0.01,
                    ),
                    CustomMetric(
                        "complaints",
                        WebQuery("http://desk.example/{{version}}", bad="$.angry", total="$.all"),
                        max=0.05,
                    ),
                    CustomMetric(
                        "approvals",
                        PrometheusQuery(good="approved_total", total="asked_total"),
                        min=0.5,
                    ),
                ),
                jobs=(
                    JobSpec(
                        "smoke",
                        canonical_json(
                            {
                                "image": "registry.example/smoke@sha256:" + "0" * 64,
                                "imagePullPolicy": "IfNotPresent",
                                "command": ["python", "smoke.py"],
                                "args": ["--url", "$(CANARIUM_URL)"],
                                "env": [
                                    {"name": "ROUNDS", "value": "3"},
                                    {
                                        "name": "KEY",
                                        "valueFrom": {
                                            "secretKeyRef": {"name": "smoke", "key": "key"}
                                        },
                                    },
                                ],
                                "envFrom": [{"configMapRef": {"name": "smoke"}}],
                                "resources": {
                                    "requests": {"cpu": "100m"},
                                    "limits": {"memory": "256Mi"},
                                },
                                "volumeMounts": [
                                    {"name": "settings", "mountPath": "/cases", "readOnly": True}
                                ],
                                "securityContext": {"runAsNonRoot": True, "runAsUser": 1000},
                            }
                        ),
                        service_account="smoke",
                        timeout_seconds=150.0,
                    ),
                ),
                decide="Early",
                traffic_share="Ignore",
                gateway="http://traefik-metrics.gateways:9100/metrics",
                gateway_secret="gateway",
                pods_secret="scraper",
                interval_seconds=2.0,
                initial_delay_seconds=10.0,
                min_requests=50,
                on_no_data="Rollback",
            ),
            progress_deadline_seconds=1200.0,
            emergency_seconds=30.0,
            guard_seconds=1800.0,
            holdback=10,
            capacity="InPlace",
            paused=True,
            revision_history_limit=3,
        ),
        metrics=MetricsEndpoint(port=8082, path="/metrics", profile="MLServer"),
        scaling=Scaling(
            min_replicas=0,
            max_replicas=20,
            metrics=(
                ScalingMetric("cpu", "CPU", utilization=70),
                ScalingMetric("memory", "Memory", average="1536Mi"),
                ScalingMetric("rps", "RequestsPerSecond", average="20.5"),
                ScalingMetric("busy", "Concurrency", average="4"),
                ScalingMetric("gpu", "GPU", average="80"),
                ScalingMetric(
                    "queue",
                    "External",
                    average="30",
                    query='sum(queue_length{model="{{model}}"})',
                ),
            ),
            behavior='{"scaleDown":{"selectPolicy":"Disabled","stabilizationWindowSeconds":60},'
            '"scaleUp":{"policies":[{"periodSeconds":15,"type":"Percent","value":100}],'
            '"selectPolicy":"Max","stabilizationWindowSeconds":0}}',
            engine="KEDA",
            idle_seconds=600.0,
            prometheus_url="http://prometheus.monitoring:9090",
            max_unavailable="20%",
        ),
        receivers=(
            Receiver(
                "ops",
                "Slack",
                secret="chat",
                key="ops-channel",
                events=("RolledBack", "Waiting"),
                text="{{name}} {{version}}: {{message}} {a}",
            ),
            Receiver("audit", "Webhook", secret="audit"),
        ),
    )


@pytest.mark.parametrize(
    ("scaling", "size", "wanted"),
    [
        ({"replicas": 0}, 0, Scaling()),
        (
            {"replicas": 3, "disruptionBudget": {"maxUnavailable": 1}},
            3,
            Scaling(max_unavailable="1"),
        ),
        ({"maxReplicas": 5}, 1, Scaling(max_replicas=5, metrics=(CPU,))),
        ({"minReplicas": 4, "maxReplicas": 4}, 4, Scaling(4, 4, metrics=(CPU,))),
        ({"maxReplicas": 5, "behavior": {}}, 1, Scaling(max_replicas=5, metrics=(CPU,))),
    ],
    ids=str,
)
def test_an_autoscaled_model_begins_with_its_smallest_size(
    scaling: Json, size: int, wanted: Scaling
) -> None:
    metrics = [{"name": "cpu", "type": "CPU", "target": "0.5"}]
    written = scaling | ({"metrics": metrics} if "maxReplicas" in scaling else {})
    spec = parse_deployment(plain(spec__scaling=written))
    assert (spec.replicas, spec.scaling) == (size, wanted)


def test_a_query_to_scale_by_is_read_at_once() -> None:
    metric = {"name": "queue", "type": "External", "target": "1", "query": 'a{b="{{model}}'}
    body = plain(spec__scaling={"maxReplicas": 5, "metrics": [metric]})
    assert problems_of(body) == (
        Problem("spec.scaling.metrics[0].query", "a quote that isn't closed"),
    )


def test_a_limit_alone_is_a_request_that_a_target_in_percent_goes_by() -> None:
    metrics = [{"name": "memory", "type": "Memory", "target": "80%"}]
    body = plain(
        spec__server__resources={"limits": {"memory": "1Gi"}},
        spec__scaling={"maxReplicas": 5, "metrics": metrics},
    )
    assert parse_deployment(body).scaling.metrics == (
        ScalingMetric("memory", "Memory", utilization=80),
    )


@pytest.mark.parametrize("left_over", [None, 1])
def test_what_is_stored_for_a_size_that_nobody_wrote_is_none_beside_bounds(
    left_over: int | None,
) -> None:
    metrics = [{"name": "cpu", "type": "CPU", "target": "500m"}]
    scaling = {"replicas": left_over, "minReplicas": 2, "maxReplicas": 5, "metrics": metrics}
    spec = parse_deployment(plain(spec__scaling=scaling))
    assert (spec.replicas, spec.scaling) == (2, Scaling(2, 5, metrics=(CPU,)))


def test_a_step_that_says_no_weight_has_that_of_the_step_before() -> None:
    steps = [
        {"name": "look", "hold": "1s"},
        {"name": "five", "weight": 5},
        {"name": "testers", "headers": [{"name": "x-canary", "value": "1"}]},
        {"name": "half", "weight": 50},
    ]
    rollout = parse_deployment(plain(spec__rollout={"steps": steps})).rollout
    assert [(step.name, step.weight) for step in rollout.steps] == [
        ("look", 0),
        ("five", 5),
        ("testers", 5),
        ("half", 50),
    ]


@pytest.mark.parametrize("strategy", get_args(Strategy))
def test_a_strategy_is_its_steps(strategy: Strategy) -> None:
    named = parse_deployment(plain(spec__rollout={"strategy": strategy})).rollout
    written = parse_deployment(plain(spec__rollout={"steps": expand(strategy)})).rollout
    assert (named, named.raw) == (written, {"steps": expand(strategy)})
    assert parse_rollout(named.raw).steps == named.steps


def test_what_is_copied_into_a_revision_reads_back_as_the_same_rollout() -> None:
    rollout = parse_deployment(complete()).rollout
    copied = parse_rollout(json.loads(json.dumps(rollout.raw)))
    assert sorted(rollout.raw) == sorted(COPIED_FIELDS)
    assert copied.raw == rollout.raw
    assert (copied.steps, copied.experiment, copied.analysis) == (
        rollout.steps, rollout.experiment, rollout.analysis,
    )  # fmt: skip
    assert copied.progress_deadline_seconds == rollout.progress_deadline_seconds
    assert (copied.guard_seconds, copied.holdback) == (rollout.guard_seconds, rollout.holdback)
    assert copied.capacity == rollout.capacity


def test_a_copied_rollout_that_is_damaged_names_its_own_fields() -> None:
    with pytest.raises(SpecError) as caught:
        parse_rollout({"steps": [{"name": "five", "weight": "5"}], "paused": True})
    assert caught.value.problems == (
        Problem("status.rollout.steps[0].weight", "write a whole number"),
        Problem("status.rollout.paused", "no such field: remove it"),
    )


def test_metrics_are_found_on_the_servers_own_port_when_no_other_is_named() -> None:
    body = plain(spec__server={"image": "a", "port": 9000, "metrics": {}})
    assert parse_deployment(body).metrics == MetricsEndpoint(9000, "/metrics", "Prometheus")


def test_a_null_is_the_same_as_nothing() -> None:
    written = plain(spec__model=None, spec__traffic={"hostnames": None, "router": None})
    assert parse_deployment(written) == parse_deployment(plain())


def test_a_null_in_a_list_is_refused() -> None:
    body = plain(spec__server={"image": "a", "args": [None]}, spec__rollout=None)
    assert problems_of(body) == (
        Problem("spec.server.args[0]", "write a string (in quotes when it looks like a number)"),
    )


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("fraud", ""),
        ("fraud:7", "7"),
        ("registry.example:5000/team/fraud", ""),
        ("registry.example:5000/team/fraud:7-beta", "7-beta"),
        ("fraud:7@sha256:0123456789abcdef0123456789abcdef", "0123456789ab"),
    ],
)
def test_a_version_without_a_name_is_called_by_its_image(image: str, version: str) -> None:
    assert image_version(image) == version


@pytest.mark.parametrize("case", BAD_SPECS, ids=lambda case: case.id)
def test_a_wrong_field_is_named_with_its_cure(case: Bad) -> None:
    assert problems_of(case.body) == (Problem(case.field, case.says),)


@pytest.mark.parametrize("value", ["a\x1b[2J", "a\u202eb", "é", " a", "a ", "a\tb", "a\n", "\x9b"])
def test_the_value_of_a_header_is_what_can_be_printed(value: str) -> None:
    steps = [{"name": "a", "headers": [{"name": "x-a", "value": value}]}]
    (problem,) = problems_of(plain(spec__rollout={"steps": steps}))
    assert problem.field == "spec.rollout.steps[0].headers[0].value"
    assert problem.message.startswith("write letters, digits and signs of ASCII")


def test_every_problem_is_told_at_once() -> None:
    wrong = changed(
        plain(),
        {
            "metadata.name": "Fraud",
            "spec.server.image": REMOVE,
            "spec.server.prot": 80,
            "spec.rollout.analysis.metrics.0.vsSable": {},
            "spec.rollout.steps.0.hold": "long",
        },
    )
    name = next(case.says for case in BAD_SPECS if case.field == "metadata.name")
    assert problems_of(wrong) == (
        Problem("metadata.name", name),
        Problem("spec.server.image", "is required"),
        Problem("spec.server.prot", "no such field: did you mean port?"),
        Problem(
            "spec.rollout.steps[0].hold",
            "write a duration such as 90s, 5m or 1h30m (units h, m, s, ms)",
        ),
        Problem(
            "spec.rollout.analysis.metrics[0].vsSable",
            "no such field: did you mean vsStable?",
        ),
    )


def test_every_broken_rule_is_told_at_once() -> None:
    wrong = changed(
        plain(),
        {
            "spec.server.metrics": REMOVE,
            "spec.rollout.steps.1.weight": 4,
            "spec.rollout.analysis.metrics.1.max": "5%",
            "spec.traffic": {"router": "GatewayAPI", "hostnames": ["a.example"]},
        },
    )
    assert [problem.field for problem in problems_of(wrong)] == [
        "spec.server.metrics",
        "spec.traffic.parentRefs",
        "spec.rollout.steps[1].weight",
        "spec.rollout.analysis.metrics[1].max",
    ]


@pytest.mark.parametrize(
    "body",
    [{}, {"metadata": None, "spec": None}, {"metadata": [], "spec": []}, {"spec": "x"}],
    ids=str,
)
def test_an_object_that_is_none_is_refused_politely(body: Json) -> None:
    assert {problem.field for problem in problems_of(body)} >= {"metadata.name", "spec"}


def refuses_politely(body: Json) -> None:
    """Anything may be refused, but by saying what is wrong."""
    try:
        parse_deployment(body)
    except SpecError as error:
        problems = error.problems
    else:
        return
    assert problems
    assert all(problem.message for problem in problems)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def _places(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    items = list(enumerate(value)) if isinstance(value, list) else []
    for key, item in value.items() if isinstance(value, dict) else items:
        yield from _places(item, (*path, str(key)))


PLACES = [path for path in _places(complete()) if path]


@settings(max_examples=100)
@given(JSON)
def test_no_json_makes_the_parser_fail_in_another_way(value: Any) -> None:
    body = value if isinstance(value, dict) else {"spec": value}
    refuses_politely(body)


@settings(max_examples=200)
@given(st.sampled_from(PLACES), JSON)
@example(("spec", "rollout", "steps", "0", "weight"), 10**400)
@example(("spec", "server", "image"), "\ud800")
@example(("spec", "server", "port"), True)
@example(("spec", "pod", "labels"), {"\ud800": ""})
def test_no_value_in_any_place_makes_the_parser_fail_in_another_way(
    place: tuple[str, ...], value: Any
) -> None:
    body = changed(complete(), {place: value})
    refuses_politely(body)


@pytest.mark.parametrize("count", [10_000, 100_000])
def test_a_flood_of_steps_is_refused_in_one_sentence(count: int) -> None:
    steps = [{"name": f"s{n}", "weight": n, "x": 1} for n in range(count)]
    body = plain(spec__rollout={"steps": steps})
    problems = problems_of(body)
    assert problems[0] == Problem("spec.rollout.steps", "at most 20 entries are allowed")
    assert len(problems) < 100


def test_more_problems_than_anybody_reads_are_counted() -> None:
    body = changed(plain(), {("spec", "server", f"x{n}"): 1 for n in range(50)})
    problems = problems_of(body)
    assert problems[0] == Problem("spec.server.x0", "no such field: remove it")
    assert problems[20:] == (Problem("spec", "and 30 more problems"),)


@pytest.mark.parametrize(
    ("key", "field"),
    [
        ("a\nb", "spec.server[a\ufffdb]"),
        ("\x1b[2J", "spec.server[\ufffd[2J]"),
        ("k" * 1000, f"spec.server[{'k' * 80}...]"),
    ],
    ids=ascii,
)
def test_a_key_that_would_spoil_a_log_line_is_made_harmless(key: str, field: str) -> None:
    body = changed(plain(), {("spec", "server", key): 1})
    assert problems_of(body) == (Problem(field, "no such field: remove it"),)


def test_parsing_takes_well_below_a_millisecond() -> None:
    body = plain()
    timer = timeit.Timer(lambda: parse_deployment(body), timer=time.process_time)
    seconds = min(timer.repeat(number=50, repeat=5)) / 50
    assert seconds < 0.001


def _manifests() -> Iterator[Any]:
    """Every ModelDeployment in the examples and in the documentation's YAML blocks."""
    texts = {
        str(path.relative_to(ROOT)): path.read_text() for path in ROOT.glob("examples/**/*.yaml")
    }
    for page in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]:
        for index, block in enumerate(page.read_text().split("```yaml\n")[1:]):
            texts[f"{page.relative_to(ROOT)}#{index}"] = block.partition("```")[0]
    for name, text in texts.items():
        for body in yaml.safe_load_all(text):
            if isinstance(body, dict) and body.get("kind") == "ModelDeployment":
                yield pytest.param(body, id=name)


@pytest.mark.parametrize("body", list(_manifests()))
def test_the_manifests_that_we_show_are_right(body: Json) -> None:
    assert parse_deployment(body).image
