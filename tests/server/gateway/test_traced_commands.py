"""
`tracing.py`: one span for each command, with the store's calls in it.
"""

import sys
from collections.abc import AsyncIterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from keystay_server.gateway.commands import COMMANDS
from keystay_server.gateway.instrumentation import instrument
from keystay_server.gateway.traced_commands import traced_table
from keystay_server.settings.config import Config
from keystay_server.settings.errors import ConfigError
from keystay_server.stores import open_store
from keystay_server.stores.base import Store
from keystay_server.stores.observed import observed
from keystay_server.stores.retention import Retention
from keystay_server.telemetry.tracing import traced
from tests.support.server.memory_node import MemoryNode, running_node

NO_KEY = "alice:kst_" + "A" * 43


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    """Where spans end up."""
    return InMemorySpanExporter()


@pytest.fixture
async def traced_node(exporter: InMemorySpanExporter) -> AsyncIterator[MemoryNode]:
    """A node whose commands and store are traced."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("keystay")

    def watched(store: Store) -> Store:
        return observed(store, traced(tracer))

    table = traced_table(COMMANDS, tracer)
    async with running_node(commands=table, watched=watched) as node:
        exporter.clear()
        yield node


def by_name(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    """The spans that are finished; each name is there once."""
    spans = exporter.get_finished_spans()
    named = {span.name: span for span in spans}
    assert len(named) == len(spans)
    return named


async def test_a_command_is_a_span_with_the_stores_call_inside(
    traced_node: MemoryNode, exporter: InMemorySpanExporter
) -> None:
    """Under the method's name, as a server's; the store's is its child."""
    key = await traced_node.open_session()
    client = traced_node.connect()
    assert await client.call("session.isValid", key) == (None, None)
    spans = by_name(exporter)
    command, call = spans["session.isValid"], spans["store.check"]
    assert (command.kind, call.kind) == (SpanKind.SERVER, SpanKind.CLIENT)
    assert command.parent is None
    assert call.parent is not None
    assert command.context is not None
    assert call.parent.span_id == command.context.span_id
    assert command.attributes == {"rpc.system": "keystay", "rpc.method": "session.isValid"}


async def test_two_commands_are_two_traces(
    traced_node: MemoryNode, exporter: InMemorySpanExporter
) -> None:
    """The span of one is over, and no parent of the next one, whoever sent it."""
    clients = [traced_node.connect(), traced_node.connect()]
    for client in (*clients, *clients):
        assert (await client.call("time.now"))[0] is None
    spans = exporter.get_finished_spans()
    assert [span.parent for span in spans] == [None] * 4
    assert len({span.context.trace_id for span in spans if span.context}) == 4


async def test_a_refusal_is_told_and_is_no_error_of_ours(
    traced_node: MemoryNode, exporter: InMemorySpanExporter
) -> None:
    """The code is an attribute; the status is an error only if the server is to blame."""
    client = traced_node.connect()
    assert await client.refusal("session.isValid", NO_KEY) == "noSession"
    assert await client.refusal("session.isValid", 7) == "invalidParams"
    traced_node.store.is_down = True
    assert await client.refusal("session.isValid", NO_KEY) == "unavailable"
    spans = [s for s in exporter.get_finished_spans() if s.name == "session.isValid"]
    codes = [span.attributes["error.type"] for span in spans if span.attributes]
    assert codes == ["noSession", "invalidParams", "unavailable"]
    statuses = [span.status.status_code for span in spans]
    assert statuses == [StatusCode.UNSET, StatusCode.UNSET, StatusCode.ERROR]


async def test_what_a_node_does_on_its_own_is_no_trace(
    traced_node: MemoryNode, exporter: InMemorySpanExporter
) -> None:
    """The calls of the store that belong to no command would be several a second."""
    await traced_node.sessions.list_page("alice", 1)
    assert exporter.get_finished_spans() == ()


async def test_no_key_is_in_a_trace(
    traced_node: MemoryNode, exporter: InMemorySpanExporter
) -> None:
    """Neither in a span's name, nor in its attributes, nor in what is said of an error."""
    key = await traced_node.open_session()
    client = traced_node.connect()
    for method in ("session.restore", "session.isValid", "session.list", key):
        await client.call(method, key)
        await client.call(method, {"key": key})
    traced_node.store.is_down = True
    await client.call("session.restore", key)
    told = "".join(span.to_json() for span in exporter.get_finished_spans())
    assert "session.restore" in told
    assert "kst_" not in told
    assert "alice" not in told


def test_without_the_setting_there_is_nothing_to_pay_for() -> None:
    """The command table is the one that is written down, also where no provider is set up."""
    store = open_store("memory://", Retention())
    for traces in (False, True):
        instrumentation = instrument(Config(store="memory://", traces=traces), store)
        assert instrumentation.commands is COMMANDS


def test_traces_without_opentelemetry_are_a_wrong_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is named, with what to install."""
    monkeypatch.delitem(sys.modules, "keystay_server.gateway.traced_commands")
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", None)
    store = open_store("memory://", Retention())
    with pytest.raises(ConfigError, match=r"^traces: .*pip install 'keystay\[otel\]'"):
        instrument(Config(store="memory://", traces=True), store)
