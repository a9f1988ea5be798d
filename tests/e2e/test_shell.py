"""The shell against a real apiserver: what a fake one could only imitate."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from canarium.core.observed import Meta, ModelObject, Observed
from canarium.core.plan import CAPACITY_MANAGER, Apply, Create, Delete, Plan, Ref
from canarium.errors import ConflictError, NotFoundError
from canarium.kube import client as client_module
from canarium.kube.client import Client
from canarium.kube.config import load_kubeconfig
from canarium.kube.connections import Connector
from canarium.kube.informers.cache import Cache
from canarium.kube.informers.projections.meta import Projection
from canarium.kube.informers.projections.revisions import project_revision
from canarium.kube.informers.projections.services import project_service
from canarium.kube.informers.reflector import Reflector
from canarium.kube.informers.store import Store
from canarium.kube.kinds import (
    DEPLOYMENTS,
    MODEL_DEPLOYMENTS,
    MODEL_REVISIONS,
    SERVICES,
    Resource,
)
from canarium.kube.lease import Lease, Timing
from canarium.kube.transport import HttpTransport
from canarium.kube.writer import Writer
from canarium.shell import handlers
from canarium.shell.runtime import Options, Runtime
from canarium.shell.tasks import find_tasks_of

from testbed.cluster.cluster import Cluster
from testbed.operators.running import ROOT
from testbed.programs.ports import find_free_ports
from tests.e2e.conftest import Theatre

pytestmark = pytest.mark.timeout(300, func_only=True)

Json = dict[str, Any]
LABELS = {"canarium.dev/model": "fraud", "canarium.dev/revision": "5d8f7c9b64"}
PATIENCE = 90.0


@pytest.fixture
def cluster(simulated: Theatre) -> Cluster:
    return simulated.cluster


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    name = f"shell-{uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@asynccontextmanager
async def connect(cluster: Cluster) -> AsyncIterator[Client]:
    async with HttpTransport(load_kubeconfig(cluster.kubeconfig)) as transport:
        yield Client(transport)


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait for something that somebody else does; there is no event of ours to wait for."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited {PATIENCE} s for {what}"
        await asyncio.sleep(0.02)


def make_model(cluster: Cluster, namespace: str) -> ModelObject:
    """A real owner, or the garbage collector would take the children."""
    apply_model(cluster, namespace, "fraud")
    uid = cluster.kubectl("-n", namespace, "get", "mdep", "fraud", "-o", "jsonpath={.metadata.uid}")
    meta = Meta(namespace=namespace, name="fraud", uid=uid, resource_version="1")
    return ModelObject(meta, spec=None)


def make_child(model: ModelObject, kind: str, spec: Json, **metadata: Any) -> Json:
    owner = {
        "apiVersion": "canarium.dev/v1alpha1",
        "kind": "ModelDeployment",
        "name": model.meta.name,
        "uid": model.meta.uid,
        "controller": True,
    }
    resource = {"Deployment": DEPLOYMENTS, "Service": SERVICES}[kind]
    about = {"name": "fraud", "labels": LABELS, "ownerReferences": [owner]}
    return {
        "apiVersion": resource.api_version,
        "kind": kind,
        "metadata": about | metadata,
        "spec": spec,
    }


def make_service_body(model: ModelObject, port: int = 80) -> Json:
    spec = {"clusterIP": "None", "ports": [{"name": "http", "port": port}], "selector": LABELS}
    return make_child(model, "Service", spec)


def make_deployment_body(model: ModelObject) -> Json:
    container = {"name": "server", "image": "registry.example/fraud:7"}
    template = {"metadata": {"labels": LABELS}, "spec": {"containers": [container]}}
    spec = {"selector": {"matchLabels": LABELS}, "template": template}
    return make_child(model, "Deployment", spec)


def make_replicas(replicas: int) -> Json:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "fraud"},
        "spec": {"replicas": replicas},
    }


def find_owners(cluster: Cluster, namespace: str, kind: str, field: str) -> set[str]:
    """The field managers that own `spec.<field>`."""
    text = cluster.kubectl(
        "-n", namespace, "get", kind, "fraud", "-o", "json", "--show-managed-fields"
    )
    managed = json.loads(text)["metadata"]["managedFields"]
    owned = ((entry["manager"], entry["fieldsV1"].get("f:spec", {})) for entry in managed)
    return {manager for manager, fields in owned if f"f:{field}" in fields}


async def scale(writer: Writer, cache: Cache, model: ModelObject, replicas: int) -> None:
    """Apply a number of replicas; the Deployment's own controller may write in between."""
    ref, namespace = Ref("Deployment", "fraud"), model.meta.namespace
    while True:
        await writer.refresh(namespace, ref)
        (record,) = cache.deployments.of((namespace, "fraud"))
        version = record.meta.resource_version
        write = Apply(ref, make_replicas(replicas), version, CAPACITY_MANAGER)
        with suppress(ConflictError):
            await writer.write(model, write)
            return


async def test_replicas_belong_to_the_capacity_manager_and_the_rest_to_us(
    cluster: Cluster, namespace: str
) -> None:
    model, ref = make_model(cluster, namespace), Ref("Deployment", "fraud")
    async with connect(cluster) as client:
        cache = Cache(lambda _key: None)
        writer = Writer(client, cache)
        await writer.write(model, Create(ref, make_deployment_body(model)))
        for replicas in (3, 4):
            await scale(writer, cache, model, replicas)
        (record,) = cache.deployments.of((namespace, "fraud"))
    assert record.replicas == 4
    owners = [find_owners(cluster, namespace, "deployment", f) for f in ("replicas", "template")]
    assert owners == [{"canarium-capacity"}, {"canarium"}]


async def test_an_apply_over_an_outdated_version_changes_nothing(
    cluster: Cluster, namespace: str
) -> None:
    model, ref = make_model(cluster, namespace), Ref("Service", "fraud")
    async with connect(cluster) as client:
        cache = Cache(lambda _key: None)
        writer = Writer(client, cache)
        await writer.write(model, Create(ref, make_service_body(model)))
        (before,) = cache.services.of((namespace, "fraud"))
        cluster.kubectl("-n", namespace, "annotate", "service", "fraud", "by=somebody")
        write = Apply(ref, make_service_body(model, 81), before.meta.resource_version)
        with pytest.raises(ConflictError):
            await writer.write(model, write)
        await writer.refresh(namespace, ref)
        (after,) = cache.services.of((namespace, "fraud"))
    assert after.spec == before.spec


async def test_what_we_apply_comes_back_as_we_wrote_it(cluster: Cluster, namespace: str) -> None:
    model, ref = make_model(cluster, namespace), Ref("Service", "fraud")
    async with connect(cluster) as client:
        cache = Cache(lambda _key: None)
        writer = Writer(client, cache)
        body = make_service_body(model)
        await writer.write(model, Create(ref, body))
        (created,) = cache.services.of((namespace, "fraud"))
        found = [created]
        for _ in range(2):
            await writer.write(model, Apply(ref, body, found[-1].meta.resource_version))
            found += cache.services.of((namespace, "fraud"))
    assert {service.spec for service in found} == {created.spec}
    assert found[2] == found[1], "an apply that changes nothing makes no new version"


async def test_status_is_replaced_whole_and_never_over_somebody_elses_change(
    cluster: Cluster, namespace: str
) -> None:
    apply_model(cluster, namespace, "fraud")
    async with connect(cluster) as client:

        async def write(status: Json, version: str) -> Json:
            raw = await client.patch_status(
                MODEL_DEPLOYMENTS,
                namespace,
                "fraud",
                status,
                resource_version=version,
                manager="canarium",
            )
            answer: Json = json.loads(raw)
            return answer

        found = json.loads(await client.get(MODEL_DEPLOYMENTS, namespace, "fraud"))
        version = found["metadata"]["resourceVersion"]
        first = await write({"phase": "Pending", "message": "waits"}, version)
        second = await write({"phase": "Healthy"}, first["metadata"]["resourceVersion"])
        with pytest.raises(ConflictError):
            await write({"phase": "Failed"}, first["metadata"]["resourceVersion"])
    assert (second["status"], second["spec"]) == ({"phase": "Healthy"}, found["spec"])


async def test_a_delete_spares_another_object_of_the_same_name(
    cluster: Cluster, namespace: str
) -> None:
    model, ref = make_model(cluster, namespace), Ref("Service", "fraud")
    async with connect(cluster) as client:
        cache = Cache(lambda _key: None)
        writer = Writer(client, cache)
        await writer.write(model, Create(ref, make_service_body(model)))
        (record,) = cache.services.of((namespace, "fraud"))
        version = record.meta.resource_version
        with pytest.raises(ConflictError):
            await writer.write(model, Delete(ref, str(uuid4()), version))
        await writer.write(model, Delete(ref, record.meta.uid, version))
        assert cache.services.of((namespace, "fraud")) == ()
        with pytest.raises(NotFoundError):
            await client.get(SERVICES, namespace, "fraud")


@asynccontextmanager
async def reflecting(
    client: Client,
    namespace: str,
    resource: Resource = SERVICES,
    project: Projection = project_service,
) -> AsyncIterator[tuple[Reflector, Callable[[], list[str]]]]:
    """A running reflector of one kind in a namespace, and the names that its store has."""
    store: Store[Any] = Store()
    reflector = Reflector(
        client,
        resource,
        store,
        project,
        selector="canarium.dev/model",
        namespace=namespace,
    )
    task = asyncio.create_task(reflector.run())
    try:
        yield reflector, lambda: sorted(r.meta.name for r in store.of((namespace, "fraud")))
    finally:
        task.cancel()
        await asyncio.wait([task])


def apply_services(cluster: Cluster, namespace: str, *names: str, **labels: str) -> None:
    """Headless Services, which carry our labels unless others are given."""
    about = labels or LABELS
    spec = {"clusterIP": "None", "ports": [{"port": 80}]}
    items = [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": namespace, "labels": about},
            "spec": spec,
        }
        for name in names
    ]
    body = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    cluster.kubectl("apply", "-f", "-", stdin=body)


async def test_a_reflector_lists_in_pages_and_follows_what_happens(
    cluster: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "PAGE_SIZE", 2)
    apply_services(cluster, namespace, "a", "b", "c", "d", "e")
    apply_services(cluster, namespace, "foreign", team="risk")
    async with connect(cluster) as client, reflecting(client, namespace) as (_, names):
        await until(lambda: names() == ["a", "b", "c", "d", "e"], "the list")
        apply_services(cluster, namespace, "f")
        cluster.kubectl("-n", namespace, "delete", "service", "a")
        cluster.kubectl("-n", namespace, "label", "service", "b", "canarium.dev/model-")
        await until(lambda: names() == ["c", "d", "e", "f"], "the changes")


async def test_a_version_that_the_apiserver_has_forgotten_means_a_new_list(
    cluster: Cluster, namespace: str
) -> None:
    """Of our own kind: it was installed late, so the apiserver never knew its first version.

    Of a built-in kind a young apiserver still knows version 1, and would wait for what follows.
    """
    kind = (MODEL_REVISIONS, project_revision)
    async with connect(cluster) as client, reflecting(client, namespace, *kind) as (it, _):
        await asyncio.wait_for(it.synced.wait(), PATIENCE)
        listed, it._version = it._version, "1"
        with pytest.raises(Exception, match=r"too old|Expired|Gone|compacted"):
            await it._watch()
        it._version = ""
        await it._list()
        assert int(it._version) >= int(listed) > 1


async def test_two_operators_never_hold_the_lease_together(
    cluster: Cluster, namespace: str
) -> None:
    """Nor does a lose it while it can renew it: both bear a machine that stands still for 8 s."""
    timing = Timing(duration=10.0, deadline=9.0, period=0.2)
    async with connect(cluster) as client:
        a, b = (Lease(client, namespace, "operator", name, timing=timing) for name in "ab")
        await a.acquire()
        standby = asyncio.create_task(b.acquire())
        holding = asyncio.create_task(a.hold())
        await asyncio.sleep(1.5 * timing.duration)
        assert (standby.done(), holding.done()) == (False, False)
        holding.cancel()
        await asyncio.wait([holding])
        await a.release()
        started = time.monotonic()
        await asyncio.wait_for(standby, PATIENCE)
        assert time.monotonic() - started < timing.duration


@asynccontextmanager
async def running(cluster: Cluster, namespace: str) -> AsyncIterator[tuple[Runtime, list[str]]]:
    """A runtime in this process that decides nothing; the names that its plan was asked about."""
    asked: list[str] = []

    def plan(observed: Observed, _now: float) -> Plan:
        asked.append(observed.model.meta.name)
        return Plan()

    options = Options(
        kubeconfig=str(cluster.kubeconfig),
        namespaces=(namespace,),
        probe_address=f"127.0.0.1:{find_free_ports(1)[0]}",
        leader_election=False,
    )
    runtime = Runtime(options, plan)
    task = asyncio.create_task(runtime.run(with_kopf=True))
    try:
        yield runtime, asked
    finally:
        task.cancel()
        await asyncio.wait([task])


def apply_model(cluster: Cluster, namespace: str, name: str) -> None:
    """A ModelDeployment with the least that it needs."""
    manifest = {
        "apiVersion": "canarium.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"server": {"image": "registry.example/fraud:7"}},
    }
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))


async def test_when_kopfs_watch_dies_it_is_started_again_and_nothing_is_missed(
    cluster: Cluster, namespace: str
) -> None:
    assert handlers.GROUP == "canarium.dev"
    async with running(cluster, namespace) as (runtime, asked):
        apply_model(cluster, namespace, "before")
        await until(lambda: "before" in asked, "the first object")
        await until(find_watches, "kopf's watch, which may begin after the first listing")
        (watch,) = find_watches()
        watch.cancel()
        apply_model(cluster, namespace, "after")
        await until(lambda: "after" in asked, "the second object")
        assert runtime.problems() == []


def find_watches() -> list[asyncio.Task[Any]]:
    """The task in which kopf watches, by the name that it gives it."""
    tasks = asyncio.all_tasks()
    return [task for task in tasks if task.get_name() == "multidimensional multitasker"]


async def test_no_connection_outlives_its_client(cluster: Cluster, namespace: str) -> None:
    """A watch that is cancelled says good-bye over TLS, which takes a while."""
    for _ in range(5):
        async with (
            HttpTransport(load_kubeconfig(cluster.kubeconfig)) as transport,
            reflecting(Client(transport), namespace) as (reflector, _),
        ):
            await asyncio.wait_for(reflector.synced.wait(), PATIENCE)
            connector = transport.session.connector
        assert isinstance(connector, Connector)
        assert connector._transports == {}


async def test_what_kopf_has_begun_ends_with_it(cluster: Cluster, namespace: str) -> None:
    async with running(cluster, namespace) as (runtime, asked):
        apply_model(cluster, namespace, "fraud")
        await until(lambda: "fraud" in asked, "the object")
        session = runtime.log_in().aiohttp_session
        assert not session.closed
    assert (session.closed, find_tasks_of("kopf")) == (True, [])


async def test_a_deletion_ends_what_was_begun_for_the_object(
    cluster: Cluster, namespace: str
) -> None:
    async with running(cluster, namespace) as (runtime, asked):
        apply_model(cluster, namespace, "fraud")
        await until(lambda: "fraud" in asked, "the object")
        cluster.kubectl("-n", namespace, "delete", "mdep", "fraud")
        await until(lambda: runtime.cache.models.get(namespace, "fraud") is None, "the deletion")


async def test_under_kopf_run_a_process_that_cannot_go_on_ends_with_an_error(
    cluster: Cluster, tmp_path: Path
) -> None:
    command = [
        sys.executable,
        "-m",
        "kopf",
        "run",
        "-m",
        "canarium.shell.handlers",
        "--all-namespaces",
    ]
    environment = {
        "KUBECONFIG": str(cluster.kubeconfig),
        "CANARIUM_PROBE_ADDRESS": "not an address",
        "PATH": "/usr/bin:/bin",
    }
    result = await asyncio.to_thread(
        subprocess.run,
        command,
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert result.returncode == 1, result.stderr
    assert "is not an address: write host:port" in result.stderr
