"""
The composition root: who needs whom, and in which order things start and stop.
"""

import asyncio
import logging
import os
import secrets
import signal
import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from keystay_protocol.errors import Unavailable
from keystay_server.control.auth.api_key import directory_beside, read_or_make_api_key
from keystay_server.control.auth.key_ring import KeyRing, read_keys
from keystay_server.control.demo.routes import HOME as DEMO
from keystay_server.control.demo.routes import Demo
from keystay_server.control.endpoints.telemetry import TelemetryEndpoints
from keystay_server.control.server import ControlServer
from keystay_server.delivery.hub import Hub
from keystay_server.feed.signing import Signer, read_secrets
from keystay_server.feed.subscriptions import Feed
from keystay_server.gateway.context import Services
from keystay_server.gateway.instrumentation import instrument
from keystay_server.gateway.login.authenticators import Authenticator
from keystay_server.gateway.login.configured import configured_authenticators
from keystay_server.gateway.setup import make_listener
from keystay_server.gateway.websocket import frame
from keystay_server.node.directory import ConnectionDirectory
from keystay_server.node.heartbeat import Heartbeat
from keystay_server.node.reload import Reload
from keystay_server.node.tls import Certificate
from keystay_server.node.worker_channel import WorkerChannel
from keystay_server.node.workers import Workers
from keystay_server.sessions.expiry import Activity, Expiry
from keystay_server.sessions.policy import Rules, parse_policy
from keystay_server.sessions.service import Sessions
from keystay_server.settings.addresses import is_loopback, parse_address
from keystay_server.settings.config import Config
from keystay_server.settings.errors import ConfigError
from keystay_server.settings.masking import without_secrets
from keystay_server.stores import open_store
from keystay_server.stores.base import Store
from keystay_server.stores.errors import StoreError
from keystay_server.stores.retention import FEED_EVENTS, Retention
from keystay_server.telemetry.counts import Counts

if TYPE_CHECKING:
    from keystay_server.feed.webhooks import Webhooks

log = logging.getLogger("keystay")


class App:
    """
    One server process.

    Args:
        authenticators: Ways to log in besides the configured ones, by name.
        parent: Of a worker: it serves clients on the parent's sockets, and nothing else.

    Raises:
        ConfigError: If a file that a setting names cannot be used, or the store cannot.
    """

    def __init__(
        self,
        config: Config,
        authenticators: dict[str, Authenticator] | None = None,
        *,
        parent: WorkerChannel | None = None,
    ) -> None:
        if config.workers > 1 and authenticators:
            raise ConfigError("workers", "a program's own authenticators need one process")
        self._config = config
        self._parent = parent
        self._reload = Reload()
        self._tls = _tls(self._reload, "tls", config.tls_cert, config.tls_key)
        self._control_tls = _tls(
            self._reload, "control_tls", config.control_tls_cert, config.control_tls_key
        )
        instrumentation = instrument(config, _store(config))
        self._store, counts = instrumentation.store, instrumentation.counts
        self._counts = counts
        self._loop_lag = instrumentation.loop_lag
        node_id = secrets.token_hex(6)
        self._heartbeat = Heartbeat(self._store, counts, node_id)
        self._hub = Hub(
            self._store,
            frame,
            config.max_outbox_bytes // 2,
            counts,
            max_connections_per_session=config.max_connections_per_session,
        )
        self._directory = ConnectionDirectory(self._store, self._hub, node_id)
        self._expiry = Expiry(self._store, self._hub, Activity(config.activity), counts)
        self._sessions = Sessions(self._store, _rules(config), self._expiry.extend_held)
        self._listener = make_listener(
            config,
            Services(
                self._sessions,
                self._hub,
                {**configured_authenticators(config, counts), **(authenticators or {})},
            ),
            instrumentation,
            self._expiry.on_activity,
        )
        self._feed = Feed(self._store, counts)
        self._webhooks = None
        if parent is None:
            self._webhooks = _webhooks(config, self._store, node_id, counts, self._reload)
        self._control = ControlServer(
            self._sessions,
            self._hub,
            TelemetryEndpoints(self._heartbeat, instrumentation.metrics),
            self._directory,
            self._feed,
            deadline_s=config.command_timeout_s,
            drain_s=config.drain_timeout_s,
            slow_s=config.slow_timeout_s or None,
        )
        self._workers = None
        if config.workers > 1:
            self._workers = instrumentation.metrics.others = Workers(config, counts)
            self._reload.add(self._workers.reload)
            self._control.depend_on(self._workers.is_serving)

    async def run(self, ready: Callable[[dict[str, Any]], None]) -> None:
        """
        Serve until SIGTERM or SIGINT. `ready` is called once both ports accept connections.

        Raises:
            ConfigError: If the store or an address cannot be used.
        """
        stopping = _stop_signal()
        self._reload.start()
        try:
            await self._store.start(self._hub)
        except (StoreError, Unavailable) as error:
            raise ConfigError("store", str(error)) from error
        try:
            self._hub.start()
            self._directory.start()
            self._expiry.start()
            self._loop_lag.start()
            if self._webhooks is not None:
                self._webhooks.start()
            if self._parent is None:
                ready(await self._listen())
            else:
                await self._serve_for(self._parent, stopping.set)
            await stopping.wait()
            log.info("draining")
        finally:
            self._control.drain()
            # Its listeners continue at another node, from their position.
            await self._feed.stop()
            self._heartbeat.drain()
            if self._workers is not None:
                await self._workers.stop(self._config.drain_timeout_s)
            await self._listener.stop(self._config.drain_timeout_s)
            if self._parent is not None:
                await self._parent.stop()
            await self._control.stop()
            await self._heartbeat.stop()
            self._loop_lag.stop()
            await self._expiry.stop()
            await self._directory.stop()
            if self._webhooks is not None:
                await self._webhooks.stop()
            await self._hub.stop()
            await self._store.stop()
        log.info("stopped")

    async def _serve_for(self, parent: WorkerChannel, stop: Callable[[], None]) -> None:
        await self._listener.serve(parent.sockets, self._tls)
        scheme = "wss" if self._tls else "ws"
        self._heartbeat.start(f"{scheme}://{self._config.listen}", str)
        parent.start(self._counts, stop)

    async def _listen(self) -> dict[str, Any]:
        config = self._config
        directory = directory_beside(config.store)
        read_or_make_api_key(directory)
        keys = KeyRing(partial(read_keys, directory, config.api_keys_file))
        self._reload.add(keys.reload)
        start: Callable[[str, int], Awaitable[int]]
        if self._workers is not None:
            start = self._workers.start
        else:
            start = partial(self._listener.start, tls=self._tls)
        listen = await _open("listen", config.listen, start)
        listen = f"{'wss' if self._tls else 'ws'}://{listen}"
        self._heartbeat.start(listen, keys.default_id)
        # Last: when a load balancer sees `/readyz` answer, clients can connect already.
        control = await _open(
            "control",
            config.control,
            partial(
                self._control.start,
                keys=keys,
                tls=self._control_tls,
                demo=Demo(listen, config.activity) if config.dev else None,
            ),
        )
        control = f"{'https' if self._control_tls else 'http'}://{control}"
        if config.dev:
            log.info("the demo is at %s", control + DEMO)
        # Not before: a server that cannot start writes one line.
        keys.warn_of_short()
        _warn_of_dev(config)
        return {
            "event": "ready",
            "listen": listen,
            "control": control,
            "store": without_secrets(config.store),
            "pid": os.getpid(),
        }


def _warn_of_dev(config: Config) -> None:
    host, _ = parse_address("listen", config.listen)
    if config.dev and not is_loopback(host):
        log.warning("dev: whoever reaches %s can log in as any actor", config.listen)


async def _open(name: str, address: str, start: Callable[[str, int], Awaitable[int]]) -> str:
    """Listen on the address of a setting; return it, with the port that was chosen."""
    host, port = parse_address(name, address)
    try:
        port = await start(host, port)
    except OSError as error:
        raise ConfigError(name, f"{address}: {error.strerror or error}") from error
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _store(config: Config) -> Store:
    retention = Retention(
        history_events=config.history_events,
        history_ms=round(config.history_s * 1000),
        tombstone_ms=round(config.tombstone_s * 1000),
        tombstones=config.tombstones,
        feed_events=FEED_EVENTS if config.feed else 0,
    )
    try:
        return open_store(config.store, retention, config.partitions)
    except StoreError as error:
        raise ConfigError("store", str(error)) from error


def _rules(config: Config) -> Rules:
    return Rules(
        ttl_s=config.ttl_s,
        max_age_s=config.max_age_s or None,
        policy=parse_policy(config.policy, config.max_sessions or None),
        version=config.app_version or None,
    )


def _webhooks(
    config: Config, store: Store, node_id: str, counts: Counts, reload: Reload
) -> "Webhooks | None":
    if not config.webhook_url:
        return None
    # Imported here: a server without webhooks loads no HTTP client.
    from keystay_server.feed.webhooks import Endpoint, Webhooks

    signer = Signer(partial(read_secrets, config.webhook_secret_file))
    reload.add(signer.reload)
    endpoint = Endpoint(config.webhook_url, signer, config.webhook_timeout_s)
    return Webhooks(store, node_id, endpoint, counts)


def _tls(reload: Reload, settings: str, cert: str, key: str) -> ssl.SSLContext | None:
    """Return TLS with the files of `..._cert` and `..._key`; None if they are not set."""
    if not cert:
        return None
    certificate = Certificate(settings, cert, key)
    reload.add(certificate.reload)
    return certificate.context


def _stop_signal() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, stopping.set)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stopping.set))
    return stopping
