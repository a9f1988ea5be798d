"""An independent witness: writes down every change of the objects that a rollout is made of.

It runs as a process of its own (`python -m testbed.witness.watcher …`) with watches of its own,
knows nothing of the operator, and keeps what the apiserver said, in the apiserver's order.
"""

import argparse
import json
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import urllib3
from kubernetes import client

from testbed.operators.apiserver import COLLECTIONS, Apiserver, Collection, WatchEndedError

WATCHED = (
    "Namespace",
    "ModelDeployment",
    "ModelRevision",
    "Deployment",
    "HTTPRoute",
    "TraefikService",
    "Service",
    "EndpointSlice",
    "Pod",
    "Event",
)
RETRY_SECONDS = 1.0
POLL_SECONDS = 0.5
KEPT_OF_MANAGED_FIELDS = ("manager", "operation", "subresource", "time", "fieldsV1")


def project(kind: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what no check reads, to keep the log small."""
    kept = {key: found[key] for key in ("metadata", "spec", "status", "data") if key in found}
    fields = found["metadata"].get("managedFields", [])
    kept["metadata"] = {**found["metadata"], "managedFields": _project_fields(kind, fields)}
    if kind == "EndpointSlice":
        kept["endpoints"] = found.get("endpoints") or []
    if kind == "Pod":
        kept["spec"] = {"nodeName": found["spec"].get("nodeName", "")}
    if kind == "Event":
        names = ("type", "reason", "note", "regarding", "reportingController")
        kept |= {name: found[name] for name in names if name in found}
    return kept


def _project_fields(kind: str, fields: list[dict[str, Any]]) -> list[dict[str, Any]]:
    names = KEPT_OF_MANAGED_FIELDS if kind == "ModelDeployment" else KEPT_OF_MANAGED_FIELDS[:4]
    return [{name: entry[name] for name in names if name in entry} for entry in fields]


class Watcher:
    """Writes the changes of every collection, one JSON line a change, until it is stopped."""

    def __init__(self, kubeconfig: Path, log: TextIO) -> None:
        self.begun = threading.Event()
        "Set once every kind was listed, or is known not to be served: from now on nothing escapes."
        self._unlisted = set(WATCHED)
        self._kubeconfig = kubeconfig
        self._log = log
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], str] = {}

    def start(self) -> None:
        """Watch each collection in a thread of its own; they end with the process."""
        for kind in WATCHED:
            follow = threading.Thread(target=self._follow_forever, args=(COLLECTIONS[kind],))
            follow.daemon = True
            follow.start()

    def _follow_forever(self, collection: Collection) -> None:
        apiserver = Apiserver(self._kubeconfig)
        while True:
            try:
                self._follow(apiserver, collection)
            except client.ApiException as error:
                if error.status == 404:  # the kind isn't installed (yet)
                    self._begin(collection)
                else:
                    self._note(collection, f"{error.status} {error.reason}")
                time.sleep(RETRY_SECONDS)
            except (WatchEndedError, urllib3.exceptions.HTTPError) as error:
                self._note(collection, f"{type(error).__name__}: {error}")
                time.sleep(RETRY_SECONDS)

    def _follow(self, apiserver: Apiserver, collection: Collection) -> None:
        listed = apiserver.get(collection.path())
        for found in listed["items"]:
            self._write("LISTED", collection.kind, found)
        self._begin(collection)
        since = listed["metadata"]["resourceVersion"]
        while True:
            for change, found in apiserver.watch(collection.path(), since):
                since = found["metadata"]["resourceVersion"]
                self._write(change, collection.kind, found)

    def _begin(self, collection: Collection) -> None:
        with self._lock:
            self._unlisted.discard(collection.kind)
            if not self._unlisted:
                self.begun.set()

    def _write(self, change: str, kind: str, found: dict[str, Any]) -> None:
        uid, version = found["metadata"]["uid"], found["metadata"]["resourceVersion"]
        with self._lock:
            if self._known.get((kind, uid)) == version:
                return  # a list that shows again what was written before
            self._known[kind, uid] = version
            row = {"time": time.time(), "type": change, "kind": kind}
            self._log.write(json.dumps({**row, "object": project(kind, found)}) + "\n")
            self._log.flush()

    def _note(self, collection: Collection, message: str) -> None:
        print(f"{time.time():.3f} {collection.kind}: {message}", file=sys.stderr, flush=True)


def find_mark(log: Path) -> Path:
    """The file that is there once nothing escapes the witness that writes this log."""
    return log.with_suffix(".begun")


def run_watcher(arguments: list[str]) -> None:
    """Watch until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m testbed.witness.watcher", description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--log", type=Path, required=True)
    given = parser.parse_args(arguments)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with given.log.open("a") as log:
        watcher = Watcher(given.kubeconfig, log)
        watcher.start()
        while not (ended.is_set() or watcher.begun.wait(POLL_SECONDS)):
            pass
        if watcher.begun.is_set():
            find_mark(given.log).touch()
        ended.wait()


if __name__ == "__main__":
    run_watcher(sys.argv[1:])
