"""Secrets of the object's own namespace, read only when a metric names one.

The operator may get none by itself: whoever wants one used grants that with a Role of their own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from canarium.errors import ApiError, CanariumError, NotFoundError
from canarium.kube.client import Client
from canarium.kube.kinds import SECRETS
from canarium.outbound.auth import KEYS, NOBODY, Credentials, read_credentials
from canarium.outbound.errors import SourceError

KEPT_SECONDS = 60.0
"How long what was read is used: after a change of the Secret, that long the old one goes on."
MOST_KEPT_BYTES = 1024 * 1024
"Of Secrets, all together; what was read first goes first, and is read again when it is wanted."
OVERHEAD = 1024
"Bytes that an entry takes beside what the Secret holds, about."


class _Secret(msgspec.Struct):
    data: dict[str, str] = {}


_decode = msgspec.json.Decoder(_Secret).decode


@dataclass(frozen=True, slots=True)
class _Kept:
    credentials: Credentials
    until: float
    size: int


class Secrets:
    """Credentials by namespace and name of their Secret."""

    def __init__(self, client: Client, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._kept: dict[tuple[str, str], _Kept] = {}

    async def get(self, namespace: str, name: str) -> Credentials:
        """The credentials in a Secret; nobody's without a name. Raises SourceError."""
        if not name:
            return NOBODY
        kept = self._kept.get((namespace, name))
        if kept is not None and self._clock() < kept.until:
            return kept.credentials
        self._kept.pop((namespace, name), None)
        data = await fetch_secret(self._client, namespace, name)
        try:
            found = read_credentials(data)
        except ValueError as error:
            raise SourceError(f"Secret {name}: {error}") from error
        self._keep((namespace, name), found, sum(len(data.get(key, "")) for key in KEYS))
        return found

    def _keep(self, secret: tuple[str, str], found: Credentials, size: int) -> None:
        """Keep what was read for a while, and nothing beyond its time or the room there is."""
        now = self._clock()
        new = _Kept(found, now + KEPT_SECONDS, size + OVERHEAD)
        self._kept = {name: each for name, each in self._kept.items() if now < each.until}
        self._kept[secret] = new
        while sum(each.size for each in self._kept.values()) > MOST_KEPT_BYTES:
            del self._kept[next(iter(self._kept))]


async def fetch_secret(client: Client, namespace: str, name: str) -> Mapping[str, str]:
    """Read a Secret's `data`, in base64. Raises SourceError, which says what to grant."""
    try:
        return _decode(await client.get(SECRETS, namespace, name)).data
    except NotFoundError as error:
        raise SourceError(f"there is no Secret {name}") from error
    except ApiError as error:
        if error.status == 403:
            words = f"may not get Secret {name}: grant the operator get on it by a Role"
            raise SourceError(words) from error
        raise SourceError(f"Secret {name} cannot be read: {error.reason}") from error
    except CanariumError as error:
        raise SourceError(f"Secret {name} cannot be read now") from error
    except msgspec.ValidationError as error:
        raise SourceError(f"Secret {name} has values that are no text") from error
