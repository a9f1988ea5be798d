"""Lines 11 and 14: nothing that is written is evaluated, and no amount of it stops the operator."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from canarium.cost.prices import read_prices
from canarium.metrics.own_profiles import parse_profiles

from testbed.operators.running import ROOT
from testbed.scenario.manifests import Json, rollout, simulated
from testbed.scenario.scenario import get_condition, in_state, named, phase
from tests.security.estate import Place, refusal, until
from tests.security.inner import OPEN, inner, try_out

pytestmark = [pytest.mark.timeout(600, func_only=True)]
SECONDS = 120.0
EXPRESSIONS = (
    "{{ 7 * 7 }}",
    "{{ model.__class__.__mro__ }}",
    "{0.__class__}",
    "{model}",
    "%(model)s",
    "${MODEL}",
    "$(id)",
    "`id`",
    "!!python/object/apply:os.system [id]",
)


def test_no_text_of_a_spec_is_evaluated(served: Place) -> None:
    """The other half: what the same texts become where something does evaluate them."""
    assert EXPRESSIONS[2].format(7) == "<class 'int'>"
    variables = [{"name": f"E{n}", "value": text} for n, text in enumerate(EXPRESSIONS)]
    annotations = {f"example.com/e{n}": text for n, text in enumerate(EXPRESSIONS)}
    server = {"image": "a", "env": variables, "args": list(EXPRESSIONS)}

    served.write(simulated("v1", server=server, pod={"annotations": annotations}))
    served.scenario.wait(phase("Healthy"), SECONDS)

    for pod in served.scenario.all_of("Pod"):
        (container,) = pod["spec"]["containers"]
        assert container["env"] == variables
        assert container["args"] == list(EXPRESSIONS)
        assert pod["metadata"]["annotations"].items() >= annotations.items()


def plant(marker: Path) -> str:
    """YAML that makes a folder where tags are obeyed."""
    return f"a: !!python/object/apply:os.mkdir ['{marker}']"


def test_tags_in_yaml_are_obeyed_by_nothing_of_ours(tmp_path: Path) -> None:
    marker, obeyed = tmp_path / "marker", tmp_path / "obeyed"
    yaml.unsafe_load(plant(obeyed))
    assert obeyed.exists()
    file = tmp_path / "file.yaml"
    file.write_text(plant(marker))

    profiles, problems = parse_profiles({"mine": plant(marker)})
    assert profiles == {}
    assert "is neither YAML nor JSON" in problems[0]
    with pytest.raises(Exception, match="could not determine a constructor"):
        read_prices(str(file))
    for words in (("explain", "-f", str(file)), ("operator", "run", "--kubeconfig", str(file))):
        ended = subprocess.run(
            [sys.executable, "-m", "canarium", *words], capture_output=True, text=True, check=False
        )
        assert ended.returncode != 0
        assert "Traceback" not in ended.stderr
    assert not marker.exists()


def steps(count: int) -> Json:
    return {"rollout": {"steps": [{"name": f"s{n}", "weight": 1} for n in range(count)]}}


def judged(**fields: Any) -> Json:
    metric = {"name": "a", "min": "1", "web": {"url": "http://a.example", "value": "$.a"}}
    return {"rollout": {"analysis": {"metrics": [{**metric, **fields}]}}}


FLOODS: dict[str, tuple[Json, str]] = {
    "steps": (steps(10_000), "spec.rollout.steps: Too many: 10000: must have at most 20 items"),
    "zero-interval": (judged(interval="0s"), "spec.rollout.analysis.metrics[0].interval"),
    "tiny-interval": (judged(interval="1ms"), "spec.rollout.analysis.metrics[0].interval"),
    "header": (
        {
            "rollout": {
                "steps": [{"name": "a", "headers": [{"name": "x", "value": "a\x1b]0;b\x07"}]}]
            }
        },
        "spec.rollout.steps[0].headers[0].value in body should match",
    ),
    "metrics": (
        {"rollout": {"analysis": {"metrics": [{"name": f"m{n}"} for n in range(1_000)]}}},
        "spec.rollout.analysis.metrics: Too many: 1000",
    ),
    "labels": (
        {"pod": {"labels": {f"l{n}": "x" for n in range(1_000)}}},
        "spec.pod.labels: Too many: 1000",
    ),
    "text": (
        {"server": {"image": "a", "env": [{"name": "A", "value": "x" * 900_000}]}},
        "spec.server.env[0].value: Too long: may not be more than 32768 bytes",
    ),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_is_refused_as_it_is_written(place: Place, flood: str) -> None:
    spec, words = FLOODS[flood]
    body = simulated("v1", **spec)
    assert place.accepted_without_guards(body)
    assert words in place.refusal(body)


SLOW = "$..[?search(@.a, '(a+)+$')]"
"A path that tries 2^n ways to split n letters."
FOLLOWED = "from jsonpath import findall; import sys; findall(sys.argv[1], sys.argv[2])"


def test_an_expression_that_takes_for_ever_is_neither_run_nor_asked_for(place: Place) -> None:
    """The other half: the library follows it, and is not done while anybody would wait."""
    body = json.dumps({"score": {"a": "a" * 40 + "b"}})
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run([sys.executable, "-c", FOLLOWED, SLOW, body], check=True, timeout=3)
    place.operator.start(*OPEN)
    with inner(body=body) as server:
        metric = {"min": "1", "web": {"url": server.url, "value": SLOW}}

        found = try_out(place, **metric)

        words = "score: a path with a function, which is not supported: compare values instead"
        assert get_condition(found, "Judged")["message"] == words
        assert server.asked == []


def test_what_is_larger_than_any_object_may_be_is_refused_by_the_apiserver(place: Place) -> None:
    env = [{"name": f"A{number}", "value": "x" * 32_000} for number in range(120)]
    body = simulated("v1", server={"image": "a", "env": env})
    assert "equest entity too large" in refusal(lambda: create(place, body))


def create(place: Place, body: Json) -> str:
    return place.tenant("create", "-f", "-", stdin=json.dumps(body))


def test_the_largest_spec_that_is_taken_is_served_and_its_neighbour_too(served: Place) -> None:
    """It is in the ModelRevision twice, as its source and as its template."""
    env = [{"name": f"A{number}", "value": "x" * 32_000} for number in range(12)]
    large = simulated("v1", server={"image": "a", "env": env})
    neighbour = simulated("v1")
    neighbour["metadata"] = {"name": "neighbour"}

    create(served, large)
    served.write(neighbour)

    served.scenario.wait(phase("Healthy"), SECONDS)
    served.scenario.wait(phase("Healthy"), SECONDS, model="neighbour")


def test_a_spec_that_no_record_can_hold_says_so_and_its_neighbour_is_served(served: Place) -> None:
    env = [{"name": f"A{number}", "value": "x" * 32_000} for number in range(40)]
    neighbour = simulated("v1")
    neighbour["metadata"] = {"name": "neighbour"}

    create(served, simulated("v1", server={"image": "a", "env": env}))
    served.write(neighbour)

    served.scenario.wait(phase("Healthy"), SECONDS, model="neighbour")
    found = served.scenario.wait(
        named(lambda m: m.get("status", {}).get("reason") == "Invalid", "reason Invalid"), SECONDS
    )
    assert "template" in found["status"]["message"]


CONTROL = "\x1b[2J\x1b[31mforged\r\nlevel=info everything is fine\x00\u202e"


def test_words_of_others_are_one_printable_line_in_status_events_and_logs(served: Place) -> None:
    """The other half: the apiserver keeps them as they were written where they come from."""
    served.write(simulated("v1"))
    served.scenario.wait(phase("Healthy"), SECONDS)
    served.write(simulated("v2", rollout=rollout((50, "60s"), guard={"duration": "0s"})))
    found = served.scenario.wait(in_state("Holding"), SECONDS)
    canary = found["status"]["canary"]["revision"]
    pod = next(
        pod
        for pod in served.scenario.all_of("Pod")
        if pod["metadata"]["labels"].get("canarium.dev/revision") == canary
    )
    said = CONTROL.replace("\x00", "")
    waiting = {"state": {"waiting": {"reason": "CreateContainerError", "message": said}}}
    (container,) = pod["status"]["containerStatuses"]
    body = {"status": {"containerStatuses": [{**container, **waiting, "ready": False}]}}
    name = pod["metadata"]["name"]
    words = ("--subresource=status", "--type=strategic", "-o", "json", "-p", json.dumps(body))
    # Not read afterwards: the pod is taken back by then, on a busy machine.
    patched = json.loads(served.admin("patch", "pod", name, *words))
    (kept,) = patched["status"]["containerStatuses"]
    assert kept["state"]["waiting"]["message"] == said

    found = served.scenario.wait(phase("RolledBack"), SECONDS)

    assert "forged level=info everything is fine" in found["status"]["message"]
    assert found["status"]["message"].isprintable()
    assert get_condition(found, "Stalled")["message"].isprintable()
    events = json.loads(served.admin("get", "events", "-o", "json"))["items"]
    assert all(event["message"].isprintable() for event in events if "forged" in event["message"])
    until(lambda: "forged" in served.operator.log.read_text(), SECONDS, "a line in the log")
    lines = served.operator.log.read_text().split("\n")
    assert [line for line in lines if not line.isprintable()] == []


def test_the_log_as_json_is_one_object_a_line(place: Place) -> None:
    place.operator.start("--log-format", "json")
    place.write(simulated("v1"))
    place.scenario.wait(phase("Healthy"), SECONDS)
    place.operator.stop()

    lines = place.operator.log.read_text().splitlines()
    assert lines
    assert all(isinstance(json.loads(line), dict) for line in lines)


def test_nothing_of_ours_evaluates_texts() -> None:
    """Whoever adds a template engine, or loads YAML with its tags, meets this."""
    found = [
        f"{file.name}: {word}"
        for file in (ROOT / "operator").rglob("*.py")
        for word in ("eval(", "exec(", "unsafe_load", "yaml.load(", "jinja2", "pickle", "os.system")
        if any(
            line.lstrip().startswith(word) or f" {word}" in line or f"={word}" in line
            for line in file.read_text().splitlines()
        )
    ]
    assert found == []
