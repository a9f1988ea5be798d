"""A server on loopback for as long as a block lasts: what pretends to be somebody else's."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import socket
from threading import Thread

POLL_SECONDS = 0.05


class QuietHandler(BaseHTTPRequestHandler):
    """Handles GET and POST alike, without a line on standard error for each request."""

    def respond(self) -> None:
        """Call `answer`, once."""
        raise NotImplementedError

    def do_GET(self) -> None:
        """Respond."""
        self.respond()

    do_POST = do_GET  # noqa: N815 - http.server's own name

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def read_body(self) -> bytes:
        """What was sent; nothing where no length was named."""
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def answer(
        self, body: str = "", status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None
    ) -> None:
        """Send a whole answer."""
        content = body.encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != HTTPStatus.NO_CONTENT:  # whose answer must not name a length (RFC 9110, 8.6)
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def refusing() -> Iterator[int]:
    """A port at which every connection is refused, and which nobody else is given meanwhile."""
    with socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@contextmanager
def listening(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Have requests handled in threads; the address as host:port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": POLL_SECONDS})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
