"""
Traces as the operations page has them switched on: a collector of the test's own is sent them.
"""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

from tests.support.client_py.http_peer import HttpPeer, answer, http_peer
from tests.support.doc_pages import SOON_S, blocks
from tests.support.raw_client import connected
from tests.support.server_process import ServerProcess

pytestmark = pytest.mark.long

ANYWHERE = "--listen 127.0.0.1:0 --control 127.0.0.1:0 --store memory:// --dev"


@asynccontextmanager
async def traced_server(collector: str) -> AsyncIterator[ServerProcess]:
    """The server that the page's commands start, but on free ports and with this collector."""
    [commands] = [
        block
        for block in blocks("docs/guides/monitoring.md", "sh")
        if "opentelemetry-instrument" in block
    ]
    install, *rest = commands.splitlines()
    assert install.startswith("pip install ")
    script = "\n".join(rest).replace("http://127.0.0.1:4318", collector)
    process: Process = await asyncio.create_subprocess_shell(
        script.replace("opentelemetry-instrument", "exec opentelemetry-instrument")
        + f" {ANYWHERE}",
        stdout=PIPE,
        env={
            **os.environ,
            "KEYSTAY_API_KEY": "test-api-key",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        },
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(SOON_S):
            yield ServerProcess(process, json.loads(await process.stdout.readline()))
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def received(collector: HttpPeer) -> tuple[ResourceSpans, list[Span]]:
    """Who sent spans, and all of them."""
    assert {(asked.method, asked.target) for asked in collector.asked} == {
        ("POST", "/v1/traces")
    }
    requests = [ExportTraceServiceRequest.FromString(asked.body) for asked in collector.asked]
    senders = [sender for request in requests for sender in request.resource_spans]
    return senders[0], [
        span for sender in senders for scope in sender.scope_spans for span in scope.spans
    ]


async def test_a_collector_is_sent_a_span_for_each_command() -> None:
    """Under the service's name, with the calls of the store inside, and no key anywhere."""
    async with http_peer(answer(200, b"")) as collector:
        async with traced_server(collector.url) as server:
            async with connected(server.url) as client:
                key = await client.login("alice")
                assert (await client.call("session.restore", key))[0] is None
            assert await server.terminate() == 0
        sender, spans = received(collector)
    named = {span.name: span for span in spans}
    attributes = {each.key: each.value.string_value for each in sender.resource.attributes}
    assert attributes["service.name"] == "keystay"
    for method, call in (("session.login", "create"), ("session.restore", "restore")):
        command = named[method]
        inside = named[f"store.{call}"]
        assert not command.parent_span_id
        assert (inside.parent_span_id, inside.trace_id) == (command.span_id, command.trace_id)
    assert all(b"alice" not in asked.body for asked in collector.asked)
    assert all(b"kst_" not in asked.body for asked in collector.asked)
