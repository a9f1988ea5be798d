"""Where readings come from: a file a source.

Sources that are asked by queries are listed here by the type of their queries. Pods and gateways,
whose counters are read, are asked by the session itself.
"""

from __future__ import annotations

from typing import Any

from canarium.core.spec import Query
from canarium.metrics.sources.asking import RevisionReader
from canarium.metrics.sources.prometheus import PrometheusReader
from canarium.metrics.sources.web import WebReader

SOURCES: dict[type[Query], type[RevisionReader[Any]]] = {
    source.query_type: source
    for source in (
        PrometheusReader,
        WebReader,
    )
}
