"""Whether all pods of a revision run the same image: a tag may be moved between two pulls.

A revision is judged by its first pods. Pods that come later and run something else were judged by
nobody, so the difference is the revision's own fault; a digest in the spec rules it out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from canarium.core.observed import DeploymentRecord, PodRecord

SHOWN = len("sha256:") + 12
"Characters of a digest that people compare."


@dataclass(frozen=True, slots=True)
class Difference:
    """A container that runs one image in one pod and another in another."""

    container: str
    image: str
    "As the spec names it."
    running: tuple[tuple[str, str], tuple[str, str]]
    "Pod and digest, twice."

    def __str__(self) -> str:
        first, second = (f"{digest[:SHOWN]} in pod {pod}" for pod, digest in self.running)
        where = "spec.server.image" if self.container == "server" else "its image"
        return (
            f"container {self.container}: {self.image} is {first} and {second}, so its tag was"
            f" moved; write a digest (name@sha256:...) in {where}"
        )


def find_difference(
    pods: Iterable[PodRecord], deployment: DeploymentRecord | None
) -> Difference | None:
    """The first container of a revision's pods that isn't the same image everywhere, if any.

    What runtimes say of an image that was pulled (`name@sha256:…`) and of one that was loaded
    (`sha256:…`) are two different digests of the same; each is compared with its like. A container
    whose image is named by its digest is not compared: it cannot differ. In which
    order the pods are seen changes nothing, so that status keeps its words.
    """
    seen: dict[tuple[str, bool], dict[str, str]] = {}
    for key, (pod, digest) in _list_running(pods):
        named = seen.setdefault(key, {})
        named[digest] = min(pod, named.get(digest, pod))
    for (container, _), named in sorted(seen.items()):
        image = _find_image(deployment, container) if len(named) > 1 else ""
        if image and "@" not in image:
            first, second, *_ = sorted((pod, digest) for digest, pod in named.items())
            return Difference(container, image, (first, second))
    return None


def _list_running(pods: Iterable[PodRecord]) -> Iterator[tuple[tuple[str, bool], tuple[str, str]]]:
    """What is compared: container and kind of digest; by what: pod and digest."""
    for pod in pods:
        for state in pod.containers:
            if state.image_id:
                digest = state.image_id.rpartition("@")[2]
                yield (state.name, "@" in state.image_id), (pod.meta.name, digest)


def _find_image(deployment: DeploymentRecord | None, container: str) -> str:
    if deployment is None:
        return ""
    spec = json.loads(deployment.template).get("spec") or {}
    every = [*spec.get("containers", ()), *spec.get("initContainers", ())]
    return next((str(each.get("image", "")) for each in every if each["name"] == container), "")
