"""A registry on loopback without the image, or without time: what nodes hear of such ones."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ERRORS = {404: "MANIFEST_UNKNOWN", 401: "UNAUTHORIZED", 429: "TOOMANYREQUESTS", 503: "UNAVAILABLE"}


@dataclass
class Registry:
    """`status` is what it answers whoever asks for an image; `asked` is what for."""

    port: int
    status: int
    asked: list[str] = field(default_factory=list)

    def image(self, version: str) -> str:
        """A name by which it is asked."""
        return f"localhost:{self.port}/iris:{version}"


@contextmanager
def open_registry(status: int) -> Iterator[Registry]:
    """Serve until the end of the context."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.rstrip("/") == "/v2":
                self._send(200, b"{}")
                return
            registry.asked.append(self.path)
            error = {"code": ERRORS[registry.status], "message": "as the test wants it"}
            self._send(registry.status, json.dumps({"errors": [error]}).encode())

        do_HEAD = do_GET  # noqa: N815 - the server looks for this name

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_words: object) -> None:
            """Say nothing: `asked` tells."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    registry = Registry(server.server_address[1], status)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
