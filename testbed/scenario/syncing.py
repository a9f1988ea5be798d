"""A sync from Git that goes on in the background, and who writes sizes, by the audit log."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from canarium.core.status import parse_time

from testbed.scenario.manifests import Json
from testbed.scenario.scenario import Scenario

SERVER_SIDE = ("apply", "--server-side", "--field-manager=argocd-controller", "-f", "-")
AUTOSCALER = "system:serviceaccount:kube-system:horizontal-pod-autoscaler"
"Who Kubernetes' own autoscaler is; KEDA has it scale for it, but from and to zero."
CAPACITY = "canarium-capacity"


class Syncs:
    """How often a sync was done, for whoever waits for it."""

    def __init__(self) -> None:
        self._done = 0
        self._failure: Exception | None = None
        self._changed = threading.Condition()

    def add(self, failure: Exception | None = None) -> None:
        """One more was done, or the last one failed."""
        with self._changed:
            self._done += failure is None
            self._failure = failure
            self._changed.notify_all()

    def wait_for(self, number: int, seconds: float) -> None:
        """Wait until so many were done; a failure of one is raised here."""
        with self._changed:
            self._changed.wait_for(lambda: self._done >= number or self._failure, seconds)
            if self._failure is not None:
                raise self._failure
            assert self._done >= number, f"{self._done} of {number} syncs in {seconds} s"


@contextmanager
def syncing(run: Callable[[], None], every: float = 1.0) -> Iterator[Syncs]:
    """Sync every so many seconds until the block ends, and once more with what was under way."""
    done, ended = Syncs(), threading.Event()

    def repeat() -> None:
        try:
            while not ended.wait(every):
                run()
                done.add()
        except Exception as error:  # noqa: BLE001 - raised in the test's own thread
            done.add(error)

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield done
    finally:
        ended.set()
        thread.join()
    done.wait_for(0, 0)


def sync_server_side(scenario: Scenario, manifest: Json) -> None:
    """Apply what Git has as Argo CD does with server-side apply."""
    scenario.models.add(manifest["metadata"]["name"])
    scenario.kubectl(*SERVER_SIDE, stdin=json.dumps(manifest))


def read_entries(log: Path) -> Iterator[Json]:
    """The requests that were answered, from an apiserver's audit log."""
    for line in log.read_text().splitlines(keepends=True):
        if line.endswith("\n") and (entry := json.loads(line))["stage"] == "ResponseComplete":
            yield entry


def count_resizers(scenario: Scenario, begin: float, end: float) -> Counter[str]:
    """How often who wrote the size of a Deployment within these times, and was not refused.

    People by their names in the cluster; the operator's second field manager by that.
    """
    assert scenario.cluster.audit_log is not None
    found: Counter[str] = Counter()
    for entry in read_entries(scenario.cluster.audit_log):
        at = parse_time(entry["stageTimestamp"])
        if begin <= at < end and _is_carried_out(entry, scenario.namespace):
            found.update(_find_resizer(entry))
    return found


def _is_carried_out(entry: Json, namespace: str) -> bool:
    about = entry.get("objectRef", {})
    mine = about.get("namespace") == namespace and about.get("resource") == "deployments"
    return mine and entry["verb"] in ("update", "patch") and entry["responseStatus"]["code"] < 300


def _find_resizer(entry: Json) -> list[str]:
    if entry["objectRef"].get("subresource") == "scale":
        return [entry["user"]["username"]]
    managers = parse_qs(urlsplit(entry["requestURI"]).query).get("fieldManager", [])
    return [manager for manager in managers if manager == CAPACITY]
