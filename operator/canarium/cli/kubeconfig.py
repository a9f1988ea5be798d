"""Where a person's cluster is and who one is there, as kubectl finds it.

Most kubeconfigs name a certificate or a token. Those with a program that logs in, or with
credentials of a cloud, are read by the `kubernetes` package, which is imported for them alone.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from canarium.errors import CommandError, ConfigError
from canarium.kube.config import (
    SERVICE_ACCOUNT,
    Cluster,
    load_in_cluster,
    load_kubeconfig,
    read_pem_file,
)

Json = dict[str, Any]


async def load_cluster(kubeconfig: str | None, context: str | None) -> Cluster:
    """The cluster that is meant: of a file that is named or found; in a pod, the pod's own.

    Raises `CommandError`, `ConfigError` or `OSError` when there is none that can be used.
    """
    files = find_kubeconfigs(kubeconfig)
    if not files:
        return _load_pod()
    _check_context(files, context)
    with suppress(ConfigError):  # with what we cannot log in by, the package perhaps can
        if len(files) == 1:
            return load_kubeconfig(files[0], context)
    return await _load_by_package(files, context)


def _load_pod() -> Cluster:
    """Be the ServiceAccount of the pod that this runs in."""
    if not (SERVICE_ACCOUNT / "namespace").exists():
        raise CommandError("no kubeconfig: name one with --kubeconfig or $KUBECONFIG")
    try:
        return load_in_cluster(SERVICE_ACCOUNT, os.environ)
    except KeyError as error:
        raise ConfigError(f"{error.args[0]} is not set") from error


async def _load_by_package(files: list[Path], context: str | None) -> Cluster:
    """A cluster of several files, or one where a program has to be asked who one is."""
    from kubernetes.aio import client, config  # noqa: PLC0415 - takes a second, for few people

    settings = client.Configuration()
    try:
        loader = await config.load_kube_config(  # type: ignore[no-untyped-call]
            os.pathsep.join(map(str, files)), context, settings, persist_config=False
        )
    except config.ConfigException as error:
        raise ConfigError(str(error)) from error
    chosen: Json = loader.current_context["context"]
    scheme, _, token = settings.api_key.get("BearerToken", "").partition(" ")
    return Cluster(
        server=settings.host,
        ca=read_pem_file(settings.ssl_ca_cert),
        insecure=not settings.verify_ssl,
        server_name=settings.tls_server_name,
        token=token,
        scheme=scheme,
        certificate=read_pem_file(settings.cert_file),
        key=read_pem_file(settings.key_file),
        proxy=settings.proxy,
        namespace=str(chosen.get("namespace") or "default"),
    )


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
