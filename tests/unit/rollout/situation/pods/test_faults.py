"""Whose fault it is, by what kubelet 1.35 and containerd say of containers that don't run."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from canarium.core.observed import ContainerState, DeploymentRecord, Meta, PodRecord
from canarium.rollout.situation.pods.faults import Fault, find_fault
from canarium.rollout.situation.pods.kubelet_reasons import Whose, judge_waiting

REVISION = "7b9d6f5c88"
IMAGE = "registry.example/fraud:7"
PULL = f'failed to pull and unpack image "{IMAGE}": '
RESOLVE = f'{PULL}failed to resolve reference "{IMAGE}": '
HEAD = f'{RESOLVE}failed to do request: Head "https://registry.example/v2/fraud/manifests/7": '


def make_pod(name: str = "fraud-7b9d6f5c88-x1", *states: ContainerState, **of: Any) -> PodRecord:
    meta = Meta("risk", name, f"uid-{name}", "1")
    return PodRecord(meta, REVISION, scheduled=True, containers=states, **of)


def make_deployment(**spec: Any) -> DeploymentRecord:
    template = {"spec": {"containers": [{"name": "server", "image": IMAGE}], **spec}}
    meta = Meta("risk", f"fraud-{REVISION}", "d", "1")
    return DeploymentRecord(meta, REVISION, 3, json.dumps(template).encode())


def waiting(reason: str, message: str = "", name: str = "server", **of: Any) -> ContainerState:
    return ContainerState(name, waiting_reason=reason, waiting_message=message, **of)


def backed_off(cause: str) -> ContainerState:
    words = f'Back-off pulling image "{IMAGE}": ErrImagePull: {cause}'
    return waiting("ImagePullBackOff", words)


def whose(state: ContainerState, **spec: Any) -> Whose | None:
    fault = find_fault(REVISION, [make_pod("one", state)], make_deployment(**spec))
    return fault.whose if fault else None


READY = make_pod("ready", ContainerState("server", ready=True), ready=True)


@pytest.mark.parametrize(
    ("cause", "blamed"),
    [
        (f"{RESOLVE}{IMAGE}: not found", "Revision"),
        (f"{RESOLVE}unexpected status from HEAD request: manifest unknown", "Revision"),
        (f"{PULL}no match for platform in manifest: not found", "Revision"),
        (f"{RESOLVE}unexpected status code [manifests 7]: 401 Unauthorized", "Unclear"),
        ((f"{RESOLVE}pull access denied, repository does not exist or may"
          " require authorization"), "Unclear"),
        (f"{RESOLVE}unexpected status code [manifests 7]: 429 Too Many Requests", "Unclear"),
        (f"{RESOLVE}unexpected status: 403 Forbidden: toomanyrequests: Rate exceeded", "Unclear"),
        (f"{PULL.replace('fraud', 'denied')}x509: certificate has expired", "Unclear"),
        (f"{RESOLVE}toomanyrequests: You have reached your pull rate limit", "Unclear"),
        (f"{RESOLVE}unexpected status code [manifests 7]: 503 Service Unavailable", "Unclear"),
        (f"{RESOLVE}unexpected status: 502 Bad Gateway: backend not found", "Unclear"),
        ((f"{RESOLVE}failed to authorize: failed to fetch anonymous token: unexpected status:"
         " 502 Bad Gateway"), "Unclear"),
        (f"{HEAD}dial tcp 192.0.2.7:443: connect: connection refused", "Unclear"),
        (f"{HEAD}dial tcp 192.0.2.7:443: i/o timeout", "Unclear"),
        (f"{HEAD}net/http: TLS handshake timeout", "Unclear"),
        (f"{HEAD}dial tcp: lookup registry.example on 10.96.0.10:53: no such host", "Unclear"),
        (f"{HEAD}dial tcp: lookup registry.example: server misbehaving", "Unclear"),
        (f"{HEAD}x509: certificate signed by unknown authority", "Unclear"),
        (f"{PULL}failed to extract layer: no space left on device: unknown", "Unclear"),
        (f"{PULL}failed to copy: httpReadSeeker: failed open: unexpected EOF", "Unclear"),
    ],
)  # fmt: skip
def test_an_image_that_cannot_be_pulled_is_blamed_by_what_the_registry_said(
    cause: str, blamed: Whose
) -> None:
    assert whose(backed_off(cause)) == blamed
    assert whose(waiting("ErrImagePull", cause)) == "Unclear", "a first try decides nothing"


def test_of_older_kubelets_that_only_say_that_they_wait_the_cause_is_not_guessed() -> None:
    assert whose(waiting("ImagePullBackOff", f'Back-off pulling image "{IMAGE}"')) == "Unclear"


def test_both_of_the_reasons_that_take_turns_read_the_same() -> None:
    cause = f"{HEAD}dial tcp 192.0.2.7:443: connect: connection refused"
    found = {
        find_fault(REVISION, [make_pod("one", state)], make_deployment())
        for state in (backed_off(cause), waiting("ErrImagePull", cause))
    }
    words = f"pod one, container server: {cause}"
    assert found == {Fault("Unclear", "ErrImagePull", words)}


@pytest.mark.parametrize(
    ("reason", "message", "blamed"),
    [
        ("CreateContainerConfigError", 'secret "late" not found', "Unclear"),
        ("CreateContainerConfigError", 'configmap "late" not found', "Unclear"),
        ("CreateContainerConfigError", "couldn't find key token in Secret risk/late", "Unclear"),
        (
            "CreateContainerConfigError",
            "failed to sync configmap cache: timed out waiting for the condition",
            "Unclear",
        ),
        (
            "CreateContainerConfigError",
            "container has runAsNonRoot and image will run as root (pod: one)",
            "Revision",
        ),
        (
            "CreateContainerError",
            (
                'failed to reserve container name "server_one_risk_0": name "server_one_risk_0" is'
                ' reserved for "0f3c"'
            ),
            "Unclear",
        ),
        ("CreateContainerError", "context deadline exceeded", "Unclear"),
        (
            "CreateContainerError",
            (
                'failed to generate container "0f3c" spec: failed to generate spec: no command'
                " specified"
            ),
            "Revision",
        ),
        ("RunContainerError", "context deadline exceeded", "Unclear"),
        (
            "RunContainerError",
            (
                "failed to create containerd task: failed to create shim task: OCI runtime create"
                ' failed: runc create failed: exec: "serve": executable file not found in $PATH:'
                " unknown"
            ),
            "Revision",
        ),
        ("InvalidImageName", "couldn't parse image name", "Revision"),
        ("ErrImageNeverPull", "Container image is not present", "Revision"),
        ("PodInitializing", "", None),
        ("ContainerCreating", "", None),
    ],
)
def test_a_container_that_cannot_be_made_is_blamed_by_the_kubelets_words(
    reason: str, message: str, blamed: Whose | None
) -> None:
    assert whose(waiting(reason, message)) == blamed


@pytest.mark.parametrize(
    ("state", "blamed"),
    [
        (backed_off(f"{RESOLVE}{IMAGE}: not found"), "Environment"),
        (backed_off(f"{RESOLVE}429 Too Many Requests"), "Environment"),
        (waiting("CreateContainerConfigError", 'secret "gone" not found'), "Environment"),
        (waiting("CreateContainerError", "no command specified"), "Environment"),
        (waiting("ErrImageNeverPull"), "Environment"),
        (waiting("InvalidImageName"), "Revision"),
        (waiting("CrashLoopBackOff", restarts=2), "Revision"),
        (ContainerState("server", restarts=1, terminated_reason="OOMKilled"), "Revision"),
    ],
)
def test_what_starts_in_one_pod_is_not_blamed_for_another_that_cannot_start(
    state: ContainerState, blamed: Whose
) -> None:
    for pods in ([READY, make_pod("one", state)], [make_pod("one", state), READY]):
        fault = find_fault(REVISION, pods, make_deployment())
        assert fault is not None
        assert fault.whose == blamed


def test_no_pod_excuses_itself() -> None:
    """The kubelet may tell of a container before it tells that the pod isn't ready any more."""
    pod = make_pod("one", waiting("CreateContainerError", "no command specified"), ready=True)
    fault = find_fault(REVISION, [pod], make_deployment())
    assert fault is not None
    assert fault.whose == "Revision"


@pytest.mark.parametrize("reason", ["CrashLoopBackOff", "ImagePullBackOff", "CreateContainerError"])
def test_a_container_that_somebody_injected_is_the_environments(reason: str) -> None:
    proxy = waiting(reason, name="istio-proxy", restarts=5, terminated_exit_code=1)
    fault = find_fault(REVISION, [make_pod("one", proxy)], make_deployment())
    assert fault is not None
    assert (fault.whose, fault.reason) == (
        "Environment",
        "ErrImagePull" if reason == "ImagePullBackOff" else reason,
    )


def test_an_injected_container_that_ran_out_of_memory_once_is_nobodys_fault() -> None:
    proxy = ContainerState("istio-proxy", ready=True, restarts=1, terminated_reason="OOMKilled")
    assert find_fault(REVISION, [make_pod("one", proxy)], make_deployment()) is None
    backing_off = replace(proxy, waiting_reason="CrashLoopBackOff")
    served = make_pod("one", backing_off, ready=True)
    assert find_fault(REVISION, [served], make_deployment()) is None


def test_a_sidecar_of_the_specs_own_is_the_revisions() -> None:
    template = {"initContainers": [{"name": "log", "image": "log:1"}]}
    state = waiting("CrashLoopBackOff", name="log", restarts=2, init=True)
    assert whose(state, **template) == "Revision"


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
def test_a_pod_that_has_ended_says_nothing_of_its_revision(phase: str) -> None:
    ended = ContainerState("server", terminated_reason="OOMKilled", terminated_exit_code=137)
    evicted = make_pod("one", ended, phase=phase, reason="Evicted")
    assert find_fault(REVISION, [evicted], make_deployment()) is None


def test_a_pod_that_lost_its_node_is_the_environments_whatever_its_container_did() -> None:
    crash = waiting("CrashLoopBackOff", restarts=4)
    lost = make_pod("one", crash, phase="Running", reason="NodeLost")
    fault = find_fault(REVISION, [lost], make_deployment())
    assert fault is not None
    assert (fault.whose, fault.reason) == ("Environment", "NodeLost")


def test_a_crash_is_told_in_the_last_words_of_the_container() -> None:
    crash = waiting(
        "CrashLoopBackOff", restarts=2, terminated_exit_code=1,
        terminated_message="ValueError: model.bin is 0 bytes",
    )  # fmt: skip
    words = "exited with code 1, 2 restarts, saying: ValueError: model.bin is 0 bytes"
    assert find_fault(REVISION, [make_pod("one", crash)], make_deployment()) == Fault(
        "Revision", "CrashLoopBackOff", f"pod one, container server: {words}"
    )


def test_a_container_that_its_node_was_too_busy_to_start_is_waited_for() -> None:
    crash = waiting(
        "CrashLoopBackOff", restarts=3, terminated_exit_code=128,
        terminated_reason="StartError",
        terminated_message="failed to create containerd task: context deadline exceeded",
    )  # fmt: skip
    assert whose(crash) == "Unclear"
    assert whose(replace(crash, terminated_reason="Error")) == "Revision"


def test_blame_waits_until_what_the_environment_did_is_over() -> None:
    late = make_pod("one", waiting("CreateContainerConfigError", 'secret "late" not found'))
    homeless = replace(make_pod("two"), scheduled=False, scheduling_message="0/3 nodes")
    fault = find_fault(REVISION, [late, homeless], make_deployment())
    assert fault is not None
    assert (fault.whose, fault.reason) == ("Environment", "Unschedulable")


MISSING = (
    'Back-off pulling image "{0}": ErrImagePull: rpc error: code = NotFound desc = failed to pull'
    ' and unpack image "{0}": failed to resolve reference "{0}": {0}: not found'
)
NO_PROGRAM = (
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc"
    ' create failed: unable to start container process: exec: "{0}": stat {0}: no such file'
)


@pytest.mark.parametrize(
    ("reason", "words", "name"),
    [
        ("ImagePullBackOff", MISSING, "registry.example/request-timeout:9"),
        ("RunContainerError", NO_PROGRAM, "/opt/sandbox/run"),
        ("CreateContainerError", NO_PROGRAM, "/srv/timeout.sh"),
    ],
)
def test_what_something_is_called_is_no_cause(reason: str, words: str, name: str) -> None:
    assert judge_waiting(reason, words.format(name)) == "Revision"


@pytest.mark.parametrize("cause", ["i/o timeout", "net/http: TLS handshake timeout"])
def test_a_cause_with_a_slash_in_it_is_one_all_the_same(cause: str) -> None:
    where = 'Head "https://registry.example/v2/fraud/manifests/9": dial tcp 10.0.0.1:443: '
    words = f'Back-off pulling image "x": ErrImagePull: {where}{cause}: not found'
    assert judge_waiting("ImagePullBackOff", words) == "Unclear"
