"""One operator process with a namespace, a lease and a proxy of its own."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.rollouts.api import Api, RefusedError
from testbed.operators.apiserver import COLLECTIONS
from testbed.operators.running import DISABLED, STOP_SECONDS, Child, NotRunningError, spawn
from testbed.programs.ports import find_free_ports
from tests.crash.mirror import KINDS, Mirror
from tests.crash.proxy import Proxy

Json = dict[str, Any]
LEASE = "canarium-operator"
SUPERVISE_SECONDS = 1.0
AS_A_PERSON = "fieldManager=kubectl"


@dataclass(slots=True)
class Lane:
    """A namespace and the operator that serves it, which may be killed at any time."""

    namespace: str
    api: Api
    mirror: Mirror
    proxy: Proxy
    kubeconfig: Path
    log: Path
    words: tuple[str, ...] = ()
    child: Child | None = field(default=None, init=False)
    address: str = field(default="", init=False)
    "Where its probes are, as host:port."
    _said: int = field(default=0, init=False)
    "Bytes of the log that are of those before it."

    def start(self) -> None:
        """Start the operator; that it works shows in what it does."""
        words = ["canarium", "operator", "run", "--kubeconfig", str(self.kubeconfig)]
        words += ["--namespace", self.namespace, "--lease-namespace", self.namespace]
        self.address = f"127.0.0.1:{find_free_ports(1)[0]}"
        words += ["--probe-address", self.address, *DISABLED, *self.words]
        self._said = self.log.stat().st_size if self.log.exists() else 0
        self.child = spawn(words, self.log)

    def kill(self) -> None:
        """SIGKILL, now."""
        assert self.child is not None
        os.kill(self.child.process.pid, signal.SIGKILL)

    async def end_at_once(self) -> None:
        """SIGKILL, and it is gone for good."""
        assert self.child is not None
        child, self.child = self.child, None
        await asyncio.to_thread(child.end, signal.SIGKILL)

    async def restart(self) -> None:
        """Start anew once the killed one is gone, with its Lease.

        That a dead leader's Lease is waited for is shown elsewhere (test_shell); here it would be
        a quarter of a minute for each of a hundred kills.
        """
        assert self.child is not None
        await asyncio.to_thread(self.child.process.wait, STOP_SECONDS)
        await self._release_lease()
        self.start()

    async def supervise(self) -> None:
        """Start the operator again when it gave its Lease up, as the kubelet does, until cancelled.

        On a starved machine that may happen. One that a test killed is the test's to restart; any
        other end is a failure.
        """
        while True:
            child = self.child
            assert child is not None
            while child.alive:  # noqa: ASYNC110 - the end of a process is not awaited on every loop
                await asyncio.sleep(SUPERVISE_SECONDS)
            if child.process.returncode == -signal.SIGKILL:
                while self.child is child:  # noqa: ASYNC110 - nor is a restart
                    await asyncio.sleep(SUPERVISE_SECONDS)
                continue
            if not has_lost_its_lease(child):
                raise NotRunningError(f"the operator ended: {child.tail()}")
            self.start()

    async def stop(self, *, supervised: bool = False) -> None:
        """Ask it to end; it has to do so well, if it had got as far as to listen.

        One that was supervised may have given its Lease up just before.
        """
        if self.child is None:
            return
        child, self.child = self.child, None
        lost = supervised and not child.alive and has_lost_its_lease(child)
        code = await asyncio.to_thread(child.end)
        if lost:
            return
        if code == -signal.SIGTERM and self.log.stat().st_size == self._said:
            return  # started anew a moment ago: the interpreter was still reading its modules
        if code != 0:
            raise NotRunningError(f"the operator did not end well ({code}): {child.tail()}")

    async def _release_lease(self) -> None:
        path = f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases/{LEASE}"
        with suppress(RefusedError):  # it was killed before it had one
            await self.api.merge(path, {"spec": {"holderIdentity": ""}})

    async def create(self, manifest: Json) -> None:
        """Create a ModelDeployment as a person does."""
        path = COLLECTIONS["ModelDeployment"].path(self.namespace)
        await self.api.post(f"{path}?{AS_A_PERSON}", manifest)

    async def change(self, manifest: Json) -> None:
        """Give a ModelDeployment another spec as a person does."""
        name = manifest["metadata"]["name"]
        path = COLLECTIONS["ModelDeployment"].path(self.namespace, name)
        patch = {"spec": manifest["spec"]}
        await self.api.merge(f"{path}?{AS_A_PERSON}", patch)

    async def command(self, model: str, verb: str, value: str) -> None:
        """Give a command as a person does, by an annotation."""
        path = COLLECTIONS["ModelDeployment"].path(self.namespace, model)
        patch = {"metadata": {"annotations": {f"canarium.dev/{verb}": value}}}
        await self.api.merge(f"{path}?{AS_A_PERSON}", patch)

    async def delete(self, model: str) -> None:
        """Delete a ModelDeployment as a person does."""
        await self.api.delete(COLLECTIONS["ModelDeployment"].path(self.namespace, model))

    async def wait_until_empty(self, seconds: float) -> bool:
        """Wait until nothing of any kind that belongs to models is left; whether that came."""

        def is_empty() -> bool:
            return not self.mirror.all_of(self.namespace, *KINDS)

        return await self.mirror.wait_until(self.namespace, is_empty, seconds)

    def phase(self, model: str) -> str:
        """A model's phase, of the spec as it is now; "" until it is told."""
        found = self.mirror.find("ModelDeployment", self.namespace, model) or {}
        status, about = found.get("status", {}), found.get("metadata", {})
        current = status.get("observedGeneration") == about.get("generation")
        return str(status.get("phase", "")) if current else ""

    async def wait_for_phase(self, model: str, phase: str, seconds: float) -> None:
        """Wait until a model is in a phase; fails with what is there instead."""
        holds = lambda: self.phase(model) == phase  # noqa: E731 - too long for one line
        if not await self.mirror.wait_until(self.namespace, holds, seconds):
            found = self.mirror.find("ModelDeployment", self.namespace, model) or {}
            said = f"{found.get('status')}\n{self.child.tail() if self.child else ''}"
            raise AssertionError(f"{self.namespace}/{model} is not {phase}: {said}")


def has_lost_its_lease(child: Child) -> bool:
    """Whether an operator ended because it could not renew its Lease in time."""
    return "is lost" in child.tail(1)


@asynccontextmanager
async def supervised(lane: Lane) -> AsyncIterator[Lane]:
    """Keep the lane's operator running for as long as the block lasts; then it ends, and well."""
    async with asyncio.TaskGroup() as group:
        keeping = group.create_task(lane.supervise())
        yield lane
        keeping.cancel()
    await lane.stop(supervised=True)
