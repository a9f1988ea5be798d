"""The load client for a model that is called by gRPC: the Open Inference Protocol's ModelInfer.

The transport is grpcio's own. The two messages are so small that they are written here, field by
field, instead of being generated: https://protobuf.dev/programming-guides/encoding.
"""

import asyncio
import json
import struct
import sys
from typing import TextIO
from urllib.parse import urlsplit

import grpc

from testbed.load.traffic import Load, Send, go_first, parse_arguments, run_client, write_load

METHOD = "/inference.GRPCInferenceService/ModelInfer"
OK = 200
"What stands for a call that went well, as in HTTP; of others `error` is the code's name."


async def send_calls(load: Load, log: TextIO, stop: asyncio.Event) -> None:
    """Send the load by calls over one connection, as gRPC clients do."""
    address, model = urlsplit(load.url).netloc, urlsplit(load.url).path.split("/")[3]
    options = [("grpc.default_authority", load.host)]
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        send = make_sender(load, channel.unary_unary(METHOD), encode_request(model, load.body))
        await write_load(load, send, log, stop)


def make_sender(load: Load, call: grpc.aio.UnaryUnaryMultiCallable, request: bytes) -> Send:
    """Send one request; nothing is retried here, whatever gRPC may do before it has left."""

    async def send() -> tuple[int | None, str, str]:
        try:
            return OK, "", read_version(await call(request, timeout=load.timeout))
        except grpc.aio.AioRpcError as error:
            return None, error.code().name, ""

    return send


def encode_request(model: str, body: str) -> bytes:
    """The ModelInferRequest of a model for what the protocol's JSON asks."""
    tensors = [
        make_text(1, tensor["name"])
        + make_text(2, tensor["datatype"])
        + make_field(3, b"".join(map(make_varint, tensor["shape"])))
        + make_field(5, make_field(6, struct.pack(f"<{len(tensor['data'])}f", *tensor["data"])))
        for tensor in json.loads(body)["inputs"]
    ]
    return make_text(1, model) + b"".join(make_field(5, tensor) for tensor in tensors)


def make_text(number: int, text: str) -> bytes:
    """A field that holds text."""
    return make_field(number, text.encode())


def make_field(number: int, content: bytes) -> bytes:
    """A field that says how long it is."""
    return make_varint(number << 3 | 2) + make_varint(len(content)) + content


def make_varint(value: int) -> bytes:
    """A number, seven bits a byte, the lowest first."""
    head, rest = value & 0x7F, value >> 7
    return bytes([head | 0x80]) + make_varint(rest) if rest else bytes([head])


def read_version(response: bytes) -> str:
    """The model_version of a ModelInferResponse, its second field; "" when it names none."""
    while response:
        key, response = read_varint(response)
        size, response = read_varint(response)
        content, response = response[:size], response[size:]
        if key == 2 << 3 | 2:
            return content.decode()
    return ""


def read_varint(data: bytes) -> tuple[int, bytes]:
    """The number at the beginning, and what follows it."""
    value = position = 0
    while data[position] & 0x80:
        value |= (data[position] & 0x7F) << 7 * position
        position += 1
    return value | data[position] << 7 * position, data[position + 1 :]


if __name__ == "__main__":
    go_first()
    given, path = parse_arguments(sys.argv[1:])
    asyncio.run(run_client(given, path, send_calls))
