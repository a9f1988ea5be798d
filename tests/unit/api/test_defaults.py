"""Defaults of a cluster: where they hold, where they don't, and which are refused."""

from pathlib import Path
from typing import Any

import pytest
from canarium.api import parse_deployment
from canarium.api.modeldeployment.defaults import NO_DEFAULTS, Defaults, parse_defaults
from canarium.core.spec import RolloutSpec, Step
from canarium.errors import ConfigError, SpecError
from canarium.shell.startup_files import read_defaults

Json = dict[str, Any]
STEPS = [{"name": "ten", "weight": 10, "hold": "1m"}]
ANALYSIS = {"metrics": [{"name": "error-rate", "max": "5%"}]}
EVERYTHING: Json = {
    "steps": STEPS,
    "analysis": ANALYSIS,
    "progressDeadline": "20m",
    "emergencyAfter": "30s",
    "guard": {"duration": "1h"},
    "capacity": "InPlace",
    "revisionHistoryLimit": 3,
}
COUNTED = {"image": "registry.example/fraud:7", "metrics": {"port": 8082, "profile": "MLServer"}}


def read(defaults: Json, server: Json | None = None, **rollout: Any) -> RolloutSpec:
    spec = {"server": server or COUNTED, **({"rollout": rollout} if rollout else {})}
    body = {"metadata": {"name": "fraud", "namespace": "risk"}, "spec": spec}
    return parse_deployment(body, parse_defaults(defaults)).rollout


def test_an_object_that_says_nothing_is_rolled_out_by_the_defaults() -> None:
    rollout, written = read(EVERYTHING), read({}, **EVERYTHING)
    assert rollout == written
    assert rollout.defaulted == (
        *("steps", "analysis", "progressDeadline", "emergencyAfter", "guard", "capacity"),
    )
    assert rollout.raw == {**written.raw, "defaulted": list(rollout.defaulted)}


def test_what_an_object_writes_is_its_own_and_whole() -> None:
    rollout = read(EVERYTHING, guard={"duration": "5m"}, analysis={**ANALYSIS, "minRequests": 7})
    assert (rollout.guard_seconds, rollout.analysis and rollout.analysis.min_requests) == (300, 7)
    assert rollout.defaulted == ("steps", "progressDeadline", "emergencyAfter", "capacity")


@pytest.mark.parametrize("own", [{"strategy": "Rolling"}, {"steps": []}])
def test_steps_and_a_strategy_are_one_field_of_two_names(own: Json) -> None:
    assert read({"steps": STEPS}, **own) == read({}, **own)
    assert read({"strategy": "Canary"}, **own) == read({}, **own)


def test_a_strategy_may_be_a_default_and_is_copied_as_its_steps() -> None:
    rollout = read({"strategy": "Canary"})
    assert rollout == read({}, strategy="Canary")
    assert (rollout.strategy, rollout.defaulted) == ("Canary", ("steps",))


def test_a_default_that_does_not_fit_an_object_is_left_out_and_that_is_said() -> None:
    rollout = read(EVERYTHING, server={"image": "registry.example/fraud:7"})
    assert (rollout.analysis, rollout.steps) == (None, (Step("ten", 10, 60.0),))
    (unfit,) = rollout.unfit
    assert unfit == (
        "analysis (spec.server.metrics: rollout.analysis needs the pods' own counters: add"
        " server.metrics with port, path and profile)"
    )


def test_what_is_wrong_in_an_object_is_told_of_the_object_alone() -> None:
    with pytest.raises(SpecError) as caught:
        read(EVERYTHING, guard={"duration": "soon"})
    assert [problem.field for problem in caught.value.problems] == ["spec.rollout.guard.duration"]


def test_the_revision_that_a_spec_names_has_nothing_to_do_with_defaults() -> None:
    body = {"metadata": {"name": "fraud", "namespace": "risk"}, "spec": {"server": COUNTED}}
    plain, filled = parse_deployment(body), parse_deployment(body, Defaults(EVERYTHING))
    assert (plain.canonical, plain.source) == (filled.canonical, filled.source)


WRONG = [
    ([], ": write a mapping with the fields of spec.rollout"),
    ({"gaurd": {}}, "gaurd: no such field: did you mean guard?"),
    ({"progressDeadline": 5}, "progressDeadline: write a string (in quotes when it looks"),
    ({"paused": True}, "paused: pausing is a person's own edit of one object: leave it out"),
    (
        {
            "experiment": {"metric": "clicks"},
            "analysis": {"metrics": [{"name": "clicks", "prometheus": {"query": "x"}}]},
        },
        "experiment: an experiment is about one model: leave it out",
    ),
    ({"strategy": "Shadow"}, "strategy: write steps with weights only"),
    ({"strategy": "BlueGreen"}, "strategy: write steps with weights only"),
    ({"steps": [{"name": "a", "mirror": {"percent": 5}}]}, "steps[0]: write steps with weights"),
    (
        {"guard": {"duration": "1h", "holdback": 5}},
        "guard.holdback: not every router can hold back: leave it out",
    ),
    (
        {"analysis": {"metrics": [{"name": "own", "max": "1", "templateRef": {"name": "own"}}]}},
        "analysis.metrics[0].templateRef: name a ClusterMetricTemplate",
    ),
    ({"steps": [{"name": "a", "weight": 9}, {"name": "b", "weight": 5}]}, "steps[1].weight: weig"),
]


@pytest.mark.parametrize(("written", "words"), WRONG)
def test_defaults_of_no_use_are_refused_with_the_field_and_a_cure(written: Any, words: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_defaults(written)
    assert words.removeprefix(": ") in str(caught.value)


def test_what_defaults_have_all_objects_ask_is_listed() -> None:
    quality = {
        "name": "score",
        "web": {"url": "https://quality.example/", "value": "$"},
        "min": "1",
    }
    clicks = {"name": "clicks", "prometheus": {"address": "http://p.m:9090", "query": "up"}}
    analysis = {
        "gateway": {"address": "http://traefik-metrics.gateways:9100/metrics"},
        "metrics": [quality, {**clicks, "min": "1"}, {"name": "error-rate", "max": "5%"}],
    }
    assert parse_defaults({"analysis": analysis}).addresses == (
        "http://traefik-metrics.gateways:9100/metrics",
        "https://quality.example/",
        "http://p.m:9090",
    )
    assert NO_DEFAULTS.addresses == ()


def test_without_a_file_or_with_an_empty_one_there_are_no_defaults(tmp_path: Path) -> None:
    empty = tmp_path / "defaults.yaml"
    empty.write_text("# nothing yet\n")
    assert (read_defaults(""), read_defaults(str(empty))) == (NO_DEFAULTS, NO_DEFAULTS)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("guard: {duration: soon}", "has no defaults of use: guard.duration: "),
        ("guard: [", "is no YAML: "),
        ("!!python/object/apply:os.system [true]", "is no YAML: "),
    ],
)
def test_a_file_of_no_use_is_named(text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "defaults.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=words):
        read_defaults(str(file))


def test_a_missing_file_is_named() -> None:
    with pytest.raises(
        ConfigError, match=r"^defaults cannot be read from /nowhere/at\.all: No such"
    ):
        read_defaults("/nowhere/at.all")
