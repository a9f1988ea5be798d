"""The gateway's own counters for each Service: they tell whose the failed answers are.

An answer with an error names no version, so the client alone cannot say which revision gave it.
"""

import http.client
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

TOTAL = "traefik_service_requests_total"


@dataclass(frozen=True, slots=True)
class Count:
    """Answers since the gateway started, and how many of them were 5xx."""

    answers: float = 0.0
    errors: float = 0.0

    def since(self, earlier: "Count") -> "Count":
        """What came after an earlier count; a counter that fell was started anew."""
        if self.answers < earlier.answers:
            return self
        return Count(self.answers - earlier.answers, self.errors - earlier.errors)


def parse_counts(text: str) -> dict[str, Count]:
    """Answers by the gateway's name of the service, from the Prometheus text format."""
    found: dict[str, Count] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == TOTAL:
                service = sample.labels["service"]
                errors = sample.value if sample.labels["code"].startswith("5") else 0.0
                sum_ = found.get(service, Count())
                found[service] = Count(sum_.answers + sample.value, sum_.errors + errors)
    return found


def select(counts: Mapping[str, Count], child: str) -> Count:
    """The count of one Kubernetes Service; its name is within the gateway's `<ns>-<name>-…`."""
    mine = [count for service, count in counts.items() if f"-{child}-" in service]
    return Count(sum(count.answers for count in mine), sum(count.errors for count in mine))


def fetch_counts(url: str) -> dict[str, Count]:
    """Read them now; nothing when the gateway doesn't answer, which is said by dashes."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 (our own http address)
            return parse_counts(answer.read().decode())
    except (OSError, http.client.HTTPException):
        return {}
