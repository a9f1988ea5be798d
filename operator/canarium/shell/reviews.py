"""Who may read /metrics, by the apiserver's word: whose token it is, and what that account may do.

The same two questions that kube-rbac-proxy and controller-runtime ask. Answers are kept by a
digest of the token, so that a scrape every few seconds costs the apiserver two questions a minute;
and questions about tokens that nobody knows are rationed, since anybody can send those.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from canarium.errors import CanariumError
from canarium.kube.client import Client
from canarium.kube.kinds import SUBJECT_ACCESS_REVIEWS, TOKEN_REVIEWS

logger = logging.getLogger("canarium.probes")

FRESH_SECONDS = 60.0
STALE_SECONDS = 600.0
"An account that was let in is let in this long where the apiserver can't be asked."
KEPT = 256
LONGEST_TOKEN = 4096
QUESTIONS_A_SECOND = 5.0
QUESTIONS_AT_ONCE = 20.0
PATH = "/metrics"
MANAGER = "canarium"


class _User(msgspec.Struct):
    username: str = ""
    uid: str = ""
    groups: list[str] = []
    extra: dict[str, list[str]] = {}


class _TokenStatus(msgspec.Struct):
    authenticated: bool = False
    user: _User = msgspec.field(default_factory=_User)


class _TokenReview(msgspec.Struct):
    status: _TokenStatus = msgspec.field(default_factory=_TokenStatus)


class _AccessStatus(msgspec.Struct):
    allowed: bool = False


class _AccessReview(msgspec.Struct):
    status: _AccessStatus = msgspec.field(default_factory=_AccessStatus)


@dataclass(frozen=True, slots=True)
class _Answer:
    code: int
    at: float


@dataclass(slots=True)
class MetricsReaders:
    """Asks for each token, and remembers the answer for a while."""

    client: Client
    clock: Callable[[], float] = time.monotonic
    _kept: dict[bytes, _Answer] = field(default_factory=dict)
    _questions: float = QUESTIONS_AT_ONCE
    _refilled_at: float = 0.0

    async def judge(self, authorization: str) -> int:
        """The HTTP status for whoever sends this header: 200, 401, 403; 503 where nobody knows."""
        kind, _, token = authorization.partition(" ")
        if kind.lower() != "bearer" or not token or len(token) > LONGEST_TOKEN:
            return 401
        digest = hashlib.sha256(token.encode()).digest()
        known = self._kept.get(digest)
        if known is not None and self.clock() - known.at < FRESH_SECONDS:
            return known.code
        was_let_in = known is not None and known.code == 200
        code = await self._ask(token) if was_let_in or self._may_ask() else 503
        if code == 503:
            return self._remember_old(known)
        self._keep(digest, code)
        return code

    def _remember_old(self, known: _Answer | None) -> int:
        """Nobody who was let in is lost to an apiserver that is away, or to a flood of tokens."""
        if known is not None and known.code == 200 and self.clock() - known.at < STALE_SECONDS:
            return 200
        return 503

    def _may_ask(self) -> bool:
        now = self.clock()
        earned = (now - self._refilled_at) * QUESTIONS_A_SECOND
        self._questions = min(QUESTIONS_AT_ONCE, self._questions + earned)
        self._refilled_at = now
        if self._questions < 1:
            return False
        self._questions -= 1
        return True

    def _keep(self, digest: bytes, code: int) -> None:
        """Keep an answer; of too many the oldest refusal goes, or the oldest of all."""
        self._kept.pop(digest, None)
        if len(self._kept) >= KEPT:
            refused = (key for key, answer in self._kept.items() if answer.code != 200)
            del self._kept[next(refused, next(iter(self._kept)))]
        self._kept[digest] = _Answer(code, self.clock())

    async def _ask(self, token: str) -> int:
        try:
            user = await self._find_user(token)
            if user is None:
                return 401
            return 200 if await self._may_read(user) else 403
        except (CanariumError, msgspec.DecodeError) as error:
            logger.warning("cannot ask the apiserver who reads %s: %s", PATH, error)
            return 503

    async def _find_user(self, token: str) -> _User | None:
        """Whose token it is; None where it is nobody's."""
        body = _make("authentication.k8s.io/v1", "TokenReview", {"token": token})
        answer = await self.client.create(TOKEN_REVIEWS, None, body, MANAGER)
        status = msgspec.json.decode(answer, type=_TokenReview).status
        return status.user if status.authenticated else None

    async def _may_read(self, user: _User) -> bool:
        spec = {
            "user": user.username,
            "uid": user.uid,
            "groups": user.groups,
            "extra": user.extra,
            "nonResourceAttributes": {"path": PATH, "verb": "get"},
        }
        body = _make("authorization.k8s.io/v1", "SubjectAccessReview", spec)
        answer = await self.client.create(SUBJECT_ACCESS_REVIEWS, None, body, MANAGER)
        return msgspec.json.decode(answer, type=_AccessReview).status.allowed


def _make(version: str, kind: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "spec": spec}
