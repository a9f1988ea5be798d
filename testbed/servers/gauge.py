"""The length of a queue that a test sets, served as a gauge for Prometheus to scrape."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from testbed.servers.loopback import QuietHandler, listening


@dataclass
class Queue:
    """Says at `target` (host:port) how long the queue is: ``queue_length``."""

    target: str = ""
    length: int = 0


@contextmanager
def run_queue() -> Iterator[Queue]:
    """A queue that is empty at first."""
    queue = Queue()

    class Handler(QuietHandler):
        def respond(self) -> None:
            kind = {"Content-Type": "text/plain; version=0.0.4"}
            self.answer(f"queue_length {queue.length}\n", headers=kind)

    with listening(Handler) as address:
        queue.target = address
        yield queue
