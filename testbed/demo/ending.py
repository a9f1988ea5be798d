"""Ends what runs beside the cluster: politely first, so that the last lines get written."""

import signal

from testbed.programs.processes import Process, kill, send, wait_until

GRACE_SECONDS = 10.0


def end(process: Process) -> None:
    """SIGTERM, and SIGKILL for one that is still there after the grace."""
    send(process, signal.SIGTERM)
    if not wait_until(lambda: not process.is_alive(), GRACE_SECONDS):
        kill([process])
