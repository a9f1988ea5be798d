"""A web address and a Prometheus for tests: JSON by path or query, on loopback, in a thread."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from testbed.servers.loopback import QuietHandler, listening

Answer = Callable[[str, str], Any]
"Of a path and a PromQL query (empty when it isn't one), the JSON to answer; bytes as they are."


@dataclass
class Web:
    """Where it is, and the credentials that were sent along."""

    url: str
    authorizations: list[str] = field(default_factory=list)


@contextmanager
def answering(answer: Answer) -> Iterator[Web]:
    """Answer on loopback until the end of the block."""
    web = Web("")

    class Handler(QuietHandler):
        def respond(self) -> None:
            form = parse_qs(self.read_body().decode())
            found = answer(self.path, form.get("query", [""])[0])
            web.authorizations.append(self.headers.get("Authorization", ""))
            self.answer(found.decode() if isinstance(found, bytes) else json.dumps(found))

    with listening(Handler) as address:
        web.url = f"http://{address}"
        yield web


def vector(value: float) -> Any:
    """Prometheus' answer of one series."""
    result = [{"metric": {}, "value": [0, str(value)]}]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}
