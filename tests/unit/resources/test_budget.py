from canarium.core.observed import Meta, ModelObject
from canarium.core.spec import JobSpec
from canarium.resources.budget import make_budget
from canarium.resources.job import Judged, make_job

MODEL = ModelObject(Meta("risk", "fraud", "uid-of-the-model", "1"), spec=None)


def test_all_pods_of_a_model_have_one_budget_together() -> None:
    assert make_budget(MODEL, "10%") == {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {
            "name": "fraud",
            "namespace": "risk",
            "labels": {
                "app.kubernetes.io/managed-by": "canarium",
                "canarium.dev/model": "fraud",
            },
            "ownerReferences": [
                {
                    "apiVersion": "canarium.dev/v1alpha1",
                    "kind": "ModelDeployment",
                    "name": "fraud",
                    "uid": "uid-of-the-model",
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": {
            "maxUnavailable": "10%",
            "selector": {"matchLabels": {"canarium.dev/model": "fraud"}},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def test_a_number_of_pods_is_written_as_a_number() -> None:
    assert make_budget(MODEL, "2")["spec"]["maxUnavailable"] == 2


def test_a_budget_leaves_the_pods_of_jobs_out() -> None:
    wanted = make_budget(MODEL, "2")["spec"]["selector"]["matchLabels"]
    judged = Judged("5d8f7c9b64", "7", "http://fraud", '{"spec":{}}')
    job = make_job(MODEL, "smoke", JobSpec("smoke", '{"image":"smoke:1"}'), judged)
    labels = job["spec"]["template"]["metadata"]["labels"]
    assert not wanted.items() <= labels.items()
