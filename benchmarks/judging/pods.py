"""Pods that serve MLServer's metrics, in a process of their own: benchmarks.judging.pods N.

N ports of 127.0.0.1, each for one revision's pods, answer every request with 20 KiB of metrics
whose counters grow by RATE inferences a second. Says its ports in JSON on the first line, and how
many requests it has answered on the second, after its standard input has ended.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf

RATE = 10
SIZE = 20 * 1024
"Bytes of an answer, of which about half are families that nobody asks for."
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, inf)
PATHS = ("/v2/models/{model_name}/infer", "/v2/models/{model_name}/versions/{model_version}/infer")
PROBE = "/v2/models/{model_name}/ready"


def render(inferences: int) -> bytes:
    """Write what MLServer would after so many inferences, one in a hundred of them failed."""
    failed = inferences // 100
    lines = ["# HELP rest_server_requests_total Total HTTP requests"]
    lines.append("# TYPE rest_server_requests_total counter")
    series = [
        ("GET", PROBE, "200", inferences),
        ("POST", PATHS[0], "200", inferences - failed),
        ("POST", PATHS[0], "500", failed),
        ("POST", PATHS[1], "200", inferences // 10),
    ]
    lines += [f"rest_server_requests_total{{{_label(*each[:3])}}} {each[3]}.0" for each in series]
    lines.append("# TYPE rest_server_request_duration_seconds histogram")
    for method, path, status, count in series:
        lines += _render_histogram(_label(method, path, status), count)
    return _fill("\n".join(lines)).encode()


def _label(method: str, path: str, status: str) -> str:
    return f'app_name="mlserver",method="{method}",path="{path}",status_code="{status}"'


def _render_histogram(labels: str, count: int) -> Iterator[str]:
    name = "rest_server_request_duration_seconds"
    for bound in BUCKETS:
        within = count if bound >= 0.05 else 0 if bound < 0.025 else count - count // 200
        yield f'{name}_bucket{{le="{"+Inf" if bound == inf else bound}",{labels}}} {within}.0'
    yield f"{name}_count{{{labels}}} {count}.0"
    yield f"{name}_sum{{{labels}}} {0.02 * count}"


def _fill(text: str) -> str:
    """Add other families up to SIZE bytes."""
    lines, size = [text, "# TYPE parallel_request_queue histogram"], len(text)
    number = 0
    while size < SIZE:
        line = (
            f'parallel_request_queue_bucket{{le="{number}",pool="model-{number % 7}"}} {number}.0'
        )
        lines.append(line)
        size += len(line) + 1
        number += 1
    return "\n".join(lines)[: SIZE - 1].rpartition("\n")[0] + "\n"


@dataclass(slots=True)
class Answers:
    """The present answer, rendered once a second, and how often it was given."""

    begun: float = field(default_factory=time.monotonic)
    second: int = -1
    given: int = 0
    text: bytes = b""

    def next(self) -> bytes:
        second = int(time.monotonic() - self.begun)
        if second != self.second:
            self.second, body = second, render(RATE * second)
            head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}"
            self.text = head.encode() + b"\r\n\r\n" + body
        self.given += 1
        return self.text


class Pod(asyncio.Protocol):
    """One connection; a request is whatever ends with an empty line."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._transport: asyncio.WriteTransport | None = None
        self._asked = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)  # noqa: S101 - a TCP server's are
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._asked += data
        if self._asked.endswith(b"\r\n\r\n") and self._transport is not None:
            self._asked = b""
            self._transport.write(self._answers.next())


async def serve(number: int) -> None:
    """Serve until standard input ends."""
    loop, answers = asyncio.get_running_loop(), Answers()
    servers = [
        await loop.create_server(lambda: Pod(answers), "127.0.0.1", 0) for _ in range(number)
    ]
    print(json.dumps([server.sockets[0].getsockname()[1] for server in servers]), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    print(json.dumps(answers.given), flush=True)


@dataclass(slots=True)
class Serving:
    """The process as its user sees it; `answered` is known when it has ended."""

    pid: int
    ports: list[int]
    answered: int = 0


@contextmanager
def serving(number: int) -> Iterator[Serving]:
    """Have so many ports answer; the process ends with the block."""
    command = [sys.executable, "-m", "benchmarks.judging.pods", str(number)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None  # noqa: S101 - asked for above
        assert process.stdout is not None  # noqa: S101
        found = Serving(process.pid, json.loads(process.stdout.readline()))
        try:
            yield found
        finally:
            process.stdin.close()
            found.answered = json.loads(process.stdout.readline() or "0")


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
