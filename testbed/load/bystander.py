"""A server that has nothing to do with what is tested: it gives back each line that it gets.

The load client asks it beside its own requests. When it too is silent for long, the machine stood
still, and a request of that moment that ran out of time proves nothing about the product.

It runs as a process of its own (`python -m testbed.load.bystander`), with the ordinary weight of a
process, prints its port, and ends when its standard input does.
"""

import asyncio
import os
import sys


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Give back each line of a connection until that ends."""
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
    writer.close()


async def serve() -> None:
    """Answer on a free port of loopback until nobody holds the other end of standard input."""
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await asyncio.to_thread(sys.stdin.read)


def weigh_as_others() -> None:
    """Be as important as any other process, unlike who started this: stand still when they do."""
    os.nice(-os.nice(0))


if __name__ == "__main__":
    weigh_as_others()
    asyncio.run(serve())
