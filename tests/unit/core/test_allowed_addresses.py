"""What a host's spelling says: a Service of one's own, what is listed, or neither."""

from ipaddress import ip_address

import pytest
from canarium.core.allowed_addresses import (
    EVERYTHING,
    Allowed,
    find_service,
    find_unlisted,
    names_own_service,
    parse_allowed,
    simplify,
    spell_out,
)

NOTHING = Allowed()


@pytest.mark.parametrize(
    ("rule", "covered", "others"),
    [
        ("*", ["a:1", "10.0.0.1:80"], []),
        ("prometheus.monitoring", ["prometheus.monitoring:9090"], ["a.prometheus.monitoring:9090"]),
        (
            "prometheus.monitoring:9090",
            ["prometheus.monitoring:9090"],
            ["prometheus.monitoring:80"],
        ),
        ("Prometheus.Monitoring.", ["prometheus.monitoring:1"], ["prometheus:1"]),
        (
            "*.monitoring",
            ["a.monitoring:80", "b.a.monitoring:1", "a.monitoring.svc:80"],
            ["monitoring:80", "xmonitoring:80", ".monitoring:80", "a.monitoring.svc.evil:80"],
        ),
        (
            "prometheus.monitoring.svc.cluster.local:9090",
            ["prometheus.monitoring:9090", "prometheus.monitoring.svc:9090"],
            ["prometheus.monitoring.svc.evil.example:9090", "a.prometheus.monitoring.svc:9090"],
        ),
        ("*.svc", ["prometheus.monitoring.svc:80"], ["prometheus.monitoring:80", "a.svc.evil:80"]),
        ("*.example.com:443", ["a.example.com:443"], ["a.example.com:80", "example.com:443"]),
        ("10.0.0.7", ["10.0.0.7:80"], ["10.0.0.70:80"]),
        ("10.0.0.7:80", ["10.0.0.7:80"], ["10.0.0.7:81"]),
        ("[fd00:0::7]:80", ["fd00::7:80"], ["fd00::7:81"]),
        ("fd00::7", ["fd00::7:80"], ["fd00::8:80"]),
    ],
)
def test_what_is_listed_covers_itself_and_nothing_else(
    rule: str, covered: list[str], others: list[str]
) -> None:
    allowed = parse_allowed([rule])
    for places, wanted in ((covered, True), (others, False)):
        for place in places:
            host, _, port = place.rpartition(":")
            assert allowed.covers(host, int(port)) == wanted, place


@pytest.mark.parametrize(
    "rule",
    [
        "",
        " ",
        "a b",
        "http://a",
        "*a",
        "a.*",
        "**",
        "a:",
        "a:b",
        "a:0",
        "a:65536",
        "10.0.0.1/8",
        "x/8",
    ],
)
def test_what_cannot_be_a_rule_is_refused_with_what_to_write(rule: str) -> None:
    with pytest.raises(ValueError, match=r"write host\[:port\], \*\.suffix or a network"):
        parse_allowed([rule])


def test_a_network_includes_addresses_and_no_names() -> None:
    allowed = parse_allowed(["10.0.0.0/8", "fd00::/16"])
    assert allowed.includes([ip_address("10.1.2.3"), ip_address("fd00::1")])
    assert not allowed.includes([ip_address("10.1.2.3"), ip_address("11.0.0.1")])
    assert not allowed.includes([])
    assert not allowed.covers("10.1.2.3", 80)


@pytest.mark.parametrize(
    ("host", "wanted"),
    [
        ("quality", ("quality", "risk")),
        ("quality.fraud", ("quality", "fraud")),
        ("quality.risk.svc", ("quality", "risk")),
        ("quality.risk.svc.cluster.local", ("quality", "risk")),
        ("a.quality.risk.svc", None),
        ("quality.example.com", None),
        ("10.0.0.1", None),
        ("fd00::1", None),
        ("", None),
        (".", None),
        ("a..svc", None),
        ("etc/passwd", None),
        ("a%2fb", None),
        ("x@y", None),
        ("a b", None),
        ("-a", None),
        ("a" * 63, ("a" * 63, "risk")),
        ("a" * 64, None),
        ("0a1b2c3d4e.risk", ("0a1b2c3d4e", "risk")),
        ("10.0.0.7%evil", None),
    ],
)
def test_a_service_is_known_by_its_four_names(host: str, wanted: tuple[str, str] | None) -> None:
    assert find_service(host, "risk") == wanted


@pytest.mark.parametrize(
    ("address", "own"),
    [
        ("http://quality", True),
        ("http://QUALITY.Risk:8080/x?y", True),
        ("http://quality.risk.svc.cluster.local.:80", True),
        ("http://quality.fraud", False),
        ("http://10.0.0.1", False),
        ("http://risk", True),
        ("http://quality.risk.example", False),
        ("http://quality.risk:port", False),
        ("", False),
    ],
)
def test_a_service_of_ones_own_is_told_from_all_else(address: str, own: bool) -> None:
    assert names_own_service(address, "risk", NOTHING) is own
    assert not names_own_service(address, "risk", EVERYTHING), "today's names are a server's"


@pytest.mark.parametrize(
    ("address", "wanted"),
    [
        ("http://prometheus:9090", "http://prometheus.risk.svc:9090"),
        ("https://prometheus.risk/a", "https://prometheus.risk.svc:443/a"),
        ("http://prometheus.risk.svc.cluster.local:9090/", "http://prometheus.risk.svc:9090/"),
        ("http://prometheus.monitoring:9090", "http://prometheus.monitoring:9090"),
        # What Go takes for another host than this reader does, or for none.
        ("http://\uff41.b%63/x?y=1", "http://a.bc:80/x?y=1"),
        ("http://[fd00:0::1]:9090", "http://[fd00::1]:9090"),
        # What is no URL: it is read by nobody, and is as people wrote it.
        ("http://[9]:9090", "http://[9]:9090"),
        ("http://[E4:0758.0B31]", "http://[E4:0758.0B31]"),
        ("http://prometheus:port", "http://prometheus:port"),
    ],
)
def test_what_others_connect_to_is_written_in_full(address: str, wanted: str) -> None:
    assert spell_out(address, "risk", NOTHING) == wanted


def test_what_is_not_listed_is_told_with_the_line_that_lists_it() -> None:
    address = "http://prometheus.monitoring:9090"
    assert find_unlisted(address, "risk", NOTHING) == (
        "addresses.allow lacks prometheus.monitoring:9090: it is no Service of namespace risk"
    )
    assert not find_unlisted(address, "risk", parse_allowed(["prometheus.monitoring:9090"]))
    assert not find_unlisted("http://10.1.2.3", "risk", parse_allowed(["10.0.0.0/8"]))
    assert "[fd00::1]:80" in find_unlisted("http://[fd00::1]", "risk", NOTHING)


@pytest.mark.parametrize("host", ["evil%2fx.com", "2852039166%2f", "10.0.0.7%25evil.com", "a%40b"])
def test_a_host_that_hides_another_one_is_neither_a_service_nor_listed(host: str) -> None:
    address = f"http://{host}:9090"
    assert not names_own_service(address, "risk", NOTHING)
    listed = parse_allowed(["10.0.0.0/8", "*.com", "evil", "b", "a"])
    for each in (listed, EVERYTHING):
        assert find_unlisted(address, "risk", each).startswith("its host is no name")
    assert not find_unlisted("http://b", "risk", listed), "or it would be refused anyway"


def test_what_an_administrator_wrote_elsewhere_is_listed_but_for_bare_names() -> None:
    allowed = parse_allowed(["a.b"], public=False).add(
        ["http://traefik-metrics.gateways:9100/metrics", "http://quality:80", "https://10.0.0.1"]
    )
    assert not allowed.public
    assert allowed.covers("a.b", 1)
    assert allowed.covers("traefik-metrics.gateways", 9100)
    assert not allowed.covers("traefik-metrics.gateways", 9101)
    assert allowed.covers("10.0.0.1", 443)
    assert not allowed.covers("quality", 80)


def test_hosts_are_compared_as_a_resolver_takes_them() -> None:
    assert simplify("\uff30rom\u3002Monitoring.") == "prom.monitoring"
    assert simplify("FD00:0:0::1") == "fd00::1"
