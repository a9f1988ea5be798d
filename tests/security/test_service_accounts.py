"""Line 3: as whom pods run. Nobody gets an account by a model that isn't theirs to use."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.scenario.manifests import Json, simulated
from testbed.scenario.scenario import phase
from tests.security.estate import (
    POLICY_SECONDS,
    TENANT,
    Estate,
    Place,
    is_taken,
    refusal,
    until,
)

pytestmark = [pytest.mark.timeout(600, func_only=True)]
SECONDS = 120.0
POLICY = "service-accounts"
POD_WORDS = (
    "spec.pod.serviceAccountName: you may not run pods as the service account strong; leave the"
    " field out, or be given the verb use on serviceaccounts/strong by a Role in this namespace"
)
JOB_WORDS = (
    "spec.rollout.analysis.metrics: you may not run a Job as the service account strong; leave"
    " job.serviceAccountName out, or be given the verb use on serviceaccounts/strong by a Role in"
    " this namespace"
)


def running_as(account: str, **spec: Any) -> Json:
    return simulated("v1", pod={"serviceAccountName": account}, **spec)


def judged_as(*accounts: str) -> Json:
    metrics = [
        {"name": f"m{number}", "job": {"image": "a", "serviceAccountName": account}}
        for number, account in enumerate(accounts)
    ]
    return simulated("v1", rollout={"analysis": {"metrics": metrics}})


def allow(place: Place, verb: str, account: str = "strong") -> None:
    rule = {"apiGroups": [""], "resources": ["serviceaccounts"], "resourceNames": [account]}
    place.grant(TENANT, {**rule, "verbs": [verb]})


@pytest.mark.parametrize(
    ("body", "words"),
    [(running_as("strong"), POD_WORDS), (judged_as("strong"), JOB_WORDS)],
    ids=["pods", "jobs"],
)
def test_an_account_that_is_not_ones_own_is_refused_and_only_by_the_policy(
    estate: Estate, place: Place, body: Json, words: str
) -> None:
    with estate.without(POLICY):
        until(lambda: is_taken(lambda: dry(place, body)), POLICY_SECONDS, "a lifted policy")

    until(lambda: not is_taken(lambda: dry(place, body)), POLICY_SECONDS, "a policy in force")
    assert words in place.refusal(body)


def dry(place: Place, body: Json) -> None:
    place.write(body, "--dry-run=server")


@pytest.mark.parametrize("verb", ["use", "impersonate"])
def test_whoever_may_use_or_impersonate_an_account_may_run_pods_and_jobs_as_it(
    place: Place, verb: str
) -> None:
    assert POD_WORDS in place.refusal(running_as("strong"))
    allow(place, verb)

    assert place.write(running_as("strong"))["spec"]["pod"] == {"serviceAccountName": "strong"}
    dry(place, judged_as("strong", "strong"))


def test_the_default_account_and_none_need_nothing(place: Place) -> None:
    for body in (running_as("default"), judged_as("default"), simulated("v1")):
        dry(place, body)


def test_what_an_admin_runs_under_an_account_is_not_the_tenants_to_replace(place: Place) -> None:
    place.apply(running_as("strong"))

    paused = merge(place, '{"spec": {"rollout": {"paused": true}}}')
    assert paused == "modeldeployment.canarium.dev/iris patched\n"
    place.tenant("annotate", "mdep", "iris", "canarium.dev/abort=x@1")
    place.tenant("scale", "mdep", "iris", "--replicas=3")
    image = '{"spec": {"server": {"image": "registry.example.com/other:1"}}}'
    assert POD_WORDS in refusal(lambda: merge(place, image))
    unnamed = '{"spec": {"pod": null, "server": {"image": "registry.example.com/other:1"}}}'
    assert merge(place, unnamed) == paused


def test_going_back_gives_nobody_an_account(served: Place) -> None:
    """The other half: once the spec names the account, which its writer was asked for, it goes."""
    about = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "strong"}}
    served.apply(about)
    served.apply(running_as("strong"))
    first = served.scenario.wait(phase("Healthy"), SECONDS)["status"]["stable"]["revision"]
    served.write(simulated("v2", rollout={"guard": {"duration": "0s"}}))
    served.scenario.wait(lambda m: serves(m, "v2"), SECONDS)

    served.tenant("annotate", "mdep", "iris", f"canarium.dev/rollback={first}@1")
    refused = served.scenario.wait(
        lambda m: "rollback" in m["status"].get("ignoredCommands", {}), SECONDS
    )
    words = f"revision {first} runs as the service account strong, which the spec doesn't name"
    assert refused["status"]["ignoredCommands"]["rollback"].startswith(words)
    assert serves(refused, "v2")

    served.apply(merged(running_as("strong"), version="v3"))
    served.scenario.wait(lambda m: serves(m, "v3"), SECONDS)
    served.tenant("annotate", "--overwrite", "mdep", "iris", f"canarium.dev/rollback={first}@2")
    served.scenario.wait(lambda m: serves(m, "v1"), SECONDS)


def serves(model: Json, version: str) -> bool:
    """Whether this version has all the traffic, and nothing else goes on."""
    status = model.get("status") or {}
    at_rest = status.get("phase") == "Healthy" or status.get("reason") == "Overridden"
    return at_rest and (status.get("stable") or {}).get("version") == version


def merged(body: Json, *, version: str) -> Json:
    return {**body, "spec": {**body["spec"], "model": {"version": version}}}


def merge(place: Place, patch: str) -> str:
    return place.tenant("patch", "mdep", "iris", "--type=merge", "-p", patch)


def test_jobs_of_several_accounts_are_refused_before_anybody_is_asked(place: Place) -> None:
    allow(place, "use", "one")
    words = "the Jobs name more than one service account beside the pods' own and default"
    assert words in place.refusal(judged_as("one", "two"))


def test_no_pod_of_a_model_has_a_token(served: Place) -> None:
    """The other half: a pod that somebody makes directly gets one unless it refuses it."""
    direct = served.create_pod({"containers": [{"name": "a", "image": "a"}]})
    served.write(simulated("v1"))
    served.scenario.wait(phase("Healthy"), SECONDS)

    assert projected(direct) == ["serviceAccountToken"]
    pods = served.scenario.all_of("Pod")
    assert pods
    assert [projected(pod) for pod in pods] == [[]] * len(pods)


def projected(pod: Json) -> list[str]:
    """The volumes of a pod that hold a token."""
    sources = (
        source
        for volume in pod["spec"].get("volumes", [])
        for source in volume.get("projected", {}).get("sources", [])
    )
    return [name for source in sources for name in source if name == "serviceAccountToken"]


def test_a_projected_token_has_no_field(place: Place) -> None:
    token = {"serviceAccountToken": {"path": "token", "audience": "vault"}}
    volume = {"name": "v", "projected": {"sources": [token]}}
    direct = place.create_pod({"containers": [{"name": "a", "image": "a"}], "volumes": [volume]})
    body = simulated("v1", pod={"volumes": [volume]})

    assert direct["spec"]["volumes"][0]["projected"]["sources"][0]["serviceAccountToken"]
    assert place.accepted_without_guards(body)
    unknown = 'unknown field "spec.pod.volumes[0].projected.sources[0].serviceAccountToken"'
    assert unknown in place.refusal(body)
    assert "exactly one of configMap, secret, downwardAPI" in place.refusal(
        body, "--validate=ignore"
    )
