"""
OpenTelemetry: the tracer, and one span for each call of the store within a command's span.

Only a server with `traces = true` imports this module. The spans of commands are made in
`gateway/traced_commands.py`. The program that sets up a tracer provider, or
`opentelemetry-instrument`, decides where spans go.

A span never has a parameter, a key, an actor or a session in it.
"""

from functools import wraps

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
from keystay_protocol.errors import CommandError, Unavailable
from keystay_server.telemetry.operations import Observe, Operation, P, T


def is_provided() -> bool:
    """Whether the program has set up a tracer provider."""
    return not isinstance(get_tracer_provider(), ProxyTracerProvider)


def tracer() -> Tracer:
    """Keystay's, of the provider that the program set up."""
    return get_tracer("keystay", __version__)


def traced(tracer: Tracer) -> Observe:
    """Make each call of the store within a command's span a span too."""

    def observe(name: str, operation: Operation[P, T], /) -> Operation[P, T]:
        @wraps(operation)
        async def spanned(*args: P.args, **kwargs: P.kwargs) -> T:
            if not get_current_span().is_recording():
                # Not a command: what the node does by itself, several times a second.
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
                    note_failure(span, error.code, is_ours=isinstance(error, Unavailable))
                    raise

        return spanned

    return observe


def note_failure(span: Span, code: str, *, is_ours: bool) -> None:
    """Note the error code. A refusal is not an error of the server."""
    span.set_attribute("error.type", code)
    if is_ours:
        span.set_status(Status(StatusCode.ERROR, code))
