"""Whether a query is put to the operator's own Prometheus, which its tenants are only lent.

Pure. What a namespace writes itself is then kept to that namespace's series, unless the operator's
setting lets it ask for any. Templates of the cluster are an administrator's and ask what they say.
"""

from __future__ import annotations

import re
from typing import Literal, TypeAlias, get_args
from unicodedata import normalize
from urllib.parse import SplitResult, unquote, urlsplit

TenantQueries: TypeAlias = Literal["OwnNamespace", "Any"]
"""Which series a namespace's own queries may read in the operator's Prometheus."""
TENANT_QUERIES: tuple[TenantQueries, ...] = get_args(TenantQueries)

_PORTS = {"http": 80, "https": 443}
_IN_CLUSTER = re.compile(r"\.svc(\..*)?$")


def is_same_server(address: str, other: str) -> bool:
    """Whether two addresses name one server, by whatever path and in whatever spelling.

    A Service has four names. One without its namespace means whichever server has that name: where
    it is looked up isn't known here, so it is taken for the same one.
    """
    try:
        (host, port), (other_host, other_port) = map(_read, (urlsplit(address), urlsplit(other)))
    except ValueError:
        return False
    if port != other_port or not host or not other_host:
        return False
    bare = "." not in host or "." not in other_host
    return _first(host) == _first(other_host) if bare else host == other_host


def _read(url: SplitResult) -> tuple[str, int | None]:
    """Host and port; of a Service its name and namespace."""
    host = normalize("NFKC", unquote(url.hostname or "")).replace("\u3002", ".")
    name = host.lower().rstrip(".")
    return _IN_CLUSTER.sub("", name), url.port or _PORTS.get(url.scheme)


def _first(host: str) -> str:
    return host.partition(".")[0]
