"""
The client port as the settings describe it.
"""

from collections.abc import Callable

from keystay_protocol.codec import Limits
from keystay_server.delivery.bindings import Peer
from keystay_server.gateway.connection import Node
from keystay_server.gateway.context import Services
from keystay_server.gateway.deadlines import Timings
from keystay_server.gateway.dispatch import Dispatcher
from keystay_server.gateway.instrumentation import Instrumentation
from keystay_server.gateway.limits import ConnectionLimits
from keystay_server.gateway.listener import Listener
from keystay_server.gateway.origin_policy import OriginPolicy
from keystay_server.gateway.websocket import frame
from keystay_server.node.descriptors import client_descriptors, descriptor_limit
from keystay_server.settings.config import Config


def make_listener(
    config: Config,
    services: Services,
    instrumentation: Instrumentation,
    on_activity: Callable[[Peer], None],
) -> Listener:
    """Create the listener; `on_activity` is as `Node` has it."""
    counts = instrumentation.counts
    node = Node(
        services,
        Dispatcher(
            instrumentation.commands, deadline_s=config.command_timeout_s, counts=counts
        ),
        frame,
        Limits(config.max_message_bytes, config.max_message_depth),
        config.max_in_flight,
        config.max_outbox_bytes,
        on_activity,
        counts,
    )
    return Listener(
        node,
        _timings(config),
        OriginPolicy.of(config.origins, dev=config.dev),
        ConnectionLimits(
            config.max_connections,
            config.max_connections_per_address,
            client_descriptors(descriptor_limit()),
        ),
    )


def _timings(config: Config) -> Timings:
    return Timings(
        handshake_s=config.handshake_timeout_s,
        session_s=config.session_timeout_s,
        ping_interval_s=config.ping_interval_s,
        ping_timeout_s=config.ping_timeout_s,
        slow_s=config.slow_timeout_s,
        close_s=config.close_timeout_s,
    )
