"""Line 12: a tag that is moved between canary and promotion."""

from __future__ import annotations

import json
import time

import pytest

from testbed.scenario.manifests import Json, rollout, simulated
from testbed.scenario.scenario import in_state, phase
from tests.security.estate import Place

pytestmark = [pytest.mark.timeout(600, func_only=True)]
SECONDS = 120.0
OLD, NEW = "sha256:" + "a" * 64, "sha256:" + "b" * 64
IMAGE = "registry.example.com/iris"
STEPS = rollout((50, "60s"), guard={"duration": "0s"})
GOES_ON = "canarium.dev/promote={revision}:1@1"


def run_digest(place: Place, pod: Json, digest: str) -> None:
    """Have a simulated pod say what a runtime says of the image that it pulled."""
    (container,) = pod["status"]["containerStatuses"]
    body = {"status": {"containerStatuses": [{**container, "imageID": f"{IMAGE}@{digest}"}]}}
    name = pod["metadata"]["name"]
    words = ("--subresource=status", "--type=strategic", "-p", json.dumps(body))
    place.admin("patch", "pod", name, *words)


def canaries(place: Place, revision: str) -> list[Json]:
    """The canary's pods that run."""
    return [
        pod
        for pod in place.scenario.all_of("Pod")
        if pod["metadata"]["labels"].get("canarium.dev/revision") == revision
        and pod["status"].get("containerStatuses")
    ]


def pull(place: Place, *digests: str, image: str = f"{IMAGE}:v2") -> tuple[str, dict[str, str]]:
    """Hold a canary of as many pods in its first step; its revision, and what each has pulled."""
    place.write(simulated("v1", scaling={"replicas": 4}))
    place.scenario.wait(phase("Healthy"), SECONDS)
    spec = {"server": {"image": image}, "scaling": {"replicas": 4}, "rollout": STEPS}
    place.write(simulated("v2", **spec))
    found = place.scenario.wait(in_state("Holding"), SECONDS)
    revision = str(found["status"]["canary"]["revision"])
    pods = canaries(place, revision)
    assert len(pods) == len(digests)
    for pod, digest in zip(pods, digests, strict=True):
        run_digest(place, pod, digest)
    names = [pod["metadata"]["name"] for pod in pods]
    return revision, dict(zip(names, digests, strict=True))


def test_pods_of_one_revision_that_run_two_images_are_taken_back_with_the_cure(
    served: Place,
) -> None:
    _, pulled = pull(served, OLD, NEW)

    found = served.scenario.wait(phase("RolledBack"), SECONDS)

    assert found["status"]["reason"] == "ImagesDiffer"
    first, second = (f"{digest[:19]} in pod {name}" for name, digest in sorted(pulled.items()))
    assert found["status"]["message"] == (
        f"container server: {IMAGE}:v2 is {first} and {second}, so its tag was moved; write a"
        " digest (name@sha256:...) in spec.server.image"
    )
    assert [each["reason"] for each in found["status"]["rejected"]] == ["ImagesDiffer"]


@pytest.mark.parametrize(
    ("digests", "image"),
    [((OLD, OLD), f"{IMAGE}:v2"), ((OLD, NEW), f"{IMAGE}@{OLD}")],
    ids=["one-image", "digest-in-the-spec"],
)
def test_one_image_and_one_that_is_named_by_its_digest_are_promoted(
    served: Place, digests: tuple[str, str], image: str
) -> None:
    revision, _ = pull(served, *digests, image=image)
    time.sleep(1)  # no event says that nothing is found
    served.tenant("annotate", "mdep", "iris", GOES_ON.format(revision=revision))

    found = served.scenario.wait(phase("Healthy"), SECONDS)

    assert found["status"]["stable"]["revision"] == revision
