"""A server whose every answer is hostile: each is another way to keep memory or a processor busy.

`python -m tests.security.answers` serves on loopback and prints the port. Bare sockets, so that it
can also answer what no library would: endless headers, no end, no HTTP.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
from collections.abc import Callable, Iterator

MIB = 1024 * 1024
PLAIN, JSON = "text/plain", "application/json"
_numbers = itertools.count()


def _new_label() -> bytes:
    """One series with a label of nearly 5 MiB that was never there before."""
    value = b"%012d" % next(_numbers) + b"x" * (5 * MIB - 200)
    return b'http_requests_total{code="200",path="' + value + b'"} 1\n'


def _new_series() -> bytes:
    """As many new series as a page may have."""
    number = next(_numbers)
    return b"".join(
        b'http_requests_total{code="200",path="/%d/%d/%s"} 1\n' % (number, each, b"p" * 400)
        for each in range(4900)
    )


def _empty_lines() -> bytes:
    return b'http_requests_total{code="200"} 1\n' + b"\n" * (5 * MIB - 100)


def _short_lines() -> bytes:
    return b'http_requests_total{code="200"} 1\n' + b"a 1\n" * (MIB + MIB // 4 - 100)


def _escapes() -> bytes:
    return b'http_requests_total{code="200",path="' + b"\\n" * (2 * MIB) + b'"} 1\n'


def _vector(results: bytes) -> bytes:
    head = b'{"status":"success","data":{"resultType":"vector","result":['
    return head + results + b"]}}"


def _new_label_of_prometheus() -> bytes:
    """One series, of which nobody has heard before, with a label of nearly 1 MiB."""
    label = b"%012d" % next(_numbers) + b"y" * (MIB - 300)
    return _vector(b'{"metric":{"a":"' + label + b'"},"value":[1,"5"]}')


def _new_series_of_prometheus() -> bytes:
    number = next(_numbers)
    one = b'{"metric":{"a":"%d-%d-%s"},"value":[1,"5"]}'
    return _vector(b",".join(one % (number, each, b"z" * 350) for each in range(1990)))


def _empty_series() -> bytes:
    return _vector(b",".join(b"{}" for _ in range(MIB // 3 - 200)))


def _many_labels() -> bytes:
    labels = b",".join(b'"%x":""' % each for each in range(90_000))
    return _vector(b'{"metric":{' + labels + b'},"value":[1,"5"]}')


def _deep() -> bytes:
    return b'{"status":"success","data":' + b"[" * 50_000 + b"]" * 50_000 + b"}"


def _wide() -> bytes:
    """As many values as 128 KiB hold, for a path that looks at all of them."""
    return b'{"v":[' + b"1," * 65_000 + b"1]}"


ANSWERS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "new-label": (PLAIN, _new_label),
    "new-series": (PLAIN, _new_series),
    "empty-lines": (PLAIN, _empty_lines),
    "short-lines": (PLAIN, _short_lines),
    "escapes": (PLAIN, _escapes),
    "prometheus-label": (JSON, _new_label_of_prometheus),
    "prometheus-series": (JSON, _new_series_of_prometheus),
    "prometheus-empty": (JSON, _empty_series),
    "prometheus-labels": (JSON, _many_labels),
    "deep": (JSON, _deep),
    "wide": (JSON, _wide),
}
"""What is answered below a path of this name; `headers` and `endless` never end."""


def _ordinary() -> bytes:
    """A page as any server's, for comparison."""
    return b"".join(
        b'http_requests_total{code="%d",path="/v1/%d"} %d\n' % (code, path, next(_numbers))
        for code in (200, 500)
        for path in range(30)
    )


def _endless(name: str) -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\n"
    if name == "headers":
        while True:
            yield b"".join(b"X-%d: %s\r\n" % (next(_numbers), b"h" * 4000) for _ in range(16))
    yield b"Content-Type: text/plain\r\n\r\n"
    while True:
        yield b'http_requests_total{code="200",path="' + b"e" * MIB


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            await _read_form(reader, head)
            name = head.split(b" ", 2)[1].decode().strip("/").partition("/")[0]
            if name in ANSWERS or name == "ordinary":
                kind, make = ANSWERS.get(name, (PLAIN, _ordinary))
                body = make()
                writer.write(
                    f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n"
                    f"Content-Length: {len(body)}\r\n\r\n".encode()
                    + body
                )
                await writer.drain()
                continue
            for piece in _endless(name):
                writer.write(piece)
                await writer.drain()
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def _read_form(reader: asyncio.StreamReader, head: bytes) -> None:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            await reader.readexactly(int(line.partition(b":")[2]))


async def serve(host: str, port: int) -> None:
    """Serve until cancelled, after the port was printed."""
    server = await asyncio.start_server(_answer, host, port)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.host, arguments.port))


if __name__ == "__main__":
    main()
