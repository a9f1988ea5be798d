"""A model server whose counters are what its argument says; runs in a pod by `python -c`.

good: counters of MLServer that grow by ten at each look; idle: counters that stay as they are. The
others are what a broken or hostile endpoint may answer: garbage, nothing, 50 MB, or nothing for a
minute.
"""

import itertools
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SERIES = (
    'rest_server_requests_total{app_name="mlserver",method="POST",'
    'path="/v2/models/{model_name}/infer",status_code="200"} '
)
MEBIBYTE = 1024 * 1024
LOOKS = itertools.count(1)


class Server(BaseHTTPRequestHandler):
    """Healthy on every path but /metrics."""

    def do_GET(self) -> None:
        """Answer as the mode has it."""
        mode = sys.argv[1] if self.path == "/metrics" else "healthy"
        if mode == "slow":
            time.sleep(60)
        size = 50 * MEBIBYTE if mode == "huge" else None
        body = make_body(mode)
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(size or len(body)))
        self.end_headers()
        self.wfile.write(body)
        for _ in range(50 if size else 0):
            self.wfile.write(b"x" * MEBIBYTE)

    def log_message(self, *_: object) -> None:
        """Say nothing of each look."""


def make_body(mode: str) -> bytes:
    """What stands at the beginning of an answer."""
    if mode in ("good", "idle"):
        count = 10 * next(LOOKS) if mode == "good" else 10
        return f"# TYPE rest_server_requests_total counter\n{SERIES}{count}\n".encode()
    return {"garbage": b"<html>\xff\xfe{{{ no counters here", "healthy": b"ok"}.get(mode, b"")


if __name__ == "__main__":
    ThreadingHTTPServer(("", 8080), Server).serve_forever()
