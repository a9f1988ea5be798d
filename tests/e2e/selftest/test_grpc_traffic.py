"""The gRPC load client speaks the Open Inference Protocol, and names what failed by its code."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from testbed.load import traffic
from testbed.load.grpc_traffic import METHOD, encode_request, make_text, read_version, send_calls
from testbed.load.ramp import steady
from testbed.load.traffic import Load, Report, read_report
from testbed.operators.running import IRIS

REQUEST = (
    b"\x0a\x04iris"
    b"\x2a\x21\x0a\x01x\x12\x04FP32\x1a\x02\x01\x04\x2a\x12\x32\x10"
    b"\x33\x33\xa3\x40\x00\x00\x60\x40\x33\x33\xb3\x3f\xcd\xcc\x4c\x3e"
)
"What protoc's own code writes for one flower."
PATIENCE_SECONDS = 30.0


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every planned call leave, however slow the machine is."""
    monkeypatch.setattr(traffic, "LATE_SECONDS", PATIENCE_SECONDS)


class Model:
    """A server that fails every third call."""

    def __init__(self) -> None:
        self.asked = 0

    async def answer(self, request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        assert request == REQUEST
        self.asked += 1
        if self.asked % 3 == 0:
            await context.abort(grpc.StatusCode.INTERNAL, "boom")
        return make_text(1, "iris") + make_text(2, "v2") + make_text(3, "x" * 200)


@pytest.fixture
async def address() -> AsyncIterator[str]:
    handler = grpc.unary_unary_rpc_method_handler(Model().answer)
    service, name = METHOD.strip("/").split("/")
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler(service, {name: handler})]
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


async def run(tmp_path: Path, address: str) -> Report:
    url = f"http://{address}/v2/models/iris/infer"
    log = tmp_path / "log"
    with log.open("w") as file:
        wanted = Load(url, "iris.example.com", steady(50.0, 0.6), IRIS, PATIENCE_SECONDS)
        await send_calls(wanted, file, asyncio.Event())
    return read_report(log)


async def test_calls_are_sent_as_planned_and_failed_ones_have_their_code(
    tmp_path: Path, address: str
) -> None:
    report = await run(tmp_path, address)

    assert (report.planned, report.sent_share, len(report.failures)) == (30, 1.0, 10)
    assert {answer.error for answer in report.failures} == {"INTERNAL"}
    assert report.shares() == {"v2": 1.0}


def test_a_request_is_what_protobuf_makes_of_it() -> None:
    assert encode_request("iris", IRIS) == REQUEST


def test_an_answer_without_a_version_names_none() -> None:
    assert read_version(make_text(1, "iris")) == ""
