"""The digest of the image's base, asked of a registry that stands in for a real one."""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from testbed.servers.loopback import refusing

SCRIPTS = Path(__file__).parents[3] / "image"
DOCKERFILE = Path(__file__).parents[3] / "Dockerfile"
MANIFEST = json.dumps({"schemaVersion": 2, "manifests": [{"digest": "sha256:of-a-platform"}]})
DIGEST = f"sha256:{hashlib.sha256(MANIFEST.encode()).hexdigest()}"
OLD = f"sha256:{'0' * 64}"
SCOPE = "repository:library/python:pull"


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    yield importlib.import_module("base")
    sys.modules.pop("base", None)


@dataclass
class Registry:
    """Answers as the distribution specification says, to whoever has a token for anybody."""

    port: int = 0
    realm: str = ""
    said: str = DIGEST
    code: int = 200
    asked: list[str] = field(default_factory=list)

    def answer(self, path: str, authorization: str) -> tuple[int, dict[str, str], str]:
        where = urlsplit(path)
        self.asked.append(where.path)
        if where.path == "/token":
            query = parse_qs(where.query)
            assert query == {"service": ["registry.example.com"], "scope": [SCOPE]}
            return 200, {}, json.dumps({"token": "for-anybody"})
        if authorization != "Bearer for-anybody":
            realm = self.realm or f"http://127.0.0.1:{self.port}/token"
            asked = f'Bearer realm="{realm}",service="registry.example.com",scope="{SCOPE}"'
            return 401, {"WWW-Authenticate": asked}, ""
        location = {"Location": "/elsewhere"} if self.code == 307 else {}
        return self.code, {"Docker-Content-Digest": self.said} | location, MANIFEST


@contextmanager
def running(registry: Registry) -> Iterator[str]:
    """The Dockerfile's line for a tag there."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = registry.answer(self.path, self.headers.get("Authorization", ""))
            code, headers, body = found
            self.send_response(code)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        registry.port = server.server_port
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"ARG BASE=127.0.0.1:{registry.port}/library/python:3.13-slim"
        finally:
            server.shutdown()
            thread.join()


def write(directory: Path, line: str) -> Path:
    path = directory / "Dockerfile"
    path.write_text(f"# BASE is a Debian.\n{line}\n\nFROM ${{BASE}} AS build\n")
    return path


@pytest.mark.parametrize("known", ["", f"@{OLD}"], ids=["none", "old"])
def test_the_digest_of_what_the_registry_sent_is_written(
    base: Any, tmp_path: Path, known: str, capsys: pytest.CaptureFixture[str]
) -> None:
    registry = Registry()
    with running(registry) as line:
        path = write(tmp_path, line + known)
        assert base.main(["update", "--file", str(path)]) == 0
        once = path.read_text()
        assert base.main(["update", "--file", str(path)]) == 0

    manifest = "/v2/library/python/manifests/3.13-slim"
    assert registry.asked == [manifest, "/token", manifest] * 2
    assert once == f"# BASE is a Debian.\n{line}@{DIGEST}\n\nFROM ${{BASE}} AS build\n"
    assert path.read_text() == once
    assert capsys.readouterr().out.endswith(f"@{DIGEST} is up to date\n")
    assert base.main(["check", "--file", str(path)]) == 0


@pytest.mark.parametrize(
    ("registry", "words"),
    [
        (Registry(code=404), "HTTP Error 404"),
        (Registry(code=307), "HTTP Error 307"),
        (Registry(said=OLD), f"the registry says {OLD} and sent {DIGEST}"),
        (Registry(realm="http://tokens.example.com/token"), "which is not https"),
    ],
    ids=["no-tag", "redirected", "another-digest", "token-in-clear"],
)
def test_nothing_is_written_where_something_is_wrong(
    base: Any,
    tmp_path: Path,
    registry: Registry,
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with running(registry) as line:
        path = write(tmp_path, line)
        before = path.read_text()
        assert base.main(["update", "--file", str(path)]) == 1
    assert words in capsys.readouterr().err
    assert path.read_text() == before


def test_a_registry_that_is_away_is_a_sentence(
    base: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with refusing() as port:
        path = write(tmp_path, f"ARG BASE=127.0.0.1:{port}/library/python:3.13-slim")
        assert base.main(["update", "--file", str(path)]) == 1
    assert "Connection refused" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("ARG BASE=docker.io/library/python:3.13-slim", "has no digest: make base-digest"),
        ("ARG BASE=docker.io/library/python:3.13-slim@sha256:abc", "write ARG BASE="),
        ("ARG BASE=python:3.13-slim", "write ARG BASE=registry/repository:tag, in full"),
        ("ARG OTHER=1", "write ARG BASE=registry/repository:tag, in full"),
    ],
)
def test_a_release_needs_a_digest(
    base: Any, tmp_path: Path, line: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert base.main(["check", "--file", str(write(tmp_path, line))]) == 1
    assert words in capsys.readouterr().err


def test_the_dockerfiles_own_base_is_one_that_can_be_asked_for(base: Any) -> None:
    found = base.read_reference(DOCKERFILE.read_text())
    assert found.url == "https://registry-1.docker.io/v2/library/python/manifests/3.13-slim"
    assert base.write_reference(DOCKERFILE.read_text(), found) == DOCKERFILE.read_text()
