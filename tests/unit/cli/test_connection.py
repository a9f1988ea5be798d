"""Whom a kubeconfig makes one, with what package it is read, and what is sent to the cluster."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from canarium.cli import kubeconfig as kubeconfigs
from canarium.cli.connection import MODELS, Connection, connect
from canarium.cli.kubeconfig import load_cluster
from canarium.errors import CommandError, ConfigError, UnavailableError
from canarium.kube import connections
from canarium.kube.config import Cluster

from testbed.cluster.credentials import make_certificates
from tests.unit.cli.fake_apiserver import write_kubeconfig
from tests.unit.kube.silent import silent_server
from tests.unit.kube.transcript import Answer, Apiserver, Watch, serve

Json = dict[str, Any]
SOON = 40.0
"However slow the machine is."
BEARER = "eyJhbGciOi"
CREDENTIAL = {
    "apiVersion": "client.authentication.k8s.io/v1",
    "kind": "ExecCredential",
    "status": {"token": BEARER},
}
PROGRAM = {
    "apiVersion": "client.authentication.k8s.io/v1",
    "command": "echo",
    "args": [json.dumps(CREDENTIAL)],
    "interactiveMode": "Never",
}


def write(directory: Path, server: str, user: Json | None) -> Path:
    """A kubeconfig whose context has this user."""
    context = {"cluster": "here", "user": "me", "namespace": "risk"}
    fields = {"contexts": [{"name": "here", "context": context}]}
    return write_kubeconfig(directory, server, users=[{"name": "me", "user": user or {}}], **fields)


@asynccontextmanager
async def connecting(
    directory: Path, user: Json | None, *script: Answer | Watch
) -> AsyncIterator[tuple[Connection, Apiserver]]:
    """A person's connection, and the server at its other end."""
    async with (
        serve(*script) as (url, apiserver),
        connect(options(write(directory, url, user))) as connection,
    ):
        yield connection, apiserver


def options(path: Path) -> argparse.Namespace:
    return argparse.Namespace(kubeconfig=str(path), context=None, namespace=None)


@pytest.mark.parametrize(
    ("user", "said"),
    [
        (None, None),
        ({"token": BEARER}, f"Bearer {BEARER}"),
        ({"tokenFile": "token"}, "Bearer renewed"),
        ({"username": "ann", "password": "x:y"}, "Basic YW5uOng6eQ=="),
        ({"exec": PROGRAM}, f"Bearer {BEARER}"),
    ],
    ids=["nobody", "token", "token-file", "password", "program"],
)
async def test_one_is_who_the_kubeconfig_says(
    tmp_path: Path, user: Json | None, said: str | None
) -> None:
    (tmp_path / "token").write_text("renewed\n")
    model = {"metadata": {"name": "fraud"}}
    async with connecting(tmp_path, user, Answer(model)) as (connection, apiserver):
        assert await connection.get(MODELS, "fraud") == model
    (request,) = apiserver.asked
    assert request.path.endswith("/namespaces/risk/modeldeployments/fraud")
    assert request.headers.get("Authorization") == said
    assert request.headers["User-Agent"] == "canarium-cli"


@pytest.mark.parametrize(
    ("user", "loaded"), [({"token": BEARER}, False), ({"exec": PROGRAM}, True)]
)
def test_only_what_logs_in_by_a_program_costs_the_kubernetes_package(
    tmp_path: Path, user: Json, loaded: bool
) -> None:
    path = write(tmp_path, "http://127.0.0.1:1", user)
    code = (
        "import sys; from canarium.cli.main import main;"
        f"main(['get', '--kubeconfig', {str(path)!r}]); print('kubernetes' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stderr.startswith("canarium: http://127.0.0.1:1 cannot be reached (")
    assert done.stdout == f"{loaded}\n"


async def test_several_kubeconfigs_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    others = {"users": [{"name": "me", "user": {"token": BEARER}}]}
    (tmp_path / "second").write_text(yaml.safe_dump({"apiVersion": "v1", **others}))
    context = {"cluster": "here", "user": "me"}
    first = write_kubeconfig(
        tmp_path, "http://here", contexts=[{"name": "here", "context": context}]
    )
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join([str(first), str(tmp_path / "second")]))
    assert await load_cluster(None, None) == Cluster(server="http://here", token=BEARER)


@pytest.mark.parametrize(
    ("server", "user", "why"),
    [
        ("https://here:port", {}, "port"),
        ("http://here", {"tokenFile": "nowhere"}, "No such file .*nowhere"),
        ("https://here", {"client-certificate-data": "bm8="}, "SSL"),
        ("https://here", {"client-certificate-data": "abc"}, "padding"),
    ],
)
async def test_a_kubeconfig_of_no_use_is_said_so(
    tmp_path: Path, server: str, user: Json, why: str
) -> None:
    with pytest.raises(CommandError, match=f"the kubeconfig cannot be used: .*({why})"):
        async with connect(options(write(tmp_path, server, user))):
            pass


async def test_a_certificate_may_have_its_key_beside_it_and_comments_in_any_letters(
    tmp_path: Path,
) -> None:
    make_certificates(tmp_path, ["127.0.0.1"])
    pair = [(tmp_path / f"kubelet-client.{end}").read_text() for end in ("crt", "key")]
    (tmp_path / "me.pem").write_text("für mich\n" + "".join(pair), encoding="utf-8")
    (tmp_path / "authority.pem").write_text(
        "für alle\n" + (tmp_path / "ca.crt").read_text(), encoding="utf-8"
    )
    cluster = {"server": "https://here", "certificate-authority": "authority.pem"}
    path = write(tmp_path, "https://here", {"client-certificate": "me.pem"})
    content = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(content | {"clusters": [{"name": "here", "cluster": cluster}]}))
    context = (await load_cluster(str(path), None)).make_ssl_context()
    assert isinstance(context, ssl.SSLContext)
    assert len(context.get_ca_certs()) == 1


async def test_a_kubeconfig_without_its_cluster_is_said_so(tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path, "http://here", clusters=[])
    with pytest.raises(CommandError, match=r"the kubeconfig cannot be used: .*clusters"):
        async with connect(options(path)):
            pass


async def test_in_a_pod_one_is_the_pods_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setattr(kubeconfigs, "SERVICE_ACCOUNT", tmp_path)
    for name, text in (("ca.crt", "CA"), ("token", "one\n"), ("namespace", "risk")):
        (tmp_path / name).write_text(text)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(ConfigError, match="KUBERNETES_SERVICE_HOST is not set"):
        await load_cluster(None, None)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    cluster = await load_cluster(None, None)
    assert (cluster.server, cluster.namespace) == ("https://10.96.0.1:443", "risk")
    assert cluster.read_token() == "one"


async def test_a_person_goes_by_the_proxy_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, "http://cluster.invalid:8080", None)
    async with serve(Answer({"items": []})) as (proxy, apiserver):
        monkeypatch.setenv("http_proxy", proxy)
        async with connect(options(path)) as connection:
            assert await connection.list(MODELS, everywhere=True) == {"items": []}
    assert [request.headers["Host"] for request in apiserver.asked] == ["cluster.invalid:8080"]


async def test_what_people_write_is_sent_as_json_has_it(tmp_path: Path) -> None:
    """Half letters, dates of YAML and numbers that no machine word holds."""
    odd = {"spec": {"a": "\ud800", "b": date(2026, 11, 30), "c": 10**30}}
    async with connecting(tmp_path, None, Answer({}), Answer({})) as (connection, apiserver):
        await connection.merge(MODELS, "fraud", odd)
        await connection.try_out(MODELS, "fraud", odd)
    assert apiserver.bodies == [{"spec": {"a": "\ud800", "b": "2026-11-30", "c": 10**30}}] * 2
    assert [dict(request.query) for request in apiserver.asked] == [
        {"fieldManager": "canarium-cli", "fieldValidation": "Strict"},
        {
            "fieldManager": "canarium-cli",
            "force": "true",
            "fieldValidation": "Strict",
            "dryRun": "All",
        },
    ]


async def test_a_watch_takes_events_of_any_length_and_says_when_it_broke(tmp_path: Path) -> None:
    """128 KiB is where aiohttp's own lines end."""
    long = {"metadata": {"name": "fraud", "resourceVersion": "7"}, "status": {"a": "x" * 200_000}}
    watch = Watch([("MODIFIED", long)], then="cut")
    async with connecting(tmp_path, None, watch) as (connection, _):
        changes = connection.watch(MODELS, "6", {})
        assert await anext(changes) == ("MODIFIED", long)
        with pytest.raises(UnavailableError, match="cannot be reached"):
            await anext(changes)


async def test_a_person_waits_for_nobodys_good_bye(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "FAREWELL_SECONDS", 3600.0)
    make_certificates(tmp_path, ["127.0.0.1"])
    async with asyncio.timeout(SOON), silent_server(tmp_path) as (url, asked):
        cluster = {"server": url, "certificate-authority": "ca.crt"}
        clusters = [{"name": "here", "cluster": cluster}]
        path = write_kubeconfig(tmp_path, url, clusters=clusters)
        async with connect(options(path)) as connection:
            watching = asyncio.create_task(anext(connection.watch(MODELS, "1", {})))
            await asked.wait()
            watching.cancel()
            await asyncio.wait([watching])
