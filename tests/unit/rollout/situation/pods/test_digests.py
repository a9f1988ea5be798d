"""A tag that is moved while a revision is being rolled out, and what pods that are refused say."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
from canarium.core.observed import ContainerState, DeploymentRecord, Meta, PodRecord
from canarium.rollout.situation.pods.faults import ROOT_CURE, STANDARD_CURE, Fault, find_fault

from tests.properties.world import World, make_spec

REVISION = "7b9d6f5c88"
OLD, NEW = "sha256:" + "a" * 64, "sha256:" + "b" * 64
PULLED = "registry.example/fraud@"


def pod(name: str, *images: str, **state: Any) -> PodRecord:
    names = ("server", "log")
    pairs = zip(names, images, strict=False)
    containers = tuple(ContainerState(each, image_id=image, **state) for each, image in pairs)
    return PodRecord(Meta("risk", name, name, "1"), REVISION, containers=containers)


def deployment(image: str = "registry.example/fraud:7", failure: str = "") -> DeploymentRecord:
    spec = {
        "containers": [{"name": "server", "image": image}],
        "initContainers": [{"name": "log", "image": "registry.example/log:1"}],
    }
    template = json.dumps({"spec": spec}).encode()
    meta = Meta("risk", f"fraud-{REVISION}", "d", "1")
    return DeploymentRecord(meta, REVISION, 2, template, failure_message=failure)


def test_pods_that_run_different_images_are_the_revisions_fault_and_a_digest_cures_it() -> None:
    pods = [pod("one", PULLED + OLD), pod("two", PULLED + NEW)]
    words = (
        "container server: registry.example/fraud:7 is sha256:aaaaaaaaaaaa in pod one and"
        " sha256:bbbbbbbbbbbb in pod two, so its tag was moved; write a digest (name@sha256:...)"
        " in spec.server.image"
    )
    assert find_fault(REVISION, pods, deployment()) == Fault("Revision", "ImagesDiffer", words)


@pytest.mark.parametrize(
    ("pods", "image"),
    [
        ([pod("one", PULLED + OLD), pod("two", PULLED + OLD)], "fraud:7"),
        ([pod("one", PULLED + OLD), pod("two", "mirror.example/fraud@" + OLD)], "fraud:7"),
        ([pod("one", PULLED + OLD), pod("two", "")], "fraud:7"),
        ([pod("one", PULLED + OLD), pod("two", NEW)], "fraud:7"),
        ([pod("one", PULLED + OLD), pod("two", PULLED + NEW)], "fraud:7@" + OLD),
        (
            [
                pod("one", PULLED + OLD),
                replace(pod("two", PULLED + NEW), meta=Meta("risk", "two", "", "", deleting=True)),
            ],
            "fraud:7",
        ),
        (
            [pod("one", PULLED + OLD), replace(pod("two", PULLED + NEW), revision="5d8f7c9b64")],
            "fraud:7",
        ),
    ],
    ids=["same", "mirror", "not-yet", "loaded", "pinned", "on-its-way-out", "other-revision"],
)
def test_what_cannot_be_told_apart_is_no_fault(pods: list[PodRecord], image: str) -> None:
    assert find_fault(REVISION, pods, deployment(image)) is None


def test_what_is_said_of_many_pods_is_the_same_in_any_order() -> None:
    images = (OLD, NEW, NEW, OLD, "sha256:" + "c" * 64)
    pods = [pod(name, PULLED + digest) for name, digest in zip("abcde", images, strict=True)]
    found = {find_fault(REVISION, order, deployment()) for order in permutations(pods)}
    assert [fault and fault.message.partition(" is ")[2][:63] for fault in found] == [
        "sha256:aaaaaaaaaaaa in pod a and sha256:bbbbbbbbbbbb in pod b, "
    ]


def test_a_sidecars_image_is_compared_too() -> None:
    pods = [pod("one", PULLED + OLD, PULLED + OLD), pod("two", PULLED + OLD, PULLED + NEW)]
    found = find_fault(REVISION, pods, deployment())
    assert found is not None
    assert found.message.startswith("container log: registry.example/log:1 is ")


@pytest.mark.parametrize(
    "words",
    [
        "container has runAsNonRoot and image will run as root",
        "container has runAsNonRoot and image has non-numeric user (model)",
        "container's runAsUser breaks non-root policy",
    ],
)
def test_an_image_that_runs_as_root_is_told_how_it_may(words: str) -> None:
    stuck = pod("one", "", waiting_reason="CreateContainerConfigError", waiting_message=words)
    message = f"pod one, container server: {words}; {ROOT_CURE}"
    assert find_fault(REVISION, [stuck], deployment()) == Fault(
        "Revision", "CreateContainerConfigError", message
    )


def test_pods_that_pod_security_refuses_are_the_environments_fault_with_what_to_change() -> None:
    words = 'pods "a" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true'
    fault = Fault("Environment", "PodSecurityDenied", f"{words}; {STANDARD_CURE}")
    assert find_fault(REVISION, [], deployment(failure=words)) == fault


def test_pods_that_name_too_little_for_a_quota_are_refused_by_it() -> None:
    words = 'pods "a" is forbidden: failed quota: models: must specify requests.cpu for: server'
    fault = Fault("Environment", "QuotaExceeded", words)
    assert find_fault(REVISION, [], deployment(failure=words)) == fault


class Moved(World):
    """A world in which a tag is moved as soon as its revision has a pod."""

    def _age(self, one: PodRecord) -> PodRecord:
        mine = [p for p in self.pods.values() if p.revision == one.revision]
        late = self.version_of(one.revision) == "2" and mine[0].meta.name != one.meta.name
        running = ContainerState("server", image_id=PULLED + (NEW if late else OLD))
        return replace(super()._age(one), containers=(running,))


def test_a_tag_that_is_moved_in_mid_rollout_takes_the_canary_back() -> None:
    world = at_rest(Moved(make_spec("1", replicas=4)))
    world.apply(make_spec("2", replicas=4))
    world.run(200.0)
    assert (world.state, world.stable) == ("Rejected", "1")
    assert [each.reason for each in world.status.rejected] == ["ImagesDiffer"]


def test_pods_of_stable_that_came_to_differ_are_named_at_rest() -> None:
    world = at_rest(Moved(make_spec("2", replicas=1)))
    world.apply(make_spec("2", replicas=2))
    world.run(60.0)
    assert (world.state, world.status.reason) == ("Idle", "ImagesDiffer")
    assert world.status.message.startswith("version 2 serves all; container server: ")


def at_rest(world: World) -> World:
    """The same world, once its first version serves."""
    world.run_until("Idle")
    world.settle()
    return world
