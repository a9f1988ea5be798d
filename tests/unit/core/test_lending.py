"""One server is known under all its names, and another is not taken for it."""

import pytest
from canarium.core.lending import may_be_same_server

SHARED = "http://prometheus.monitoring:9090"


@pytest.mark.parametrize(
    "address",
    [
        "http://prometheus.monitoring:9090",
        "http://prometheus.monitoring:9090/",
        "http://prometheus.monitoring:9090/a/prefix",
        "https://prometheus.monitoring:9090",
        "http://PROMETHEUS.Monitoring:9090",
        "http://prometheus.monitoring.:9090",
        "http://prometheus.monitoring:09090",
        "http://prometheus.monitoring.svc:9090",
        "http://prometheus.monitoring.svc.cluster.local:9090",
        "http://prometheus.monitoring.svc.example.internal.:9090",
        "http://prom%65theus.monitoring:9090",
        "http://\uff50rometheus\u3002monitoring:9090",
        "http://prometheus:9090",  # looked up wherever the operator runs
    ],
)
def test_every_spelling_of_a_server_is_that_server(address: str) -> None:
    assert may_be_same_server(address, SHARED)
    assert may_be_same_server(SHARED, address)


@pytest.mark.parametrize(
    "address",
    [
        "http://prometheus.risk:9090",
        "http://prometheus.monitoring:9091",
        "http://prometheus.monitoring",
        "http://prometheus.monitoring.example.com:9090",
        "http://my-prometheus.monitoring:9090",
        "http://thanos:9090",
        "http://prometheus.monitoring:none",
        "",
    ],
)
def test_another_server_is_another(address: str) -> None:
    assert not may_be_same_server(address, SHARED)


def test_a_port_that_is_left_out_is_the_schemes() -> None:
    assert may_be_same_server("http://a.b/x", "http://a.b:80")
    assert may_be_same_server("https://a.b:443", "https://a.b")
    assert not may_be_same_server("https://a.b", "http://a.b")
    assert may_be_same_server("http://127.0.0.1:9090/x", "http://127.0.0.1:9090")
    assert may_be_same_server("http://[::1]:9090", "http://[::1]:9090/x")


def test_a_name_without_dots_is_of_the_namespace_that_wrote_it() -> None:
    bare = "http://prometheus:9090"
    assert not may_be_same_server(bare, SHARED, "risk")
    assert may_be_same_server(bare, SHARED, "monitoring")
    assert may_be_same_server("http://prometheus.risk:9090", bare), "wherever that one is"
