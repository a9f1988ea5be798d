"""Starts MLServer as `mlserver start` does, but keeps idle connections open.

By default it closes one after 5 s. A gateway that sends the next request into it at that moment
answers 502, for it cannot know whether a POST was carried out and mustn't repeat it. So the server
has to wait longer than the gateway, which then closes first: Traefik does after 90 s, Envoy after
an hour.
"""

# mypy: disable-error-code="import-not-found"
# (MLServer is installed in the image, not where the types are checked.)

import asyncio
from pathlib import Path

from mlserver import MLServer
from mlserver.cli.serve import load_settings
from mlserver.utils import install_uvloop_event_loop

KEEP_ALIVE_SECONDS = 7200


async def serve(folder: Path) -> None:
    """Serve the models of a folder until SIGTERM."""
    settings, models = await load_settings(str(folder))
    # MLServer has no setting for it, but hands this on to uvicorn.
    settings._custom_rest_server_settings = {"timeout_keep_alive": KEEP_ALIVE_SECONDS}  # noqa: SLF001
    await MLServer(settings).start(models)


if __name__ == "__main__":
    install_uvloop_event_loop()
    asyncio.run(serve(Path(__file__).parent))
