"""The length of a queue that a test sets, served as a gauge for Prometheus to scrape."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Queue(ThreadingHTTPServer):
    """Says on loopback how long the queue is: ``queue_length``."""

    length = 0
    daemon_threads = True

    @property
    def target(self) -> str:
        """Where it is scraped, host:port."""
        return f"127.0.0.1:{self.server_port}"


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if not isinstance(self.server, Queue):
            raise TypeError(f"{self.server} is no queue")
        body = f"queue_length {self.server.length}\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing of each look."""


@contextmanager
def run_queue() -> Iterator[Queue]:
    """A queue that is empty at first."""
    with Queue(("127.0.0.1", 0), _Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
