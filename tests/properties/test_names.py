"""Every name that we make, and Kubernetes and gateways make of it, is found by what we match with.

Names go up to their limits, with digits and dashes wherever they may be.
"""

from __future__ import annotations

import re

from canarium.api.modeldeployment.spec import NAME_PATTERN
from canarium.api.scalars import LABEL_PATTERN
from canarium.core.commands import pending_commands
from canarium.core.names import NAME_MAX_LENGTH, child_name, job_name, pod_names
from canarium.core.spec import ScalingMetric
from canarium.metrics.counters import Counters
from canarium.metrics.sources.gateway import Backend, make_parser
from canarium.queries.scaling import make_query
from hypothesis import assume, example, given
from hypothesis import strategies as st

from observability.server_rules import LABELS
from tests.naming import (
    HASH_ALPHABET,
    POD_ALPHABET,
    make_pod_name,
    make_revision_pod,
    make_traefik_services,
)

LABEL = re.compile(LABEL_PATTERN)
LONGEST = "m" * NAME_MAX_LENGTH

models = st.from_regex(NAME_PATTERN, fullmatch=True)
revisions = st.text("0123456789abcdef", min_size=10, max_size=10)
namespaces = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)
hashes = st.text(HASH_ALPHABET, min_size=1, max_size=10)
suffixes = st.text(POD_ALPHABET, min_size=5, max_size=5)


def find_pods(query: str) -> re.Pattern[str]:
    """The regular expression for pods in a query of ours, as Prometheus takes it: whole."""
    found = re.search(r'pod=~"((?:[^"\\]|\\.)*)"', query)
    assert found is not None
    return re.compile(found[1].replace("\\\\", "\\"))


@given(models, revisions, hashes, suffixes)
@example("a", "0123456789", "4", "22222")
@example("m" * 35, "0123456789", "7c9d6f5b84", "x2c4z")
@example("m" * 36, "0123456789", "7c9d6f5b84", "x2c4z")
@example("m" * 46, "0123456789", "7c9d6f5b84", "x2c4z")
@example("m" * 47, "0123456789", "7c9d6f5b84", "x2c4z")
@example(LONGEST, "0123456789", "4", "x2c4z")
def test_the_load_of_every_pod_is_found(
    model: str, revision: str, template_hash: str, suffix: str
) -> None:
    pod = make_revision_pod(model, revision, template_hash=template_hash, random=suffix)
    metric = ScalingMetric("load", "RequestsPerSecond", average="20")
    query = make_query(metric, "MLServer", namespace="risk", model=model, revision=revision)
    assert len(pod) <= 63
    assert LABEL.fullmatch(pod)
    assert find_pods(query).fullmatch(pod)


@given(models, revisions, revisions, hashes, suffixes)
def test_no_pod_of_another_revision_is_found(
    model: str, revision: str, other: str, template_hash: str, suffix: str
) -> None:
    """But of one that begins alike, where Kubernetes leaves no more of it than the beginning."""
    kept = 58 - len(f"{model}-")
    assume(revision[:kept] != other[:kept])
    pod = make_revision_pod(model, other, template_hash=template_hash, random=suffix)
    assert not re.fullmatch(pod_names(child_name(model, revision)), pod)


@given(models, models, revisions, revisions, hashes)
@example("fraud", "fraud-5d8f7c9b64", "5d8f7c9b64", "0123456789", "7c9d6f5b84")
@example("fraud", "fraud-more", "5d8f7c9b64", "5d8f7c9b64", "7c9d6f5b84")
def test_no_pod_of_another_model_is_found(
    model: str, other: str, revision: str, others: str, template_hash: str
) -> None:
    """But of one whose name of 46 characters and more begins as a revision of ours is called."""
    service = child_name(model, revision)
    assume(model != other)
    assume(len(other) < 36 or not other.startswith(service[:46]))
    pod = make_pod_name(child_name(other, others), template_hash)
    assert not re.fullmatch(pod_names(service), pod)


@given(models, revisions, namespaces, namespaces)
@example("a--b", "0123456789", "1--2", "gateways")
def test_every_name_that_traefik_gives_a_service_is_counted(
    model: str, revision: str, namespace: str, gateway: str
) -> None:
    service = child_name(model, revision)
    parser = make_parser("Traefik", Backend(namespace, service, model))
    for name in make_traefik_services(namespace, model, service, f"{gateway}-eu.public"):
        line = f'traefik_service_requests_total{{code="200",service="{name}"}} 5\n'
        assert parser.parse(line.encode()) == Counters(5, 0), name


@given(models, revisions, namespaces)
def test_the_labels_of_every_revision_are_found_by_the_recording_rules(
    model: str, revision: str, namespace: str
) -> None:
    """What Prometheus makes of our labels' names, and whole values."""
    made = {re.sub(r"[^a-zA-Z0-9_]", "_", f"canarium.dev/{name}") for name in LABELS}
    assert set(LABELS.values()) == made
    assert all(re.fullmatch("(.+)", value) for value in (model, revision, namespace))


@given(models, models, st.text(min_size=1, max_size=200))
def test_a_job_has_a_name_that_its_pods_may_carry_as_a_label(
    model: str, metric: str, step: str
) -> None:
    name = job_name(model, metric, step)
    assert len(name) <= 63
    assert LABEL.fullmatch(name)


@given(models, revisions)
def test_a_child_has_a_name_that_services_and_labels_take(model: str, revision: str) -> None:
    name = child_name(model, revision)
    assert len(name) <= 63
    assert re.fullmatch("[a-z]([-a-z0-9]*[a-z0-9])?", name)


@given(revisions, st.from_regex(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True))
def test_a_command_may_name_every_revision_and_step(revision: str, step: str) -> None:
    command = pending_commands({"promote": f"{revision}:{step}@1"}, {})["promote"]
    assert (command.revision, command.step) == (revision, step)
