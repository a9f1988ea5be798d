"""Free ports, outside the range from which the kernel and Kubernetes give out their own."""

import random
import socket

FIRST, LAST = 20000, 29999


def find_free_ports(count: int, address: str = "127.0.0.1") -> list[int]:
    """Different TCP ports that nobody listens on just now."""
    found: list[int] = []
    for port in random.sample(range(FIRST, LAST + 1), LAST + 1 - FIRST):
        if is_free(port, address):
            found.append(port)
        if len(found) == count:
            return found
    raise OSError(f"no {count} free ports between {FIRST} and {LAST}")


def is_free(port: int, address: str) -> bool:
    """Whether one could listen on the port, on this address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True
