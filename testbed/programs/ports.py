"""Free ports, outside the range from which the kernel and Kubernetes give out their own.

Whoever is given a port listens on it a moment later: an operator after a second, when its modules
are read. So each is given out once: this process remembers its own, and what other processes of
these tests were given is locked for as long as they live.
"""

import fcntl
import os
import random
import socket
import tempfile
from functools import cache
from pathlib import Path

FIRST, LAST = 20000, 29999
_given: set[int] = set()
"By this process."


def find_free_ports(count: int, address: str = "127.0.0.1") -> list[int]:
    """Different TCP ports that nobody listens on just now, and nobody else was given."""
    found: list[int] = []
    for port in random.sample(range(FIRST, LAST + 1), LAST + 1 - FIRST):
        if claim(port) and is_free(port, address):
            found.append(port)
        if len(found) == count:
            return found
    raise OSError(f"no {count} free ports between {FIRST} and {LAST}")


def claim(port: int) -> bool:
    """Keep a port for whoever asked here; False where somebody has it, of this process too."""
    if port in _given:
        return False
    try:
        fcntl.lockf(_open_book(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    _given.add(port)
    return True


@cache
def _open_book() -> int:
    """A file with a byte for each port, open for as long as this process lives, and its locks."""
    book = Path(tempfile.gettempdir()) / f"canarium-test-ports-{os.geteuid()}"
    return os.open(book, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def is_free(port: int, address: str) -> bool:
    """Whether one could listen on the port, on this address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True
