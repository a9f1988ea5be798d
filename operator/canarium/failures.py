"""Why a connection or an answer came to nothing: words of ours, by the kind of the error.

An error's own text is never repeated. It is a library's, changes with its version, and may hold
what the other side has said: a banner, a header, a line with a password. Whoever needs it finds it
in the log at level debug.
"""

from __future__ import annotations

import errno
import logging
import socket
import ssl
from collections.abc import Callable

import aiohttp

logger = logging.getLogger(__name__)


class RefusedAddressError(OSError):
    """A connection that is not made because of where it leads; its text is ours."""


NO_HTTP = "what answers speaks no HTTP, or breaks it"
NO_TLS = "no trusted TLS connection"

_CERTIFICATE = {
    9: "its certificate is not valid yet",
    10: "its certificate has expired",
    18: "its certificate is signed by nobody but itself",
    19: "the authority of its certificate is not trusted",
    20: "the authority of its certificate is not trusted",
    21: "the authority of its certificate is not trusted",
    62: "its certificate is for another name",
    64: "its certificate is for another address",
}
"By OpenSSL's codes of verification."

_ERRNO = {
    errno.ECONNRESET: "the connection was closed",
    errno.EPIPE: "the connection was closed",
    errno.ECONNABORTED: "the connection was closed",
    errno.EHOSTUNREACH: "there is no way to the host",
    errno.ENETUNREACH: "there is no way to the network",
    errno.ETIMEDOUT: "no answer",
    errno.EMFILE: "too many files are open here",
    errno.ENFILE: "too many files are open here",
    errno.EADDRNOTAVAIL: "no address or port is left here to connect from",
    errno.EACCES: "something here forbids it",
    errno.EPERM: "something here forbids it",
}


def explain_failure(error: BaseException) -> str:
    """Say in a few words why a request came to nothing; its text goes to the log at debug."""
    words = next(say(error) for kind, say in _KINDS if isinstance(error, kind))
    logger.debug("%s: %r", words, error)
    return words


def explain_lookup(error: OSError | None) -> str:
    """Say why a host's name led to no address."""
    number = error.errno if error is not None else None
    if number in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", None)):
        return "there is no such host"
    if number == socket.EAI_AGAIN:
        return "the name server does not answer"
    return "the host's name cannot be looked up"


def _explain_tls(error: BaseException) -> str:
    cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    if isinstance(cause, ssl.SSLCertVerificationError):
        code = getattr(cause, "verify_code", 0)
        return f"{NO_TLS}: {_CERTIFICATE.get(code, 'its certificate is not trusted')}"
    if getattr(cause, "reason", "") == "WRONG_VERSION_NUMBER":
        return f"{NO_TLS}: what answers speaks no TLS"
    return NO_TLS


def _explain_name(error: BaseException) -> str:
    return f"cannot connect: {explain_lookup(getattr(error, 'os_error', None))}"


def _explain_connecting(error: BaseException) -> str:
    cause = getattr(error, "os_error", None)
    if isinstance(cause, ConnectionRefusedError):
        return f"connection refused on port {getattr(error, 'port', '')}"
    return f"cannot connect: {_explain_system(cause if isinstance(cause, OSError) else error)}"


def _explain_system(error: BaseException) -> str:
    """Say what the operating system has against it: by its number, which nobody else chooses."""
    if isinstance(error, RefusedAddressError):
        return str(error)
    if isinstance(error, socket.gaierror):
        return explain_lookup(error)
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    number = getattr(error, "errno", None)
    return (
        _ERRNO.get(number or 0) or f"error {errno.errorcode.get(number or 0, 'of an unknown kind')}"
    )


def _explain_response(error: BaseException) -> str:
    """What could not be taken for HTTP; aiohttp's parser says no more by kinds than this."""
    cause: BaseException | None = error
    depth = 0
    while cause is not None and depth < 5:
        if type(cause).__name__ == "LineTooLong":
            return "an answer with a status line or a header that is too long"
        cause, depth = cause.__cause__ or cause.__context__, depth + 1
    return NO_HTTP


def _always(words: str) -> Callable[[BaseException], str]:
    return lambda _error: words


_KINDS: tuple[
    tuple[type[BaseException] | tuple[type[BaseException], ...], Callable[[BaseException], str]],
    ...,
] = (
    (RefusedAddressError, str),
    ((aiohttp.ClientSSLError, ssl.SSLError), _explain_tls),
    (aiohttp.ClientConnectorDNSError, _explain_name),
    (aiohttp.ClientConnectorError, _explain_connecting),
    (TimeoutError, _always("no answer in time")),
    (aiohttp.InvalidURL, _always("not an address: its host is none that can be asked for")),
    (aiohttp.ServerFingerprintMismatch, _always(NO_TLS)),
    (aiohttp.ServerDisconnectedError, _always("the connection was closed before an answer came")),
    (
        aiohttp.ClientPayloadError,
        _always("a broken answer: it ends early, or in pieces that are none"),
    ),
    (aiohttp.ClientResponseError, _explain_response),
    (OSError, lambda error: f"no answer: {_explain_system(error)}"),
    (aiohttp.ClientError, _always("no answer that can be read")),
    (BaseException, _always("no answer, for a reason that nobody foresaw")),
)
"Of each kind of error, the more special ones first: what is said of it."
