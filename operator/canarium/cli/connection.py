"""A person's connection to a cluster: the operator's own client, JSON in and out, a person's words.

What goes wrong is said in one sentence with its cure, as a CommandError.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any, ClassVar

import aiohttp
from yarl import URL

from canarium.cli.kubeconfig import load_cluster
from canarium.cli.output import flatten
from canarium.cli.refusals import explain_refusal, explain_unreachable
from canarium.errors import CommandError, ConfigError, UnavailableError
from canarium.kube.client import Client
from canarium.kube.kinds import MODEL_DEPLOYMENTS, MODEL_REVISIONS, Resource
from canarium.kube.transport import ApiRequest, HttpTransport

Json = dict[str, Any]

REQUEST_SECONDS = 15.0
WATCH_SECONDS = 240
"A watch is begun anew this often, so that one that hangs is noticed."
MANAGER = "canarium-cli"
"Not `kubectl-…`: Flux takes the fields of such managers for its own and removes them."
"The field manager of what a person writes with the commands."
STRICT = {"fieldValidation": "Strict"}

MODELS = MODEL_DEPLOYMENTS
REVISIONS = MODEL_REVISIONS
NAMESPACES = Resource("Namespace", "v1", "namespaces")
POLICIES = Resource(
    "ValidatingAdmissionPolicy", "admissionregistration.k8s.io/v1", "validatingadmissionpolicies"
)


class WatchEndedError(Exception):
    """The apiserver no longer has what a watch asked for: list again."""


class PersonsTransport(HttpTransport):
    """Goes by a person's proxies, and says what goes wrong in a person's words."""

    headers: ClassVar[Mapping[str, str]] = {"User-Agent": MANAGER, "Accept": "application/json"}
    trust_env = True
    timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
    watch_timeout = aiohttp.ClientTimeout(total=None, sock_read=WATCH_SECONDS + REQUEST_SECONDS)

    async def close(self) -> None:
        """End the session at once: a person who leaves waits for nobody's good-bye."""
        if self.session.connector is not None:
            await self.session.connector.close(abort_ssl=True)
        await super().close()

    def refuse(
        self, request: ApiRequest, response: aiohttp.ClientResponse, payload: bytes
    ) -> Exception:
        """What an answer of 300 and above means."""
        return explain_refusal(request, response.status, payload.decode("utf-8", "replace"))

    def fail(self, request: ApiRequest, error: Exception) -> Exception:
        """Why no answer came."""
        return UnavailableError(explain_unreachable(error, self.cluster.server))


@dataclass(slots=True)
class Connection:
    """Requests to one cluster. `namespace` is the one asked for, or the context's own.

    `exact` leaves strings as they are, for programs; else none ends a line (`flatten`).
    """

    client: Client
    namespace: str
    exact: bool = False

    async def get(self, kind: Resource, name: str) -> Json:
        """One object of the namespace."""
        return self._read(await self.client.get(kind, self.namespace or None, name))

    async def list(
        self, kind: Resource, *, everywhere: bool = False, query: Mapping[str, str] | None = None
    ) -> Json:
        """A list with `items` and `metadata.resourceVersion`; `query` may hold selectors."""
        namespace = None if everywhere else self.namespace or None
        return self._read(await self.client.list_at_once(kind, namespace, query or {}))

    async def merge(self, kind: Resource, name: str, patch: Mapping[str, Any]) -> Json:
        """Merge-patch an object of the namespace: None removes a field."""
        return self._read(
            await self.client.merge(
                kind, self.namespace or None, name, patch, manager=MANAGER, options=STRICT
            )
        )

    async def try_out(self, kind: Resource, name: str, body: Mapping[str, Any]) -> None:
        """Have the cluster check an object that somebody means to apply; nothing is written."""
        options = {**STRICT, "dryRun": "All"}
        await self.client.apply(
            kind, self.namespace or None, name, body, MANAGER, force=True, options=options
        )

    async def watch(
        self, kind: Resource, since: str, query: Mapping[str, str]
    ) -> AsyncGenerator[tuple[str, Json]]:
        """Yield (type, object) of each change in the namespace after a resourceVersion.

        Ends when the apiserver ends it (after WATCH_SECONDS); WatchEndedError when it is too old.
        """
        stream = self.client.watch(
            kind, self.namespace or None, "", since, WATCH_SECONDS, options=query
        )
        async with aclosing(stream) as lines:
            async for line in lines:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise WatchEndedError
                yield event["type"], self._clean(event["object"])

    def _read(self, raw: bytes) -> Json:
        return self._clean(json.loads(raw))

    def _clean(self, found: Json) -> Json:
        made: Json = found if self.exact else flatten(found)
        return made


def encode(body: Any) -> bytes:
    """JSON of what people write, which may hold half letters, dates and numbers of any length."""
    return json.dumps(body, default=date.isoformat).encode()


@asynccontextmanager
async def connect(arguments: argparse.Namespace) -> AsyncGenerator[Connection]:
    """Connect as the options say: kubeconfig, context, namespace; in a pod as the pod."""
    async with AsyncExitStack() as stack:
        try:
            cluster = await load_cluster(arguments.kubeconfig, arguments.context)
            transport = await stack.enter_async_context(PersonsTransport(cluster))
            URL(cluster.server)  # which is no URL, and a token that isn't there, are known by now
            cluster.read_token()
        except (ConfigError, OSError, ValueError) as error:
            raise CommandError(f"the kubeconfig cannot be used: {error}") from error
        exact = getattr(arguments, "output", None) is not None
        yield Connection(Client(transport, encode), arguments.namespace or cluster.namespace, exact)
