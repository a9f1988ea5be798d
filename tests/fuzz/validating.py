"""The real apiserver's own opinion of an object: what it would store, or why it wouldn't."""

from __future__ import annotations

import json
import time
from http.client import HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from canarium.kube.config import load_cluster

Json = dict[str, Any]
BUSY = (429, 500, 503, 504)
"What an apiserver says that stood still; what it cannot do at all it says each time."
PAUSES = (1.0, 5.0, 15.0)
DRY = "?dryRun=All&fieldValidation=Strict"


class Validator:
    """Asks one apiserver over one connection; nothing is stored."""

    def __init__(self, kubeconfig: str) -> None:
        cluster = load_cluster(kubeconfig)
        place = urlsplit(cluster.server)
        self._connection = HTTPSConnection(
            place.hostname or "", place.port, context=cluster.make_ssl_context(), timeout=60
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
        for pause in (*PAUSES, None):
            answer, content = self._ask_again(path, text)
            if pause is None or answer.status not in BUSY:
                break
            time.sleep(pause)
        self.asked += 1
        if answer.status not in (201, 400, 422):
            raise AssertionError(f"{answer.status}: {content[:500]!r}")
        if answer.status != 201:
            return None
        self.accepted += 1
        stored: Json = json.loads(content)
        return stored

    def _ask_again(self, path: str, text: bytes) -> tuple[HTTPResponse, bytes]:
        """It closes a connection that has been idle for a while."""
        try:
            return self._ask(path, text)
        except (OSError, HTTPException):
            self._connection.close()
            return self._ask(path, text)

    def _ask(self, path: str, text: bytes) -> tuple[HTTPResponse, bytes]:
        self._connection.request("POST", path, text, self._headers)
        answer = self._connection.getresponse()
        return answer, answer.read()

    def close(self) -> None:
        """End the connection."""
        self._connection.close()
