"""Texts and keys that mean something to somebody who reads them: what fuzzers call a dictionary.

Random letters hardly ever are an address, a JSONPath or a time; what breaks those who read them is
mostly known from other programs.
"""

from __future__ import annotations

RESOURCES = ("memory", "cpu", "ephemeral-storage", "nvidia.com/gpu", "hugepages-2Mi", "a.b/c")
"The first four have places of their own in every map of quantities."
KEYS = (
    "app", "team", "a.b/c", "kubernetes.io/hostname", "prometheus.io/scrape", "X", "0",
    f"{'a.' * 100}a/{'b' * 63}", "c" * 63, "c" * 64, "canarium.dev/model",
)  # fmt: skip

ADDRESSES = (
    "http://a", "http://a..b", "http://.a", "http://a.", "http://" + "a" * 63,
    "http://" + "a" * 64, "http://" + "\u00fc" * 30, "http://" + "\u00fc" * 63,
    "http://\u3002a", "http://a\u3002\u3002b", "http://xn--a", "http://xn--" + "a" * 59,
    "http://" + ".".join(["a" * 60] * 5), "http://[::1]", "http://[::1]:99999", "http://[::g]",
    "http://1.2.3.4:0", "http://1.2.3.4:65536", "http://2130706433", "http://0x7f.1",
    "https://a:9090/b?c={{model}}", "http://a/{{nobody}}", "http://a/%zz", "http://a/\u202e",
    "http://\u00ad", "http://\U0001f600.example", "http://a:", "http://_.a", "http://-",
)  # fmt: skip
PATHS = (
    "$", "$.a", "$..*", "$[0]", "$[?@.a==1e400]", "$[?@.a==-1e400]", "$[1e400]", "$[9999999999999]",
    "$[?@.a==" + "9" * 400 + "]", "$[" * 200, "$" + "[0]" * 300, "$" + "[?@" * 60 + "]" * 60,
    "$[" + "(" * 100 + "]", "$[?match(@.a, '(a+)+$')]", "$[?match(@.a, '[')]", "$['\\ud800']",
    "$[?length(@.a)>1]", "$[?@.a=='\\u0000']", "$[-1]", "$[::0]", "$.\u00e9", "a", "@", "$.",
)  # fmt: skip
QUERIES = (
    "up", "sum(", "{{model}}", "{{nobody}}", "{{", "}}", "{{{model}}}", "rate(a_total[5m])",
    'a{b="{{version}}"}', "a_total", "1e400", "a" * 64, "{{pods}}", "\\", '"', "a\nb",
)  # fmt: skip
QUANTITIES = (
    "0", "1", "-0", "+1", "1m", "1n", "0.5Gi", ".5", "1.", "1e3", "1E3", "1e99", "9" * 15,
    "9" * 15 + "E", "9" * 15 + "Ei", "9" * 15 + "e99", "1e-99", "0.000000001n", "1000000000000000",
)  # fmt: skip
DURATIONS = (
    "0s", "1s", "10s", "59s", "60s", "61s", "1ms", "0ms", "1h30m", "99999h", "00000h",
    "99999h99999h99999h99999h", "99999ms", "24h", "336h", "1s1s1s1s",
)  # fmt: skip
FIGURES = (
    "0%", "1%", "100%", "99.999999%", "0.00000001", "1.00000000", "1", "-1", "9" * 15,
    "-" + "9" * 15 + ".999999999%", "1.2", "999.999999", "1Ki", "999999999P", "0.001m",
)  # fmt: skip
ODD = (
    "", " ", "..", ".", "-", "/", "//", "%", "%%", "%s", "$", "$(X)", "{{model}}", "{{nobody}}",
    "{}", "{0}", "nan", "inf", "1e400", "1e-400", "null", "true", "9" * 32, "a" * 63, "a" * 64,
    "\t", "a\nb", "a\r\nb", "\x00", "\x7f", "\u00e9", "\u0130", "\u202e", "\ufeff", "\U0001f600",
    "a\u0300", "*.a", "[", "(a+)+$", "(?", "metadata.name", "limits.cpu", "server",
)  # fmt: skip
NAMES = (
    "scratch", "settings", "server", "proxy", "clicks", "precision", "error-rate", "latency-p99",
    "cpu", "queue", "full", "experiment", "http", "metrics",
)  # fmt: skip
"What other fields refer to."
_BY_NAME = {
    **dict.fromkeys(("name", "metric"), NAMES),
    **dict.fromkeys(("address", "url"), ADDRESSES),
    **dict.fromkeys(("value", "bad", "good", "total"), (*PATHS, *QUERIES)),
    "query": QUERIES,
}
TIMES = (
    "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-14:00",
    "0001-01-01T00:00:00+14:00", "1969-12-31T23:59:59Z", "2026-02-30T00:00:00Z", "20260101T000000",
    "2026-01-01T24:00:00Z", "2026-W01-1", "2026-01-01",
)  # fmt: skip
COMMANDS = (
    "aaaaaaaaaa@1", "aaaaaaaaaa:1@1", "a:9999999999999999999@x", "a:-1@x", "a:\u0661@x",
    "a:\u00b2@x", ":@", "@", "a@", "a" * 4096,
)  # fmt: skip


def find_tokens(name: str) -> tuple[str, ...]:
    """Texts that mean something in a field of this name, and in others."""
    everywhere = (*QUANTITIES, *DURATIONS, *FIGURES, *ODD)
    own = _BY_NAME.get(name, ())
    # Those of its own kind as often as all others together.
    return (*own * (1 + len(everywhere) // len(own)), *everywhere) if own else everywhere
