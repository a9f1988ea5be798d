"""Where news goes: addresses are secrets, for whoever has one can write into a chat.

They are read each time that something is sent, kept nowhere, and in no message, log or repr.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from yarl import URL

from canarium.core.receivers import Receiver
from canarium.kube.client import Client
from canarium.outbound.auth import KEYS, NOBODY, Credentials, decode_value, read_credentials
from canarium.outbound.credentials import fetch_secret
from canarium.outbound.errors import SourceError
from canarium.outbound.forbidden_addresses import MAX_ADDRESS, check_address


@dataclass(frozen=True, slots=True)
class Destination:
    """An address, and how to authenticate there."""

    url: URL = field(repr=False)
    credentials: Credentials = NOBODY


async def find_destination(client: Client, namespace: str, receiver: Receiver) -> Destination:
    """Read a receiver's address from its Secret or file.

    Raises SourceError, whose words never hold the address.
    """
    if receiver.address_file:
        text = await asyncio.to_thread(_read_file, receiver.address_file)
        return Destination(_parse(text, receiver.address_file))
    data = await fetch_secret(client, namespace, receiver.secret)
    where = f"key {receiver.key} of Secret {receiver.secret}"
    if receiver.key not in data:
        raise SourceError(f"there is no {where}")
    try:
        url = _parse(decode_value(receiver.key, data[receiver.key]), where)
        known = any(key in data for key in KEYS)
        return Destination(url, read_credentials(data) if known else NOBODY)
    except ValueError as error:
        raise SourceError(f"Secret {receiver.secret}: {error}") from None


def _read_file(path: str) -> str:
    try:
        with Path(path).open(encoding="utf-8") as file:
            return file.read(MAX_ADDRESS + 1)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise SourceError(f"{path} is no text") from None


def _parse(text: str, where: str) -> URL:
    try:
        return check_address(text.strip())
    except ValueError as error:
        raise SourceError(f"{where}: {error}") from None
