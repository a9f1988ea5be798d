"""The real apiserver's own opinion of an object: what it would store, or why it wouldn't."""

from __future__ import annotations

import json
from http.client import HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from canarium.kube.config import load_cluster

Json = dict[str, Any]
DRY = "?dryRun=All&fieldValidation=Strict"


class Validator:
    """Asks one apiserver over one connection; nothing is stored."""

    def __init__(self, kubeconfig: str) -> None:
        cluster = load_cluster(kubeconfig)
        place = urlsplit(cluster.server)
        self._connection = HTTPSConnection(
            place.hostname or "", place.port, context=cluster.make_ssl_context(), timeout=30
        )
        self._headers = {"Content-Type": "application/json"}
        if token := cluster.read_token():
            self._headers["Authorization"] = f"Bearer {token}"
        self.asked = self.accepted = 0

    def judge(self, body: Json) -> Json | None:
        """What would be stored of an object; None when it is refused."""
        namespace, plural = body["metadata"]["namespace"], f"{body['kind'].lower()}s"
        path = f"/apis/{body['apiVersion']}/namespaces/{namespace}/{plural}{DRY}"
        text = json.dumps(body).encode()
        try:
            answer, content = self._ask(path, text)
        except (OSError, HTTPException):  # it closes a connection that has been idle for a while
            self._connection.close()
            answer, content = self._ask(path, text)
        self.asked += 1
        if answer.status not in (201, 400, 422):
            raise AssertionError(f"{answer.status}: {content[:500]!r}")
        if answer.status != 201:
            return None
        self.accepted += 1
        stored: Json = json.loads(content)
        return stored

    def _ask(self, path: str, text: bytes) -> tuple[HTTPResponse, bytes]:
        self._connection.request("POST", path, text, self._headers)
        answer = self._connection.getresponse()
        return answer, answer.read()

    def close(self) -> None:
        """End the connection."""
        self._connection.close()
