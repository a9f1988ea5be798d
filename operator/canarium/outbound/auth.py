"""Credentials for a source, from a Secret's data: a token, a user, an authority to trust.

They are in no message, log or repr, and go to the one address that they were made for: redirects
are never followed.
"""

from __future__ import annotations

import binascii
import ssl
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field

KEYS = ("token", "username", "password", "ca.crt")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What is sent along (`Authorization`) and who is trusted; by default nothing and the usual."""

    authorization: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False)

    @property
    def headers(self) -> dict[str, str]:
        """The headers that prove who asks."""
        return {} if self.authorization is None else {"Authorization": self.authorization}


NOBODY = Credentials()


def read_credentials(data: Mapping[str, str]) -> Credentials:
    """Read a Secret's `data` as the apiserver gives it, in base64.

    `token` is sent as Bearer; `username` and `password` as Basic; `ca.crt` is the only authority
    that is trusted then. Raises ValueError that names the key, and never says what was in it.
    """
    found = {key: decode_value(key, data[key]) for key in KEYS if key in data}
    if not found:
        raise ValueError("none of the keys token, username and password, ca.crt")
    tls = _trust(found["ca.crt"]) if "ca.crt" in found else None
    return Credentials(_authorize(found), tls)


def _authorize(found: Mapping[str, str]) -> str | None:
    if "token" in found:
        if "username" in found or "password" in found:
            raise ValueError("both token and username or password; keep one of the two")
        return f"Bearer {_check_token(found['token'])}"
    if ("username" in found) != ("password" in found):
        missing = "password" if "username" in found else "username"
        raise ValueError(f"no key {missing}, which the other of username and password needs")
    if "username" not in found:
        return None
    if ":" in found["username"]:
        raise ValueError("username has a colon, which Basic authentication cannot carry")
    pair = f"{found['username']}:{found['password']}"
    return f"Basic {b64encode(pair.encode()).decode()}"


def _check_token(token: str) -> str:
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("token is empty or has characters that no header can carry")
    return token


def decode_value(key: str, text: str) -> str:
    """Read one value of a Secret's `data`. Raises ValueError that never says what was in it."""
    try:
        # A file that was made with an editor or echo ends with a newline that nobody meant.
        return b64decode(text, validate=True).decode().rstrip("\r\n")
    except (binascii.Error, ValueError):
        # Without the cause, which carries the bytes.
        raise ValueError(f"{key} is not text in base64") from None


def _trust(certificates: str) -> ssl.SSLContext:
    problem = "ca.crt holds no certificate in PEM format"
    if not certificates.strip():  # With nothing at all, the system's authorities would be trusted.
        raise ValueError(problem)
    try:
        return ssl.create_default_context(cadata=certificates)
    except (ssl.SSLError, ValueError):
        raise ValueError(problem) from None
