"""Metrics that are asked for: templates, a web address, Prometheus, and the Secret for them."""

from collections import Counter
from typing import Any

import pytest

from testbed.operators.grants import grant
from testbed.rights.ledger import expect_refusal
from testbed.rights.requests import Right
from testbed.scenario.manifests import Json, rollout, simulated
from testbed.scenario.scenario import (
    Holds,
    Scenario,
    condition,
    counts,
    get_condition,
    in_state,
    named,
    phase,
)
from testbed.servers.metric_web import answering, vector

pytestmark = [pytest.mark.timeout(420, func_only=True)]
SECONDS = 90.0


def steps(*metrics: Json, hold: str = "3s") -> Json:
    terms = rollout((50, hold), analysis=list(metrics), guard={"duration": "0s"})
    terms["analysis"]["minRequests"] = 0
    return terms


def template(name: str, **spec: Any) -> Json:
    about = {"apiVersion": "canarium.dev/v1alpha1", "kind": "MetricTemplate"}
    return {**about, "metadata": {"name": name}, "spec": {"interval": "1s", **spec}}


def score(**bounds: Any) -> Json:
    return {
        "name": "score",
        "templateRef": {"name": "score"},
        "arguments": [{"name": "set", "value": "a&b"}],
        **bounds,
    }


def test_a_version_below_the_bound_of_a_template_is_taken_back(rehearsal: Scenario) -> None:
    asked = set[str]()

    def answer(path: str, _query: str) -> Any:
        asked.add(path)
        return {"data": {"score": 0.95 if "/v2" in path else 0.5}}

    with answering(answer) as web:
        query = {
            "url": web.url + "/{{version}}?set={{set}}",
            "value": "$.data.score",
            "secretRef": {"name": "quality"},
        }
        rehearsal.apply(template("score", web=query, arguments=[{"name": "set"}]))
        grant(rehearsal, "quality", token="s3cret")
        rehearsal.apply(simulated("v1"))
        rehearsal.wait(phase("Healthy"), SECONDS)
        rehearsal.apply(simulated("v2", rollout=steps(score(min="0.9"))))
        rehearsal.wait(phase("Healthy"), SECONDS)
        rehearsal.apply(simulated("v3", rollout=steps(score(min="0.9"), hold="60s")))

        found = rehearsal.wait(phase("RolledBack"), SECONDS)

        assert found["status"]["reason"] == "BelowMin"
        assert found["status"]["stable"]["version"] == "v2"
        (rejected,) = found["status"]["rejected"]
        assert "below 0.9" in rejected["message"]
        working = condition("Working", "True", "Answered")
        rehearsal.wait_for("MetricTemplate", "score", working, SECONDS)
    assert {"/v2?set=a%26b", "/v3?set=a%26b"} <= asked
    assert set(web.authorizations) == {"Bearer s3cret"}


def test_without_the_right_to_a_secret_nothing_passes_and_status_says_what_to_grant(
    rehearsal: Scenario,
) -> None:
    with answering(lambda _path, _query: {"score": 1}) as web:
        query = {"url": web.url, "value": "$.score", "secretRef": {"name": "quality"}}
        rehearsal.apply(template("score", web=query))
        why = "nobody has opened the Secret yet"
        expect_refusal(rehearsal.cluster, rehearsal.namespace, Right("", "secrets", "get"), why)
        rehearsal.apply(simulated("v1"))
        rehearsal.wait(phase("Healthy"), SECONDS)
        metric = {**score(min="0.9"), "arguments": []}
        rehearsal.apply(simulated("v2", rollout=steps(metric, hold="1s")))

        words = "may not get Secret quality: grant the operator get on it by a Role"
        found = rehearsal.wait(has_no_data(f"score: {words}"), SECONDS)

        assert found["status"]["stable"]["version"] == "v1"
        fails = condition("Working", "False", "ReadingFailed")
        told = rehearsal.wait_for("MetricTemplate", "score", fails, SECONDS)
        assert words in get_condition(told, "Working")["message"]
        grant(rehearsal, "quality", token="s3cret")

        rehearsal.wait(phase("Healthy"), SECONDS)


def test_a_missing_template_holds_the_step_until_there_is_one(rehearsal: Scenario) -> None:
    rehearsal.apply(simulated("v1"))
    rehearsal.wait(phase("Healthy"), SECONDS)
    metric = {"name": "gpu", "templateRef": {"name": "gpu"}, "max": "10"}
    rehearsal.apply(simulated("v2", rollout=steps(metric, hold="1s")))

    found = rehearsal.wait(condition("Judged", "False", "TemplateNotFound"), SECONDS)

    assert get_condition(found, "Judged")["message"] == "gpu: there is no MetricTemplate gpu"
    rehearsal.wait(in_state("Holding"), SECONDS)
    with answering(lambda _path, _query: vector(3)) as web:
        rehearsal.apply(template("gpu", prometheus={"address": web.url, "query": "gpu"}))
        rehearsal.wait(phase("Healthy"), SECONDS)


def test_a_template_of_the_whole_cluster_is_told_whether_it_works(rehearsal: Scenario) -> None:
    name = f"shared-{rehearsal.namespace}"[:60].rstrip("-")
    with answering(lambda _path, _query: {"score": 1}) as web:
        shared = template(name, web={"url": web.url, "value": "$.score"})
        rehearsal.apply({**shared, "kind": "ClusterMetricTemplate"}, simulated("v1"))
        rehearsal.wait(phase("Healthy"), SECONDS)
        ref = {"kind": "ClusterMetricTemplate", "name": name}
        metric = {"name": "score", "templateRef": ref, "min": "0.9"}
        rehearsal.apply(simulated("v2", rollout=steps(metric, hold="1s")))

        rehearsal.wait(phase("Healthy"), SECONDS)

        working = condition("Working", "True", "Answered")
        rehearsal.wait_for("ClusterMetricTemplate", name, working, SECONDS)
    rehearsal.kubectl("delete", f"clustermetrictemplate/{name}")


def test_counters_of_a_prometheus_are_compared_with_stable(rehearsal: Scenario) -> None:
    readings = Counter[str]()

    def answer(_path: str, query: str) -> Any:
        """Both answer 100 requests a reading; the canary refuses 30 of them, stable 1."""
        readings[query] += 1
        refuses = 30 if 'version="v2"' in query else 1
        return vector(readings[query] * (refuses if query.startswith("refused") else 100))

    with answering(answer) as web:
        series = '{version="{{version}}"}'
        prometheus = {"address": web.url, "bad": f"refused{series}", "total": f"asked{series}"}
        metric = {
            "name": "refusals",
            "prometheus": prometheus,
            "vsStable": {"maxIncrease": "1%"},
            "interval": "1s",
        }
        rehearsal.apply(simulated("v1"))
        rehearsal.wait(phase("Healthy"), SECONDS)
        rehearsal.apply(simulated("v2", rollout=steps(metric, hold="60s")))

        found = rehearsal.wait(phase("RolledBack"), SECONDS)

    assert found["status"]["reason"] == "RatioTooHigh", found["status"]


def test_an_experiment_promotes_the_version_that_people_click_on_and_refuses_the_other(
    rehearsal: Scenario,
) -> None:
    readings = Counter[str]()

    def answer(_path: str, query: str) -> Any:
        """Of 1,000 people a reading v1 gets 50 to click, v2 80 and v3 60."""
        readings[query] += 1
        clicks = 80 if 'version="v2"' in query else 60 if 'version="v3"' in query else 50
        return vector(readings[query] * (clicks if query.startswith("clicks") else 1000))

    with answering(answer) as web:
        series = '{version="{{version}}"}'
        query = {"address": web.url, "good": f"clicks{series}", "total": f"shown{series}"}
        metric = {"name": "clicks", "prometheus": query, "interval": "1s"}
        terms = {
            **steps(metric),
            "steps": [],
            "experiment": {"metric": "clicks", "minDuration": "3s"},
        }
        rehearsal.apply(simulated("v1"))
        rehearsal.wait(phase("Healthy"), SECONDS)
        rehearsal.apply(simulated("v2", rollout=terms))
        promoted = rehearsal.wait(phase("Healthy"), SECONDS)
        rehearsal.apply(simulated("v3", rollout=terms))

        refused = rehearsal.wait(phase("RolledBack"), SECONDS)

    seen = [dict(c.object) for c in rehearsal.changes() if c.kind == "ModelDeployment"]
    assert any(experimenting(each) for each in seen)
    assert promoted["status"]["stable"]["version"] == "v2"
    assert (refused["status"]["reason"], refused["status"]["stable"]["version"]) == (
        "ExperimentLost",
        "v2",
    )
    assert "evidence that it is better" in refused["status"]["message"]


def experimenting(found: Json) -> bool:
    """in the step of the experiment"""
    rollout = found.get("status", {}).get("rollout", {})
    return bool(rollout.get("stepName") == "experiment")


def smoke(**fields: Any) -> Json:
    """A Job as a metric; simulated nodes let the pods of Jobs succeed at once."""
    return {"name": "smoke", "job": {"image": "registry.example.com/smoke:1", **fields}}


def test_a_version_whose_job_succeeds_is_promoted_and_nothing_is_left_of_it(
    rehearsal: Scenario,
) -> None:
    rehearsal.apply(simulated("v1"))
    rehearsal.wait(phase("Healthy"), SECONDS)
    wanted = smoke(serviceAccountName="default", args=["$(CANARIUM_URL)"])
    rehearsal.apply(simulated("v2", rollout=steps(wanted, hold="60s")))

    found = rehearsal.wait(condition("Judged", "True", "Pass"), SECONDS)

    (job,) = rehearsal.all_of("Job")
    name = job["metadata"]["name"]
    assert get_condition(found, "Judged")["message"] == f"smoke: Job {name} has succeeded"
    (pod,) = (pod for pod in rehearsal.all_of("Pod") if is_of(pod, name))
    assert not {"canarium.dev/model", "canarium.dev/revision"} & pod["metadata"]["labels"].keys()
    assert "volumes" not in pod["spec"], "no token"
    rehearsal.command("promote", found["status"]["canary"]["revision"])
    rehearsal.wait(phase("Healthy"), SECONDS)
    rehearsal.wait_gone("Job", name, SECONDS)
    rehearsal.wait_gone("Pod", pod["metadata"]["name"], SECONDS)


def test_a_version_whose_job_fails_is_taken_back_with_the_jobs_own_words(
    rehearsal: Scenario,
) -> None:
    rehearsal.apply(simulated("v1"))
    rehearsal.wait(phase("Healthy"), SECONDS)
    too_much = {"requests": {"cpu": "100k"}}
    wanted = smoke(timeout="2s", resources=too_much)
    rehearsal.apply(simulated("v2", rollout=steps(wanted, hold="60s")))

    found = rehearsal.wait(phase("RolledBack"), SECONDS)

    (job,) = rehearsal.all_of("Job")
    said = f"smoke: Job {job['metadata']['name']}: DeadlineExceeded: "
    (rejected,) = found["status"]["rejected"]
    assert (rejected["reason"], rejected["message"][: len(said)]) == ("JobFailed", said)


def test_a_job_that_a_quota_refuses_holds_the_step_until_there_is_room(
    rehearsal: Scenario,
) -> None:
    about = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "jobs"}}
    rehearsal.apply({**about, "spec": {"hard": {"count/jobs.batch": "0"}}}, simulated("v1"))
    rehearsal.wait(phase("Healthy"), SECONDS)
    rehearsal.wait_for("ResourceQuota", "jobs", counts({"count/jobs.batch": "0"}), SECONDS)
    rehearsal.apply(simulated("v2", rollout=steps(smoke(), hold="1s")))

    found = rehearsal.wait(has_no_data("exceeded quota: jobs", "QuotaExceeded"), SECONDS)

    assert "rejected" not in found["status"]
    rehearsal.apply({**about, "spec": {"hard": {"count/jobs.batch": "5"}}})
    rehearsal.wait(phase("Healthy"), SECONDS)


def has_no_data(words: str, reason: str | None = None) -> Holds:
    """Holds of a model that is not judged for want of data, in these words (and is so for that)."""

    def holds(found: Json) -> bool:
        said = get_condition(found, "Judged").get("message", "")
        no_data = condition("Judged", "False", "NoData")(found) and words in said
        return no_data and reason in (None, found["status"].get("reason"))

    return named(holds, f"no data: {words}")


def is_of(pod: Json, job: str) -> bool:
    owners = pod["metadata"].get("ownerReferences", [])
    return any((owner["kind"], owner["name"]) == ("Job", job) for owner in owners)
