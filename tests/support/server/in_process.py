"""
A control server in the process of the test, around parts of its own.
"""

import hashlib
from typing import Any

from keystay_server.control.auth.key_ring import ApiKey, KeyRing
from keystay_server.control.auth.rights import Right
from keystay_server.control.endpoints.telemetry import TelemetryEndpoints
from keystay_server.control.server import ControlServer
from keystay_server.delivery.hub import Hub
from keystay_server.feed.subscriptions import Feed
from keystay_server.gateway.instrumentation import instrument
from keystay_server.node.directory import ConnectionDirectory
from keystay_server.node.heartbeat import Heartbeat
from keystay_server.sessions.service import Sessions
from keystay_server.settings.config import Config
from keystay_server.stores.base import Store

API_KEY = "key"


def control_over(store: Store, sessions: Sessions, feed: Feed, **times: Any) -> ControlServer:
    """Make a control server over the store."""
    instrumentation = instrument(Config(store="memory://"), store)
    telemetry = TelemetryEndpoints(
        Heartbeat(store, instrumentation.counts, "node"), instrumentation.metrics
    )
    hub = Hub(store, bytes)
    return ControlServer(
        sessions, hub, telemetry, ConnectionDirectory(store, hub, "node"), feed, **times
    )


def one_key() -> KeyRing:
    """A key ring with `API_KEY`."""
    digest = hashlib.sha256(API_KEY.encode()).digest()
    return KeyRing(lambda: [ApiKey("default", digest, frozenset({Right.ADMIN}))])
