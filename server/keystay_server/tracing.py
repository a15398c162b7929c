"""
One OpenTelemetry span for each command, and in it one for each call of the store.

Only a server with `traces = true` imports this module, and wraps its command
table and its store: without it a command pays nothing. Where spans go is decided by
the program that sets up a tracer provider, or by `opentelemetry-instrument`.

A span never has a parameter, a key, an actor or a session in it. A method that is
not in the table has no span: its name is a client's.
"""

import asyncio
from collections.abc import Awaitable, Mapping
from functools import wraps
from typing import Any

from opentelemetry.trace import (
    ProxyTracerProvider,
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    get_current_span,
    get_tracer,
    get_tracer_provider,
)

from keystay_protocol import __version__
from keystay_protocol.errors import CommandError, InternalError, Unavailable
from keystay_server.commands.signature import Row
from keystay_server.context import Context
from keystay_server.telemetry.operations import Operation


def is_provided() -> bool:
    """Whether the program has set up a tracer provider."""
    return not isinstance(get_tracer_provider(), ProxyTracerProvider)


def tracer() -> Tracer:
    """Keystay's, of the provider that the program set up."""
    return get_tracer("keystay", __version__)


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
                return await self._row.call(context, values)
            except Exception as error:
                code = error.code if isinstance(error, CommandError) else InternalError.code
                _fail(span, code, is_ours=isinstance(error, Unavailable | InternalError))
                raise


def traced(tracer: Tracer) -> Any:
    """A wrapping for `around`: each call of the store that is a part of a span is one too."""

    def wrap(name: str, operation: Operation) -> Operation:
        @wraps(operation)
        async def spanned(*args: Any, **kwargs: Any) -> Any:
            if not get_current_span().is_recording():
                # Nobody's command: what the node does on its own, several times a second.
                return await operation(*args, **kwargs)
            with tracer.start_as_current_span(
                f"store.{name}",
                kind=SpanKind.CLIENT,
                record_exception=False,
                set_status_on_exception=False,
            ) as span:
                try:
                    return await operation(*args, **kwargs)
                except CommandError as error:
                    _fail(span, error.code, is_ours=isinstance(error, Unavailable))
                    raise

        return spanned

    return wrap


def _fail(span: Span, code: str, *, is_ours: bool) -> None:
    """Note what was answered; that a client was refused something is no error of the server."""
    span.set_attribute("error.type", code)
    if is_ours:
        span.set_status(Status(StatusCode.ERROR, code))
