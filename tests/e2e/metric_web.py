"""A web address and a Prometheus for tests: JSON by path or query, on loopback, in a thread."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs

Answer = Callable[[str, str], Any]
"Of a path and a PromQL query (empty when it isn't one), the JSON to answer."


@dataclass
class Web:
    """Where it is, and the credentials that were sent along."""

    url: str
    authorizations: list[str] = field(default_factory=list)


@contextmanager
def answering(answer: Answer) -> Iterator[Web]:
    """Answer on loopback until the end of the block."""
    web = Web("")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(answer(self.path, ""))

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self._send(answer(self.path, form["query"][0]))

        def _send(self, found: Any) -> None:
            web.authorizations.append(self.headers.get("Authorization", ""))
            body = json.dumps(found).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    web.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def vector(value: float) -> Any:
    """Prometheus' answer of one series."""
    result = [{"metric": {}, "value": [0, str(value)]}]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}
