"""One request to a receiver: what came of it, and whether trying again is of any use.

Redirects are not followed. Of an answer only the status and Retry-After are looked at, and nothing
of what a server says is repeated anywhere.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import aiohttp

from canarium.failures import RefusedAddressError, explain_failure
from canarium.notifying.destinations import Destination
from canarium.notifying.messages import Message
from canarium.outbound.fetching import SOON, WHENEVER
from canarium.outbound.lookups import looking_up_for

TIMEOUT_SECONDS = 10.0
LONGEST_RETRY_AFTER = 300.0
TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class DeliveryOutcome:
    """How one try ended: `problem` is "" when it was delivered.

    `final`: trying again is of no use. `retry_after` is how many seconds the receiver asked to be
    left alone.
    """

    problem: str = ""
    final: bool = False
    retry_after: float = 0.0


DELIVERED = DeliveryOutcome()


async def post(
    session: aiohttp.ClientSession,
    destination: Destination,
    message: Message,
    owner: str = "",
    dial: tuple[str, ...] = (),
) -> DeliveryOutcome:
    """Try once, at the first of the addresses of `dial` that takes the connection.

    `owner` is the namespace whose address it is.
    """
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            with looking_up_for(owner):
                return await _connect(session, destination, message, dial)
    except TimeoutError:
        return DeliveryOutcome(f"no answer within {TIMEOUT_SECONDS:g} s")
    except (aiohttp.ClientError, OSError) as error:
        refused = isinstance(getattr(error, "os_error", None), RefusedAddressError)
        return DeliveryOutcome(explain_failure(error), final=refused)


async def _connect(
    session: aiohttp.ClientSession,
    destination: Destination,
    message: Message,
    dial: tuple[str, ...],
) -> DeliveryOutcome:
    for place in dial[:-1]:
        try:
            return await _post(session, destination, message, place, SOON)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            continue
    return await _post(session, destination, message, dial[-1] if dial else "")


async def _post(
    session: aiohttp.ClientSession,
    destination: Destination,
    message: Message,
    place: str,
    patience: aiohttp.ClientTimeout = WHENEVER,
) -> DeliveryOutcome:
    url, name = destination.url, destination.url.raw_host
    headers = {"Content-Type": message.content_type, **destination.credentials.headers}
    if place:
        headers["Host"] = url.raw_authority
    async with session.post(
        url.with_host(place) if place else url,
        data=message.body,
        headers=headers,
        server_hostname=name if place and url.scheme == "https" else None,
        ssl=destination.credentials.tls or True,
        allow_redirects=False,
        auto_decompress=False,
        timeout=patience,
    ) as response:
        response.close()  # what else it says is of no interest
        return judge(response.status, response.headers.get("Retry-After", ""))


def judge(status: int, retry_after: str, now: float | None = None) -> DeliveryOutcome:
    """What a status means; `now` is in epoch seconds."""
    if 200 <= status < 300:
        return DELIVERED
    if 300 <= status < 400:
        return DeliveryOutcome(f"HTTP status {status}: redirects are not followed", final=True)
    again = status in TRY_AGAIN
    seconds = _read_retry_after(retry_after, time.time() if now is None else now)
    return DeliveryOutcome(f"HTTP status {status}", not again, seconds if again else 0.0)


def _read_retry_after(text: str, now: float) -> float:
    """Seconds, at most five minutes; 0 for what is neither a number nor a date."""
    try:
        asked = int(text) if text.isdecimal() else parsedate_to_datetime(text).timestamp() - now
    except (ValueError, OverflowError):
        return 0.0
    return min(max(float(asked), 0.0), LONGEST_RETRY_AFTER)
