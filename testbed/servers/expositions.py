"""What a Prometheus scrapes beside the operator: counters of servers, for pods that only pretend.

A server's recorded exposition is served under each pod's name, with counters that grow as if it
were asked all the time. Which pods there are is told by Prometheus' HTTP service discovery.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from testbed.servers.loopback import QuietHandler, listening

Json = dict[str, Any]
_VALUE = re.compile(r"^([^#\s].* )(\S+)$", re.MULTILINE)


@dataclass
class Expositions:
    """Where they are, and the pods to tell of: labels by path."""

    address: str = ""
    pods: dict[str, dict[str, str]] = field(default_factory=dict)

    def add_pod(self, namespace: str, name: str, labels: Mapping[str, str]) -> None:
        """Tell of a pod from now on, with its labels as a PodMonitor hands them on."""
        given = {re.sub(r"\W", "_", label): value for label, value in labels.items()}
        self.pods[f"/pods/{name}"] = {"namespace": namespace, "pod": name, **given}

    @property
    def jobs(self) -> list[Json]:
        """Scrape jobs: the pods, and what else is served."""
        found = {"url": f"http://{self.address}/targets", "refresh_interval": "1s"}
        other = {"targets": [self.address]}
        return [
            {"job_name": "models", "http_sd_configs": [found]},
            {
                "job_name": "made",
                "metrics_path": "/made",
                "honor_labels": True,
                "static_configs": [other],
            },
        ]

    def list_targets(self) -> list[Json]:
        """The pods as HTTP service discovery tells them."""
        return [
            {"targets": [self.address], "labels": {**labels, "__metrics_path__": path}}
            for path, labels in self.pods.items()
        ]


@contextmanager
def serving(recorded: str, made: Callable[[], str]) -> Iterator[Expositions]:
    """Serve a recorded exposition for pods, and under /made what is made up, until the end."""
    found, begun = Expositions(), time.monotonic()

    class Handler(QuietHandler):
        def respond(self) -> None:
            kind = "application/json" if self.path == "/targets" else "text/plain; version=0.0.4"
            self.answer(self._find(), headers={"Content-Type": kind})

        def _find(self) -> str:
            if self.path == "/targets":
                return json.dumps(found.list_targets())
            return made() if self.path == "/made" else grow(recorded, time.monotonic() - begun)

    with listening(Handler) as address:
        found.address = address
        yield found


def grow(recorded: str, seconds: float) -> str:
    """An exposition whose counters have counted as much again each second."""
    return _VALUE.sub(lambda line: f"{line[1]}{float(line[2]) * (1 + seconds)}", recorded)
