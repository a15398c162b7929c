"""
One OpenTelemetry span for each command.

Only a server with `traces = true` imports this module, and wraps its command table: without it
a command pays nothing. A method that is not in the table has no span: its name is a client's.
"""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any

from opentelemetry.trace import SpanKind, Tracer

from keystay_protocol.errors import CommandError, InternalError, Unavailable
from keystay_server.gateway.commands.signature import Row
from keystay_server.gateway.context import Context
from keystay_server.telemetry.tracing import note_failure


def traced_table(table: Mapping[str, Row], tracer: Tracer) -> dict[str, Row]:
    """The command table, whose handlers run in a span each."""
    return {name: _TracedRow(str(name), row, tracer) for name, row in table.items()}


class _TracedRow(Row):
    __slots__ = ("_name", "_row", "_tracer")

    def __init__(self, name: str, row: Row, tracer: Tracer) -> None:
        super().__init__(row.handler, *row.params)
        self._name = name
        self._row = row
        self._tracer = tracer

    def call(self, context: Context, values: list[Any]) -> Awaitable[Any]:
        return self._call(context, values)

    async def _call(self, context: Context, values: list[Any]) -> Any:
        # From here on in a task: it is in its context that the span is the current one.
        await asyncio.sleep(0)
        attributes = {"rpc.system": "keystay", "rpc.method": self._name}
        with self._tracer.start_as_current_span(
            self._name,
            kind=SpanKind.SERVER,
            attributes=attributes,
            # An exception's text and traceback may hold what a client sent.
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                result = self._row.call(context, values)
                return await result if isinstance(result, Awaitable) else result
            except Exception as error:
                code = error.code if isinstance(error, CommandError) else InternalError.code
                note_failure(span, code, is_ours=isinstance(error, Unavailable | InternalError))
                raise
