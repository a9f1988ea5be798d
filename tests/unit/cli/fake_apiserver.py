"""An apiserver that answers from memory, for the order of requests and the exit codes alone.

What a real one does with a patch is shown in the end-to-end tests.
"""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import yaml

Json = dict[str, Any]

MODELS = "/apis/canarium.dev/v1alpha1/namespaces/risk/modeldeployments"
REVISIONS = "/apis/canarium.dev/v1alpha1/namespaces/risk/modelrevisions"
PODS = "/api/v1/namespaces/risk/pods"


@dataclass
class FakeApiserver:
    """`react` makes of a patched object what a watch shows next; `refusals` are answered first."""

    model: Json
    records: list[Json] = field(default_factory=list)
    pods: list[Json] = field(default_factory=list)
    react: Callable[[Json], Json] = lambda model: model
    refusals: dict[str, list[tuple[int, Json | str]]] = field(default_factory=dict)
    patches: list[Json] = field(default_factory=list)
    tried: list[tuple[str, Json]] = field(default_factory=list)
    "Path and body of what was to be applied in a dry run."
    changed: threading.Event = field(default_factory=threading.Event)
    closed: threading.Event = field(default_factory=threading.Event)

    def answer(self, method: str, path: str) -> tuple[int, Json | str]:
        """What a GET is answered with."""
        name = self.model["metadata"]["name"]
        if self.refusals.get(f"{method} {path}"):
            return self.refusals[f"{method} {path}"].pop(0)
        lists = {MODELS: [self.model], REVISIONS: self.records, PODS: self.pods}
        if path in lists:
            return 200, {"metadata": {"resourceVersion": "1200"}, "items": lists[path]}
        if path == f"{MODELS}/{name}":
            return 200, self.model
        return 404, make_refusal(404, "NotFound", path.rpartition("/")[2])

    def patch(self, body: Json) -> tuple[int, Json | str]:
        """What a merge patch of the object is answered with; then it is reacted on."""
        if self.refusals.get("PATCH"):
            return self.refusals["PATCH"].pop(0)
        self.patches.append(body)
        self.model = merge(self.model, body)
        written = copy.deepcopy(self.model)
        self.model = self.react(self.model)
        self.changed.set()
        return 200, written

    def try_out(self, path: str, body: Json) -> tuple[int, Json | str]:
        """What a server-side apply is answered with that writes nothing."""
        url = urlsplit(path)
        assert "dryRun=All" in url.query.split("&")
        self.tried.append((url.path, body))
        return self.refusals["PATCH"].pop(0) if self.refusals.get("PATCH") else (200, body)


def merge(old: Json, patch: Json) -> Json:
    """What a JSON merge patch makes of an object."""
    merged = {**old}
    for key, value in patch.items():
        merged[key] = merge(old.get(key, {}), value) if isinstance(value, dict) else value
    return {key: value for key, value in merged.items() if value is not None}


def make_refusal(code: int, reason: str, name: str = "", message: str = "") -> Json:
    """A Status object."""
    return {
        "kind": "Status",
        "code": code,
        "reason": reason,
        "message": message or reason,
        "details": {"name": name} if name else {},
    }


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"

    @property
    def fake(self) -> FakeApiserver:
        return cast("FakeApiserver", self.server.fake)  # type: ignore[attr-defined]

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if "watch=true" in url.query:
            self._stream(url.path)
        else:
            self._send(*self.fake.answer("GET", url.path))

    def do_PATCH(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["Content-Type"] == "application/apply-patch+yaml":
            return self._send(*self.fake.try_out(self.path, body))
        assert self.headers["Content-Type"] == "application/merge-patch+json"
        return self._send(*self.fake.patch(body))

    def _send(self, code: int, content: Json | str) -> None:
        data = (content if isinstance(content, str) else json.dumps(content)).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, path: str) -> None:
        """One change, once the object was patched; then nothing until the server closes."""
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        while not self.fake.closed.is_set():
            if path == MODELS and self.fake.changed.wait(0.05):
                self.fake.changed.clear()
                event = {"type": "MODIFIED", "object": self.fake.model}
                self.wfile.write(json.dumps(event).encode() + b"\n")
            elif path != MODELS:
                self.fake.closed.wait(0.05)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Keep quiet."""


@contextmanager
def serve(fake: FakeApiserver, directory: Path) -> Iterator[Path]:
    """A kubeconfig for the fake, whose context has the namespace `risk`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.fake = fake  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield write_kubeconfig(directory, f"http://127.0.0.1:{server.server_port}")
    finally:
        fake.closed.set()
        server.shutdown()
        thread.join()
        server.server_close()


def write_kubeconfig(directory: Path, server: str, **fields: Any) -> Path:
    """A kubeconfig with one context, `here`."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "here", "cluster": {"server": server}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "namespace": "risk"}}],
        "users": [],
        "current-context": "here",
        **fields,
    }
    path = directory / "kubeconfig.yaml"
    path.write_text(yaml.safe_dump(content))
    return path
