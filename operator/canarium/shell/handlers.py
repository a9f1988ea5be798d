"""What kopf calls: it starts the process's parts and hands on what it sees of ModelDeployments.

Nothing is decided here, and nothing is returned: kopf is to write nothing at all.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator
from typing import Any

import kopf

from canarium.core.names import API_VERSION
from canarium.rollout.plan import plan
from canarium.shell.options import read_environment
from canarium.shell.runtime import Options, Runtime

logger = logging.getLogger(__name__)

GROUP, VERSION = API_VERSION.split("/")


class EndlessBackoffs:
    """Seconds between tries of kopf's own requests, without end: they are never given up."""

    def __iter__(self) -> Iterator[float]:
        """Double up to half a minute, and stay there."""
        delay = 0.5
        while True:
            yield delay
            delay = min(30.0, delay * 2)


class NoEssence(kopf.DiffBaseStorage):
    """Kopf compares an object with its last-seen self for each event; nobody here asks it to."""

    def build(self, **_: Any) -> Any:
        """Nothing: kopf's own way copies the whole object three times."""
        return {}

    def fetch(self, **_: Any) -> None:
        """Nothing was kept."""

    def store(self, **_: Any) -> None:
        """Nothing is kept."""


class NoProgress(kopf.ProgressStorage):
    """No handler of ours has progress to keep."""

    def fetch(self, **_: Any) -> None:
        """Nothing was kept."""

    def store(self, **_: Any) -> None:
        """Nothing is kept."""

    def purge(self, **_: Any) -> None:
        """Nothing is there to purge."""

    def touch(self, **_: Any) -> None:
        """Nothing is written."""

    def clear(self, *, essence: Any) -> Any:
        """The essence holds nothing of ours."""
        return essence


@kopf.on.startup()
async def start(settings: kopf.OperatorSettings, memo: kopf.Memo, **_: Any) -> None:
    """Set kopf up; under `kopf run` also start everything else and wait for our kinds."""
    configure(settings)
    if "runtime" not in memo:
        memo.runtime = Runtime(Options.parse(read_environment(os.environ)), plan)
        memo.task = asyncio.create_task(memo.runtime.run(with_kopf=False))
        memo.task.add_done_callback(_end_process)
        await memo.runtime.listed.wait()


def configure(settings: kopf.OperatorSettings) -> None:
    """No writes, no peers, no giving up; kinds are known from the start, so no scanning."""
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.process.ultimate_exiting_timeout = None
    settings.persistence.diffbase_storage = NoEssence()
    settings.persistence.progress_storage = NoProgress()
    settings.networking.error_backoffs = EndlessBackoffs()
    settings.networking.request_timeout = 30.0
    settings.watching.server_timeout = 300
    settings.watching.inactivity_timeout = 90.0
    settings.watching.reconnect_backoff = 0.5
    settings.queueing.idle_timeout = 1.0


@kopf.on.login()
async def login(memo: kopf.Memo, **_: Any) -> kopf.AiohttpSession:
    """A session with the same credentials that the rest of the process uses, read anew."""
    runtime: Runtime = memo.runtime
    return runtime.log_in()


@kopf.on.event(GROUP, VERSION, "modeldeployments")
async def observe(event: kopf.RawEvent, memo: kopf.Memo, **_: Any) -> None:
    """Take in what kopf saw of one ModelDeployment."""
    runtime: Runtime = memo.runtime
    if event["type"] == "DELETED":
        runtime.drop_model(event["object"])
    else:
        runtime.ingest_model(event["object"])


@kopf.on.cleanup()
async def stop(memo: kopf.Memo, **_: Any) -> None:
    """End what `start` has begun."""
    task: asyncio.Task[None] | None = memo.get("task")
    if task is not None:
        task.cancel()
        await asyncio.wait([task])


def _end_process(task: asyncio.Task[None]) -> None:
    """Without its parts, or without the lease, the process is of no use: end it, and not well."""
    if not task.cancelled():
        logger.error("the operator cannot go on", exc_info=task.exception())
        logging.shutdown()
        os._exit(1)
