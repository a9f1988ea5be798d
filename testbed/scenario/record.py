"""Records ModelDeployments as a real operator leaves them, for the tests of docs/gitops.

`python -m testbed.scenario.record` (or `make record`) plays one short story for each file in
tests/golden/gitops, on a control plane with simulated nodes. What differs from run to run without
meaning anything to a reader of health (uids, managedFields) is left out.
"""

import copy
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import yaml

from testbed.operators.account import give_account
from testbed.operators.apiserver import Apiserver
from testbed.operators.running import ROOT, Operator, RunningOperator
from testbed.scenario.manifests import Json, rollout, simulated
from testbed.scenario.scenario import (
    Scenario,
    condition,
    in_state,
    make_scenario,
    phase,
)
from testbed.scenario.stage import prepare_simulated, share_cluster

RECORDED = ROOT / "tests" / "golden" / "gitops"
SECONDS = 60.0
NO_GUARD: Json = {"duration": "0s"}
SLOW = rollout((50, "10m"), guard=NO_GUARD)
NOWHERE: Json = {"nodeSelector": {"example.com/no-such-node": "true"}}
IDLE = {"example.com/idle": "true"}
ON_IDLE_NODE: Json = {"nodeSelector": IDLE, "tolerations": [{"operator": "Exists"}]}
LEFT_OUT = ("managedFields", "uid", "resourceVersion", "creationTimestamp", "annotations")


def start_new(scenario: Scenario) -> Json:
    """Created a moment ago; the operator hasn't looked yet."""
    operator(scenario).stop()
    scenario.apply(simulated("v1"))
    found = get(scenario)
    operator(scenario).start()
    return found


def start_pending(scenario: Scenario) -> Json:
    """The first pods don't get ready."""
    scenario.apply(simulated("v1", pod=NOWHERE))
    return scenario.wait(condition("Reconciling", "True", "Unschedulable"), SECONDS)


def serve(scenario: Scenario, terms: Json = SLOW) -> Json:
    """One version serves, nothing else is asked for."""
    scenario.apply(simulated("v1", rollout=terms))
    return scenario.wait(phase("Healthy"), SECONDS)


def edit_unseen(scenario: Scenario) -> Json:
    """Another version was applied a moment ago; the operator hasn't looked yet."""
    serve(scenario)
    operator(scenario).stop()
    scenario.apply(simulated("v2", rollout=SLOW))
    found = get(scenario)
    operator(scenario).start()
    return found


def hold(scenario: Scenario) -> Json:
    """Another version is tried on half of the traffic."""
    serve(scenario)
    scenario.apply(simulated("v2", rollout=SLOW))
    return scenario.wait(in_state("Holding"), SECONDS)


def pause(scenario: Scenario) -> Json:
    """The rollout is paused by spec.rollout.paused."""
    hold(scenario)
    scenario.apply(simulated("v2", rollout={**SLOW, "paused": True}))
    return scenario.wait(phase("Paused"), SECONDS)


def await_approval(scenario: Scenario) -> Json:
    """The step waits for a person's promote."""
    terms = {"steps": [{"name": "half", "weight": 50, "approval": "Manual"}], "guard": NO_GUARD}
    serve(scenario, terms)
    scenario.apply(simulated("v2", rollout=terms))
    return scenario.wait(phase("Paused"), SECONDS)


def guard(scenario: Scenario) -> Json:
    """The new version serves all, the previous one is kept warm."""
    terms = rollout((50, "1s"), guard={"duration": "10m"})
    serve(scenario, terms)
    scenario.apply(simulated("v2", rollout=terms))
    return scenario.wait(phase("Guarding"), SECONDS)


def pause_guard(scenario: Scenario) -> Json:
    """The new version serves all, and the guard is paused."""
    guard(scenario)
    terms = rollout((50, "1s"), guard={"duration": "10m"}, paused=True)
    scenario.apply(simulated("v2", rollout=terms))
    return scenario.wait(phase("Paused"), SECONDS)


def roll_back(scenario: Scenario) -> Json:
    """The new version never got ready, and was taken back."""
    terms = rollout((50, "1s"), guard=NO_GUARD, progressDeadline="2s")
    serve(scenario, terms)
    with idle_node(scenario):
        scenario.apply(simulated("v2", rollout=terms, pod=ON_IDLE_NODE))
        return scenario.wait(phase("RolledBack"), SECONDS)


def fail_first(scenario: Scenario) -> Json:
    """The first version never got ready, and there is nothing to go back to."""
    terms = rollout(guard=NO_GUARD, progressDeadline="2s")
    with idle_node(scenario):
        scenario.apply(simulated("v1", rollout=terms, pod=ON_IDLE_NODE))
        return scenario.wait(phase("Failed"), SECONDS)


def override(scenario: Scenario) -> Json:
    """A person went back to an older revision; the spec still names the newer one."""
    terms = rollout((50, "1s"), guard=NO_GUARD)
    older = serve(scenario, terms)["status"]["stable"]["revision"]
    scenario.apply(simulated("v2", rollout=terms))
    scenario.wait(phase("Healthy"), SECONDS)
    scenario.command("rollback", older)
    return scenario.wait(condition("UpToDate", "False", "Overridden"), SECONDS)


def switch_off(scenario: Scenario) -> Json:
    """A person gave it no pods: spec.scaling.replicas is 0."""
    serve(scenario)
    scenario.apply(simulated("v1", rollout=SLOW, scaling={"replicas": 0}))
    return scenario.wait(condition("Ready", "False", "ScaledToZero"), SECONDS)


def lose_pods(scenario: Scenario) -> Json:
    """One of two pods is no longer ready, and nothing is being rolled out."""
    serve(scenario)
    pod = scenario.all_of("Pod")[0]["metadata"]["name"]
    unready = [{"type": "Ready", "status": "False", "reason": "ContainersNotReady"}]
    patch = json.dumps({"status": {"conditions": unready}})
    scenario.kubectl("patch", "pod", pod, "--subresource=status", "-p", patch)
    return scenario.wait(condition("Ready", "False", "TooFewReplicas"), SECONDS)


def conflict(scenario: Scenario) -> Json:
    """A Service of the model's name belongs to somebody else."""
    scenario.kubectl("create", "service", "clusterip", "iris", "--tcp=80:8080")
    scenario.apply(simulated("v1"))
    return scenario.wait(condition("Stalled", "True", "NameConflict"), SECONDS)


def spoil(scenario: Scenario) -> Json:
    """A spec of no use, stored while the definitions had no rules that refuse it."""
    serve(scenario)
    falling = rollout((50, "1s"), (20, "1s"), guard=NO_GUARD)
    with without_rules(scenario):
        scenario.apply(simulated("v1", rollout=falling))
    return scenario.wait(phase("Invalid"), SECONDS)


STORIES: dict[str, Callable[[Scenario], Json]] = {
    "new": start_new,
    "pending": start_pending,
    "healthy": serve,
    "unseen": edit_unseen,
    "progressing": hold,
    "paused": pause,
    "awaiting-approval": await_approval,
    "guarding": guard,
    "paused-guard": pause_guard,
    "rolled-back": roll_back,
    "failed": fail_first,
    "overridden": override,
    "scaled-to-zero": switch_off,
    "too-few-pods": lose_pods,
    "name-conflict": conflict,
    "invalid": spoil,
}


@contextmanager
def idle_node(scenario: Scenario) -> Iterator[None]:
    """A node that nobody plays: pods are scheduled to it, and never get ready."""
    cluster = scenario.cluster
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "idle", "labels": IDLE}}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(node))
    size = {"cpu": "8", "memory": "8Gi", "pods": "10"}
    ready = [{"type": "Ready", "status": "True", "reason": "KubeletReady"}]
    patch = json.dumps({"status": {"capacity": size, "allocatable": size, "conditions": ready}})
    cluster.kubectl("patch", "node", "idle", "--subresource=status", "-p", patch)
    try:
        yield
    finally:
        cluster.kubectl("delete", "node", "idle")


@contextmanager
def without_rules(scenario: Scenario) -> Iterator[None]:
    """Definitions from before there were rules: what is stored then has to be lived with."""
    cluster, definition = scenario.cluster, ROOT / "crds" / "canarium.dev_modeldeployments.yaml"
    bare = json.dumps(strip_rules(yaml.safe_load(definition.read_text())))
    cluster.kubectl("apply", "--server-side", "-f", "-", stdin=bare)
    try:
        yield
    finally:
        cluster.kubectl("apply", "--server-side", "-f", str(definition))


def strip_rules(node: object) -> object:
    """A definition without its CEL rules."""
    if isinstance(node, list):
        return [strip_rules(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {k: strip_rules(v) for k, v in node.items() if k != "x-kubernetes-validations"}


def operator(scenario: Scenario) -> Operator:
    """The operator of a scenario that has one."""
    assert scenario.operator is not None
    return scenario.operator


def get(scenario: Scenario) -> Json:
    """The ModelDeployment as it is now."""
    found = scenario.get("ModelDeployment", "iris")
    assert found is not None
    return found


def trim(found: Json) -> Json:
    """An object without what nobody reads health from."""
    kept = copy.deepcopy(found)
    kept["metadata"] = {k: v for k, v in kept["metadata"].items() if k not in LEFT_OUT}
    kept["metadata"]["namespace"] = "models"
    return kept


def main() -> None:
    """Play all the stories, or those named on the command line."""
    chosen = sys.argv[1:] or list(STORIES)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        cluster = stack.enter_context(share_cluster("control-plane", prepare_simulated, directory))
        witness = directory / "witness.jsonl"
        witness.touch()
        for name in chosen:
            apiserver = Apiserver(cluster.kubeconfig)
            scenario = make_scenario(cluster, apiserver, witness, directory, f"record-{name}")
            record(scenario, name)


def record(scenario: Scenario, name: str) -> None:
    """Play one story and write down how it ended."""
    kubeconfig = give_account(scenario.cluster, scenario.namespace, scenario.directory)
    log = scenario.directory / f"{name}.log"
    scenario.operator = RunningOperator(kubeconfig, log, scenario.namespace, lease=False)
    with ExitStack() as stack:
        stack.callback(scenario.delete_namespace)
        stack.callback(scenario.operator.stop)
        scenario.operator.start()
        found = trim(STORIES[name](scenario))
    text = f"# {STORIES[name].__doc__}\n{yaml.safe_dump(found, sort_keys=False, width=100)}"
    RECORDED.mkdir(exist_ok=True)
    (RECORDED / f"{name}.yaml").write_text(text)
    status = found.get("status", {})
    print(f"{name}: {status.get('phase', 'no phase')}, {status.get('message', 'no message')}")


if __name__ == "__main__":
    main()
