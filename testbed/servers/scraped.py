"""How a web server ends that somebody goes on connecting to, as Prometheus does."""

import asyncio

from aiohttp import web

ROUNDS = 20
"Of the loop: more than it takes from an accepted connection to one that the server knows."


async def end(runner: web.AppRunner) -> None:
    """Stop listening, let the server hear of who had just connected, then cut all connections.

    Whom it hasn't heard of it doesn't close, nor whom it still has to send something: the loop
    would leave those sockets to the collector.
    """
    for site in list(runner.sites):
        await site.stop()
    await _go_round()
    connections = runner.server.connections if runner.server else []
    transports = [each.transport for each in connections if each.transport is not None]
    await runner.cleanup()
    for transport in transports:
        transport.abort()
    await _go_round()


async def _go_round() -> None:
    for _ in range(ROUNDS):
        await asyncio.sleep(0)
