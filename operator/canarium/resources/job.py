"""The Job that judges a canary by whether it succeeds: as harmless as a model's own pods.

It is run once. A pod that its node loses, or that has to make room, is replaced and doesn't count
as a failure, which would be blamed on the model.

Kubernetes adopts whatever pod has the labels of a Job's selector, and counts whether it succeeds.
In the selector that it makes itself are labels that anybody may write; in ours is one that the
chart's policy `job-pods` guards.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from canarium.core.kinds import API_VERSIONS
from canarium.core.names import (
    GIVEN_PREFIX,
    JOB_NAME_LABEL,
    JUDGED_MODEL_LABEL,
    METRIC_LABEL,
    revision_selector,
)
from canarium.core.observed import ModelObject
from canarium.core.spec import JobSpec
from canarium.resources.objects import make_meta
from canarium.resources.pod_template import make_container, make_safety

CONTAINER_NAME = "job"
_IGNORED = {
    "action": "Ignore",
    "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
}


@dataclass(frozen=True, slots=True)
class Judged:
    """What a Job is told: which revision is on trial, and where it answers.

    `template` is the revision's rendered pod template, as JSON: its volumes are the Job's to mount,
    and registries that its images need a password for may hold the Job's image, too.
    """

    revision: str
    version: str
    url: str
    template: str


def make_job(model: ModelObject, name: str, spec: JobSpec, judged: Judged) -> dict[str, Any]:
    """A metric's Job in one step."""
    labels = {**revision_selector(model.meta.name, judged.revision), METRIC_LABEL: spec.name}
    selector = {JUDGED_MODEL_LABEL: model.meta.name, JOB_NAME_LABEL: name}
    return {
        "apiVersion": API_VERSIONS["Job"],
        "kind": "Job",
        "metadata": make_meta(model, name, labels),
        "spec": {
            "activeDeadlineSeconds": ceil(spec.timeout_seconds),
            "backoffLimit": 0,
            "manualSelector": True,
            "podFailurePolicy": {"rules": [_IGNORED]},
            "selector": {"matchLabels": selector},
            "template": _make_template(model, spec, judged, selector),
        },
    }


def _make_template(
    model: ModelObject, spec: JobSpec, judged: Judged, selector: Mapping[str, str]
) -> dict[str, Any]:
    container = json.loads(spec.container)
    given = _make_variables(model, judged)
    own = {**container, "env": [*given, *container.get("env", ())]}
    around = _pick_around(json.loads(judged.template)["spec"], container)
    return {
        "metadata": {"labels": {**selector, METRIC_LABEL: spec.name}},
        "spec": {
            **make_safety({}),
            "containers": [{**make_container(own), "name": CONTAINER_NAME}],
            **around,
            "restartPolicy": "Never",
            **({"serviceAccountName": spec.service_account} if spec.service_account else {}),
        },
    }


def _pick_around(pod: Mapping[str, Any], container: Mapping[str, Any]) -> dict[str, Any]:
    """What the container needs of the model's own pods: pull secrets, the volumes it mounts."""
    mounted = {mount["name"] for mount in container.get("volumeMounts", ())}
    found = {
        "imagePullSecrets": pod.get("imagePullSecrets"),
        "volumes": [volume for volume in pod.get("volumes", ()) if volume["name"] in mounted],
    }
    return {name: value for name, value in found.items() if value}


def _make_variables(model: ModelObject, judged: Judged) -> list[dict[str, str]]:
    given = {
        "NAMESPACE": model.meta.namespace,
        "MODEL": model.meta.name,
        "VERSION": judged.version,
        "REVISION": judged.revision,
        "URL": judged.url,
    }
    return [{"name": GIVEN_PREFIX + name, "value": value} for name, value in given.items()]
