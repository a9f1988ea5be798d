"""A server where nobody but this machine should get, and a model that is judged by what it says."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from testbed.scenario.manifests import Json, rollout, simulated
from testbed.scenario.scenario import get_condition, named, phase
from testbed.servers.loopback import QuietHandler, listening
from tests.security.estate import Place

OPEN = ("--allow-network", "127.0.0.0/8")
SECONDS = 120.0


@dataclass
class Inner:
    """A server on loopback, where nobody but this machine should get: who asked it what."""

    url: str
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def inner(status: int = 200, body: str = '{"score": 1}', **headers: str) -> Iterator[Inner]:
    """Answer everything alike until the end of the block."""
    found = Inner("")

    class Handler(QuietHandler):
        def respond(self) -> None:
            form = parse_qs(self.read_body().decode())
            found.asked.append(form["query"][0] if "query" in form else self.path)
            found.headers.append(dict(self.headers))
            self.answer(body, status, headers)

    with listening(Handler) as address:
        found.url = f"http://{address}"
        yield found


@contextmanager
def speaking(said: bytes) -> Iterator[str]:
    """Say this to whoever connects, HTTP or not, and hang up; gives the address."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)
            with suppress(ConnectionError):
                self.request.sendall(said)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def try_out(place: Place, **metric: Any) -> Json:
    """Roll a second version out that is judged by this metric; what Judged says of it then."""
    terms = rollout(
        (50, "2s"),
        analysis=[{"name": "score", "interval": "1s", **metric}],
        guard={"duration": "0s"},
    )
    terms["analysis"]["minRequests"] = 0
    place.write(simulated("v1"))
    place.scenario.wait(phase("Healthy"), SECONDS)
    place.write(simulated("v2", rollout=terms))

    def is_judged(found: Json) -> bool:
        return get_condition(found, "Judged").get("reason") in ("NoData", "Pass", "Fail")

    return place.scenario.wait(named(is_judged, "a judgement"), SECONDS)


def score(url: str) -> Json:
    return {"min": "1", "web": {"url": url, "value": "$.score"}}
