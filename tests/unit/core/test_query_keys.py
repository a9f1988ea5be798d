"""A query's fields, and their order, are in the key that a step's evidence is stored under.

Another order would have an operator that takes over in mid-step begin to judge anew.
"""

from __future__ import annotations

import pytest
from canarium.core.spec import PrometheusQuery, Query, WebQuery

PROMETHEUS = (
    "PrometheusQuery(query='a', bad='', good='', total='b', address='', secret='',"
    " timeout_seconds=5.0)"
)
WEB = "WebQuery(url='a', value='', bad='', good='b', total='', secret='', timeout_seconds=5.0)"


@pytest.mark.parametrize(
    ("query", "text"),
    [(PrometheusQuery("a", total="b"), PROMETHEUS), (WebQuery("a", good="b"), WEB)],
    ids=["Prometheus", "web"],
)
def test_a_query_is_told_as_it_always_was(query: Query, text: str) -> None:
    assert repr(query) == text
