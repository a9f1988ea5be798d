"""The operator in the cluster, as the chart installs it.

Most serve one scenario's namespace, with one replica, from a namespace of their own beside it: so
what a scenario's namespace holds is the scenario's.
"""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from kubernetes.client import ApiException

from testbed.addons.gateway import find_address
from testbed.addons.helm import CHART, RELEASE, load_operator, run_helm, use_image
from testbed.cluster.cluster import Cluster
from testbed.operators.account import ACCOUNT, HOME, SWITCHED_ON, find_rights, name_account
from testbed.operators.apiserver import COLLECTIONS, Apiserver
from testbed.operators.container import identify_container, send_signal
from testbed.operators.running import POLL_SECONDS, READY_SECONDS, STOP_SECONDS, NotRunningError
from testbed.programs.progress import Progress
from testbed.rights.ledger import expect_farewell, note_granted, note_spared

Json = dict[str, Any]
DEPLOYMENT = f"deployment/{ACCOUNT}"
PORT = 8080


@dataclass(slots=True)
class InstalledOperator:
    """A release of the chart in a namespace of its own, which is made with it.

    The Lease is there, too. What `values` don't say is the chart's default.
    """

    cluster: Cluster
    apiserver: Apiserver
    namespace: str
    values: Json = field(default_factory=dict)
    tested: bool = True
    "Whether its values are those whose rights are to be needed, each of them."
    killed: set[str] = field(default_factory=set, init=False)
    "The containers that were killed: the kubelet starts others in their place."

    @property
    def alive(self) -> bool:
        """Whether it runs, and has never ended by itself."""
        pods = self.pods()
        return bool(pods) and all(count_restarts(pod) == 0 for pod in pods)

    def install(self) -> None:
        """Install the chart; returns when its objects are there, which is before it is ready."""
        load_operator(self.cluster, Progress())
        # The definitions are there before it, by kubectl.
        words = ("--create-namespace", "--take-ownership")
        self._helm("install", RELEASE, CHART, *words, values=use_image(self.values))
        self._note_rights()

    def upgrade(self, values: Json) -> None:
        """Upgrade the release to other values; returns when that operator is the only one."""
        self._helm("upgrade", RELEASE, CHART, values=use_image(values))
        self._note_rights()
        self._wait_until_replaced()

    def roll_back(self) -> None:
        """Take the last upgrade back; returns when that operator is the only one."""
        self._helm("rollback", RELEASE)
        self._wait_until_replaced()

    def uninstall(self) -> None:
        """Uninstall the release while it works; what it asks for in its last moments is refused.

        Helm deletes rights and Deployment together. Returns when its pods are gone.
        """
        going, since = self._look()
        expect_farewell(self.cluster, name_account(self.namespace))
        self._helm("uninstall", RELEASE)
        for pod in going:
            self._wait_gone(pod, since)

    def _helm(self, *words: str | Path, values: Json | None = None) -> str:
        return run_helm(*words, "-n", self.namespace, values=values, cluster=self.cluster)

    def _note_rights(self) -> None:
        manifest = yaml.load_all(self._helm("get", "manifest", RELEASE), yaml.CSafeLoader)
        note = note_granted if self.tested else note_spared
        note(self.cluster, find_rights([found for found in manifest if found]))

    def start(self) -> None:
        """Have it run, installed or scaled up or started anew by the kubelet, and ready."""
        if not self._is_installed():
            self.install()
        else:
            self._kubectl("scale", DEPLOYMENT, f"--replicas={self._replicas}")
        self._wait_until_ready()

    def stop(self) -> None:
        """Have it end as Kubernetes does, and make sure that it ended well."""
        before, since = self._look()
        if not before:
            return
        self._kubectl("scale", DEPLOYMENT, "--replicas=0")
        for pod in before:
            code = self._wait_gone(pod, since)
            if code != 0:
                raise NotRunningError(f"the operator did not end well ({code}):\n{self.tell()}")

    def kill(self) -> None:
        """SIGKILL of the container's process; the kubelet starts it again."""
        for pod in self.pods():
            self.killed.add(identify_container(pod))
            send_signal(pod, signal.SIGKILL)

    def restart(self) -> None:
        """Stop and start again."""
        self.stop()
        self.start()

    def remove(self) -> None:
        """Stop it, so that it needs no right any more, then uninstall it, unless somebody has."""
        if self._is_installed():
            self.stop()
            self._helm("uninstall", RELEASE)
        self.cluster.kubectl("delete", "namespace", self.namespace, "--wait=false")

    def get(self, path: str) -> str:
        """What it answers on its port for probes and metrics."""
        pod = self.pods()[0]
        return self.apiserver.get_text(f"{_path_of(pod)}:{PORT}/proxy{path}")

    def pods(self) -> list[Json]:
        """Its pods, but those that are going."""
        return self._look()[0]

    def _look(self) -> tuple[list[Json], str]:
        """Its pods, and this look's resourceVersion: a pod's own may be too old to watch from."""
        found = self.apiserver.get(COLLECTIONS["Pod"].path(self.namespace))
        ours = [pod for pod in found["items"] if pod["metadata"]["name"].startswith(f"{ACCOUNT}-")]
        there = [pod for pod in ours if "deletionTimestamp" not in pod["metadata"]]
        return there, str(found["metadata"]["resourceVersion"])

    def tell(self) -> str:
        """Its last words, also those before it was started again; "" when it doesn't run."""
        logs = [f"{_path_of(pod)}/log" for pod in self.pods()]
        before = [
            f"{_path_of(pod)}/log?previous=true" for pod in self.pods() if count_restarts(pod)
        ]
        return "\n".join(self._read_log(path) for path in [*before, *logs])

    def _kubectl(self, *words: str) -> str:
        return self.cluster.kubectl("-n", self.namespace, *words)

    def _is_installed(self) -> bool:
        return bool(self._kubectl("get", "--ignore-not-found", "-o", "name", DEPLOYMENT))

    def _read_log(self, path: str) -> str:
        try:
            return self.apiserver.get_text(path)
        except ApiException as error:
            return f"{path}: {error.reason}"

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not self._is_ready():
            if time.monotonic() > deadline:
                said = self._kubectl("get", "events,pods")
                raise NotRunningError(f"the operator is not ready:\n{said}\n{self.tell()}")
            time.sleep(POLL_SECONDS)

    def _wait_until_replaced(self) -> None:
        self._kubectl("rollout", "status", DEPLOYMENT, f"--timeout={READY_SECONDS:.0f}s")
        self._wait_until_ready()

    @property
    def _replicas(self) -> int:
        return int(self.values.get("replicas", DEFAULT_REPLICAS))

    def _is_ready(self) -> bool:
        pods = self.pods()
        return len(pods) == self._replicas and all(self._answers(pod) for pod in pods)

    def _answers(self, pod: Json) -> bool:
        """Whether a pod says itself that it is ready, which is sooner than the kubelet asks."""
        if identify_container(pod) in ("", *self.killed):
            return False
        try:
            self.apiserver.get_text(f"{_path_of(pod)}:{PORT}/proxy/readyz")
        except ApiException:  # 503 of its own, or of the proxy to which it doesn't answer yet
            return False
        return True

    def _wait_gone(self, pod: Json, since: str) -> int | None:
        """Wait from a look on until a pod is no more; the exit code by its last status.

        Raises NotRunningError when it stays.
        """
        name, deadline = pod["metadata"]["name"], time.monotonic() + STOP_SECONDS
        path, selector = COLLECTIONS["Pod"].path(self.namespace), f"metadata.name={name}"
        while (left := deadline - time.monotonic()) > 0:
            seen = self.apiserver.watch(path, since, seconds=max(1, left), selector=selector)
            for change, found in seen:
                since = found["metadata"]["resourceVersion"]
                if change == "DELETED":
                    return read_exit_code(found)
        raise NotRunningError(f"pod {name} did not end within {STOP_SECONDS} s:\n{self.tell()}")


DEFAULT_REPLICAS = 2
ONE_OF_MANY: Json = {
    "crds": {"install": False},
    "admissionPolicies": {"enabled": False},
    "userRoles": {"create": False},
}
"Of what a cluster has once, a release of many on it brings nothing."


def serve_one(cluster: Cluster, apiserver: Apiserver, watched: str) -> InstalledOperator:
    """An operator for one namespace, beside others of its kind on the cluster."""
    # The gateway's counters are read at this machine's address, and tests' KEDA asks on loopback.
    values = make_values(watched, addresses={"allow": [find_address(cluster), "127.0.0.1"]})
    return InstalledOperator(cluster, apiserver, watched + HOME, values)


def make_values(watched: str, **fields: Any) -> Json:
    """The values under test, for an operator of one namespace."""
    scope = {"watch": {"namespaces": [watched]}, "replicas": 1}
    return {**SWITCHED_ON, **scope, **ONE_OF_MANY, **fields}


def count_restarts(pod: Json) -> int:
    """How often the kubelet started a pod's first container again."""
    statuses = pod.get("status", {}).get("containerStatuses", [{}])
    return int(statuses[0].get("restartCount", 0))


def read_exit_code(pod: Json) -> int | None:
    """What a pod's first container ended with, None when its status doesn't say."""
    statuses = pod.get("status", {}).get("containerStatuses", [{}])
    ended = statuses[0].get("state", {}).get("terminated", {})
    code = ended.get("exitCode")
    return None if code is None else int(code)


def _path_of(pod: Json) -> str:
    return COLLECTIONS["Pod"].path(pod["metadata"]["namespace"], pod["metadata"]["name"])
