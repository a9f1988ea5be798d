"""Every name and label that Canarium gives, in one place, so that the same is never said twice."""

from __future__ import annotations

import hashlib

PREFIX = "canarium.dev/"
MODEL_LABEL = PREFIX + "model"
REVISION_LABEL = PREFIX + "revision"

METRIC_LABEL = PREFIX + "metric"
"On a Job that judges: the metric that it is."
JUDGED_MODEL_LABEL = PREFIX + "judged-model"
"""On the pods of such a Job, which must have none of the labels by which Services and we ourselves
find a model's pods: they would be sent its requests."""
JOB_NAME_LABEL = "batch.kubernetes.io/job-name"
"Kubernetes' own label of a Job's pods, by which kubectl finds them; we write it ourselves."
GIVEN_PREFIX = "CANARIUM_"
"How the variables begin that the container of such a Job is given."

RESTART_ANNOTATION = PREFIX + "restarted-at"
"On the pods that were made for a person's restart."

API_VERSION = "canarium.dev/v1alpha1"
REVISION_ID_LENGTH = 10
NAME_MAX_LENGTH = 63 - 1 - REVISION_ID_LENGTH
"What is left of a DNS-1035 label (63) for an object whose children end in -<revision>."

_POD_STEM_LENGTH = 63 - 5
_POD_HASH_LENGTH = 10
_LETTER = "[a-z0-9]"
_FIVE = f"{_LETTER}{{5}}"

SERVICE_PORT = 80
PORT_NAME = "http"
GRPC_SERVICE_PORT = 9000
"The gRPC port of our Services, whatever the container's number is."
GRPC_PORT_NAME = "grpc"


def make_revision_id(owner: str, canonical: str, clashes: int = 0) -> str:
    """Name a revision by whose it is and by its normalised source: ten hexadecimal characters.

    `owner` is the object's `<namespace>/<name>`. Without it the same source had the same name
    everywhere, and a gateway that joins namespace and name by hyphens could not tell the revision
    of `dev-fraud` in `risk` from that of `fraud` in `risk-dev`. `clashes` counts how many other
    sources were found under the names before.
    """
    salt = f"#{clashes}" if clashes else ""
    named = f"{owner}\n{canonical}{salt}"
    return hashlib.sha256(named.encode()).hexdigest()[:REVISION_ID_LENGTH]


def make_digest(template: str) -> str:
    """The SHA-256 of a rendered pod template, as 64 hexadecimal characters."""
    return hashlib.sha256(template.encode()).hexdigest()


def child_name(model: str, revision: str) -> str:
    """The name of a revision's ModelRevision, Deployment and Service."""
    return f"{model}-{revision}"


def pod_names(deployment: str) -> str:
    """A regular expression, as RE2 has it, for the names of a Deployment's pods.

    Kubernetes joins the Deployment's name and a hash of up to ten characters by dashes, keeps the
    first 58 characters (with the dash at the end, if there is room) and adds five. So from 36
    characters of a model's name on the hash is cut, from 46 on it is gone, and from 48 on a part
    of the revision too: what is left of that is the same for one pair of revisions in a million.
    """
    stem = f"{deployment}-"[:_POD_STEM_LENGTH]
    room = _POD_STEM_LENGTH - len(stem)
    if not room:
        return f"{stem}{_FIVE}"
    whole = f"{stem}{_LETTER}{{1,{_POD_HASH_LENGTH}}}-{_FIVE}"
    cut = f"{stem}{_LETTER}{{{room}}}{_FIVE}"
    return whole if room > _POD_HASH_LENGTH else f"{whole}|{cut}"


def job_name(model: str, metric: str, step: str) -> str:
    """The name of the Job that is a metric in one step, at most 63 characters.

    `step` is whatever tells steps apart: the same one has the same Job, however often we restart.
    """
    digest = hashlib.sha256(f"{model}/{metric}/{step}".encode()).hexdigest()
    stem = f"{model}-{metric}"[:NAME_MAX_LENGTH].rstrip("-")
    return f"{stem}-{digest[:REVISION_ID_LENGTH]}"


def revision_selector(model: str, revision: str) -> dict[str, str]:
    """The labels that a revision's pods carry, and nobody else's."""
    return {MODEL_LABEL: model, REVISION_LABEL: revision}
