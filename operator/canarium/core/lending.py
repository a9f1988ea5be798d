"""Whether a query is put to the operator's own Prometheus, which its tenants are only lent.

Pure. What a namespace writes itself is then kept to that namespace's series, unless the operator's
setting lets it ask for any. Templates of the cluster are an administrator's and ask what they say.
"""

from __future__ import annotations

import re
from typing import Literal, TypeAlias, get_args

from canarium.core.allowed_addresses import split_address

TenantQueries: TypeAlias = Literal["OwnNamespace", "Any"]
"""Which series a namespace's own queries may read in the operator's Prometheus."""
TENANT_QUERIES: tuple[TenantQueries, ...] = get_args(TenantQueries)

_IN_CLUSTER = re.compile(r"\.svc(\..*)?$")


def may_be_same_server(address: str, other: str, namespace: str = "") -> bool:
    """Whether an address leads to this server, as far as one can tell by its spelling.

    `namespace` is where the first one's Services are looked up. What has no namespace at all is
    looked up who knows where, so it is taken for the same server if its name is the same.
    """
    first, second = _try_read(address, namespace), _try_read(other)
    if first is None or second is None:
        return False
    if "." in first[0] and "." in second[0]:
        return first == second
    return (_first(first[0]), first[1]) == (_first(second[0]), second[1])


def _try_read(address: str, namespace: str = "") -> tuple[str, int] | None:
    host, port = split_address(address)
    host = _IN_CLUSTER.sub("", host)
    if not host or not port:
        return None
    bare = namespace and "." not in host and ":" not in host
    return (f"{host}.{namespace}" if bare else host), port


def _first(host: str) -> str:
    return host.partition(".")[0]
