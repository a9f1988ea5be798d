"""A person's connection to a cluster: plain JSON in and out over `kubernetes.aio`.

The client brings kubeconfigs, credentials and the transport. What goes wrong is said in one
sentence with its cure, as a CommandError.
"""

from __future__ import annotations

import argparse
import json
import os
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from kubernetes.aio import client, config

from canarium.cli.output import flatten
from canarium.cli.refusals import (
    APPLY_PATCH,
    Kind,
    Request,
    explain_refusal,
    explain_unreachable,
)
from canarium.errors import CommandError, UnavailableError

Json = dict[str, Any]

REQUEST_SECONDS = 15.0
WATCH_SECONDS = 240
"A watch is begun anew this often, so that one that hangs is noticed."
MANAGER = "canarium-cli"
"Not `kubectl-…`: Flux takes the fields of such managers for its own and removes them."
"The field manager of what a person writes with the commands."
_POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


MODELS = Kind("ModelDeployment", "/apis/canarium.dev/v1alpha1", "modeldeployments")
REVISIONS = Kind("ModelRevision", "/apis/canarium.dev/v1alpha1", "modelrevisions")
PODS = Kind("Pod", "/api/v1", "pods")
EVENTS = Kind("Event", "/apis/events.k8s.io/v1", "events")
NAMESPACES = Kind("Namespace", "/api/v1", "namespaces")
POLICIES = Kind(
    "ValidatingAdmissionPolicy",
    "/apis/admissionregistration.k8s.io/v1",
    "validatingadmissionpolicies",
)


class WatchEndedError(Exception):
    """The apiserver no longer has what a watch asked for: list again."""


@dataclass(slots=True)
class Connection:
    """Requests to one cluster. `namespace` is the one asked for, or the context's own.

    `exact` leaves strings as they are, for programs; else none ends a line (`flatten`).
    """

    api: client.ApiClient
    namespace: str
    exact: bool = False

    async def get(self, kind: Kind, name: str) -> Json:
        """One object of the namespace."""
        return await self._send(Request("get", kind, self.namespace, name))

    async def list(
        self, kind: Kind, *, everywhere: bool = False, query: Mapping[str, str] | None = None
    ) -> Json:
        """A list with `items` and `metadata.resourceVersion`; `query` may hold selectors."""
        namespace = "" if everywhere else self.namespace
        return await self._send(Request("list", kind, namespace, query=query or {}))

    async def merge(self, kind: Kind, name: str, patch: Mapping[str, Any]) -> Json:
        """Merge-patch an object of the namespace: None removes a field."""
        query = {"fieldManager": MANAGER, "fieldValidation": "Strict"}
        return await self._send(Request("patch", kind, self.namespace, name, query, patch))

    async def try_out(self, kind: Kind, name: str, body: Mapping[str, Any]) -> None:
        """Have the cluster check an object that somebody means to apply; nothing is written."""
        query = {"fieldManager": MANAGER, "fieldValidation": "Strict", "force": "true"}
        query["dryRun"] = "All"
        await self._send(Request("patch", kind, self.namespace, name, query, body, APPLY_PATCH))

    async def watch(
        self, kind: Kind, since: str, query: Mapping[str, str]
    ) -> AsyncGenerator[tuple[str, Json]]:
        """Yield (type, object) of each change in the namespace after a resourceVersion.

        Ends when the apiserver ends it (after WATCH_SECONDS); WatchEndedError when it is too old.
        """
        asked = {"watch": "1", "resourceVersion": since, "allowWatchBookmarks": "true", **query}
        asked["timeoutSeconds"] = str(WATCH_SECONDS)
        response = await self._open(Request("watch", kind, self.namespace, query=asked))
        try:
            async for line in response.content:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise WatchEndedError
                yield event["type"], self._read(event["object"])
        except (aiohttp.ClientError, TimeoutError):
            return  # it is begun anew, and fails then if the cluster is really away
        finally:
            response.close()

    async def _send(self, request: Request) -> Json:
        async with await self._open(request) as response:
            return self._read(json.loads(await response.read()))

    def _read(self, found: Json) -> Json:
        made: Json = found if self.exact else flatten(found)
        return made

    async def _open(self, request: Request) -> aiohttp.ClientResponse:
        """Send a request; the response with its body still to be read."""
        headers = {"Accept": "application/json"}
        if request.body is not None:
            headers["Content-Type"] = request.form
        try:
            prepared = await self.api.param_serialize(
                "GET" if request.body is None else "PATCH",
                request.path,
                {"namespace": request.namespace, "name": request.name},
                list(request.query.items()),
                headers,
                request.body,
                auth_settings=["BearerToken"],
            )
            answer = await self.api.call_api(*prepared, _request_timeout=_timeout(request))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            words = explain_unreachable(error, self.api.configuration.host)
            raise UnavailableError(words) from error
        response: aiohttp.ClientResponse = answer.response
        if response.status >= 400:
            async with response:
                text = await response.text()
            raise explain_refusal(request, response.status, text)
        return response


def _timeout(request: Request) -> aiohttp.ClientTimeout:
    if request.verb == "watch":
        return aiohttp.ClientTimeout(total=None, sock_read=WATCH_SECONDS + REQUEST_SECONDS)
    return aiohttp.ClientTimeout(total=REQUEST_SECONDS)


@asynccontextmanager
async def connect(arguments: argparse.Namespace) -> AsyncGenerator[Connection]:
    """Connect as the options say: kubeconfig, context, namespace; in a pod as the pod."""
    settings = client.Configuration()
    try:
        namespace = await _load(settings, arguments.kubeconfig, arguments.context)
        api = client.ApiClient(settings)
    except (config.ConfigException, OSError, ssl.SSLError) as error:
        raise CommandError(f"the kubeconfig cannot be used: {error}") from error
    api.user_agent = MANAGER
    async with api:
        exact = getattr(arguments, "output", None) is not None
        yield Connection(api, arguments.namespace or namespace or "default", exact)


async def _load(settings: client.Configuration, kubeconfig: str | None, context: str | None) -> str:
    """Fill in the client's settings; the namespace of the context."""
    files = find_kubeconfigs(kubeconfig)
    if not files:
        return _load_pod(settings)
    _check_context(files, context)
    loader = await config.load_kube_config(  # type: ignore[no-untyped-call]
        os.pathsep.join(map(str, files)), context, settings, persist_config=False
    )
    chosen: Json = loader.current_context["context"]
    return str(chosen.get("namespace") or "")


def _load_pod(settings: client.Configuration) -> str:
    """Be the ServiceAccount of the pod that this runs in."""
    if not _POD_NAMESPACE.exists():
        raise CommandError("no kubeconfig: name one with --kubeconfig or $KUBECONFIG")
    config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
    return _POD_NAMESPACE.read_text(encoding="utf-8").strip()


def find_kubeconfigs(named: str | None) -> list[Path]:
    """Which files there are; a file that a person names has to be there."""
    if named:
        path = Path(named).expanduser()
        if not path.is_file():
            raise CommandError(f"no kubeconfig at {named}: name one with --kubeconfig")
        return [path]
    default = str(Path("~/.kube/config"))
    given = os.environ.get("KUBECONFIG") or default
    paths = [Path(part).expanduser() for part in given.split(os.pathsep) if part]
    found = [path for path in paths if path.is_file()]
    if not found and given != default:
        raise CommandError(f"no kubeconfig at {given}: $KUBECONFIG names it")
    return found


def _check_context(paths: list[Path], context: str | None) -> None:
    """Say which contexts there are when the one that is asked for is none of them."""
    files = [read_kubeconfig(path) for path in paths]
    names = [str(one.get("name")) for file in files for one in file.get("contexts") or ()]
    current = next((file["current-context"] for file in files if file.get("current-context")), None)
    where, known = ", ".join(map(str, paths)), ", ".join(sorted(names)) or "none"
    if context and context not in names:
        raise CommandError(f"no context {context} in {where}: there is {known}")
    if not context and not current:
        raise CommandError(f"{where} has no current context: choose with --context from {known}")
    if not context and current not in names:
        raise CommandError(
            f"the current context {current} is not in {where}: choose with --context from {known}"
        )


def read_kubeconfig(path: Path) -> Json:
    """One kubeconfig as a mapping. CommandError when it is none."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise CommandError(f"{path} cannot be read as a kubeconfig: {error}") from error
    if not isinstance(found, dict):
        raise CommandError(f"{path} is no kubeconfig: name another one with --kubeconfig")
    return found
