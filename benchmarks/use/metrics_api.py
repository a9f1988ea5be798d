"""A metrics API that answers everybody with the same pods, for a process of its own."""

import asyncio
from multiprocessing.connection import Connection

import msgspec
from aiohttp import web

REVISION = "5d8f7c9b64"


def make_name(model: int, pod: int) -> str:
    """The name of a pod of a model, both counted from 0."""
    return f"model-{model:04d}-{REVISION}-7d4b9c6f8-{pod:05d}"


def make_answer(objects: int, pods: int) -> bytes:
    """A PodMetricsList as metrics-server writes it."""
    items = [
        {
            "metadata": {
                "name": make_name(model, pod),
                "namespace": "bench",
                "creationTimestamp": "2026-11-21T12:00:00Z",
                "labels": {
                    "app.kubernetes.io/name": f"model-{model:04d}",
                    "canarium.dev/model": f"model-{model:04d}",
                    "canarium.dev/revision": REVISION,
                    "pod-template-hash": "7d4b9c6f8",
                },
            },
            "timestamp": "2026-11-21T12:00:00Z",
            "window": "15.023s",
            "containers": [
                {"name": "server", "usage": {"cpu": "123456789n", "memory": "345678Ki"}}
            ],
        }
        for model in range(objects)
        for pod in range(pods)
    ]
    about = {"kind": "PodMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": {}}
    return msgspec.json.encode({**about, "items": items})


def serve(answer: bytes, ready: Connection) -> None:
    """Answer everybody the same until the process is ended."""

    async def take(_request: web.Request) -> web.Response:
        return web.Response(body=answer, content_type="application/json")

    async def run() -> None:
        application = web.Application()
        application.router.add_get("/{path:.*}", take)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        ready.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(run())
