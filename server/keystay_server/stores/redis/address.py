"""
Where Redis is and how to talk to it: all that a URL says.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, cast
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from redis import DriverInfo
from redis.asyncio.connection import Connection, SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from keystay_server.stores.errors import StoreError
from keystay_server.stores.redis.wire import Wire

Topology = Literal["", "sentinel", "cluster"]

_PREFIX = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_FORMS: dict[str, Topology] = {
    "redis": "",
    "redis+sentinel": "sentinel",
    "redis+cluster": "cluster",
}
_DRIVER = DriverInfo()
"""What each connection calls itself; it takes reading files to find out."""
_PORTS: dict[Topology, int] = {"": 6379, "sentinel": 26379, "cluster": 6379}


@dataclass(frozen=True, slots=True)
class Address:
    """One server, however it is found."""

    where: str
    """For logs: no user, no password."""
    wire: Callable[[], Wire] = field(repr=False)
    """Makes a connection that is not connected yet."""


@dataclass(frozen=True, slots=True)
class Location:
    """
    What a store's URL says.

        redis://[user:password@]host[:port][/db]
        redis+sentinel://[user:password@]host[:port],.../service[/db]
        redis+cluster://[user:password@]host[:port],...

    With `rediss` in place of `redis`, TLS is spoken. The query may hold
    `prefix`, with which every key and channel starts, and `ssl_...` options of
    redis-py, such as `ssl_ca_certs`. User and password are those of the
    servers; `sentinel_username` and `sentinel_password` those of the sentinels.
    """

    topology: Topology
    hosts: tuple[tuple[str, int], ...]
    service: str
    """What the sentinels call the master."""
    db: int
    prefix: str
    _tls: bool
    _options: dict[str, Any] = field(repr=False)
    _sentinel_user: dict[str, str] = field(repr=False)

    @classmethod
    def parse(cls, url: str, connect_s: float = 1.0) -> "Location":
        """
        Read the URL.

        `connect_s` bounds the making of a connection; all that follows on it
        has the deadlines of those who use it.

        Raises:
            StoreError: If the URL is wrong. The text does not quote it.
        """
        try:
            return cls._parse(url, connect_s)
        except (KeyError, ValueError):
            raise StoreError(
                "write the URL of a redis as redis://user:password@host:port/db, "
                "redis+sentinel://host:port,host:port/service or redis+cluster://host:port"
            ) from None

    @classmethod
    def _parse(cls, url: str, connect_s: float) -> "Location":
        parts = urlsplit(url)
        topology = _FORMS[parts.scheme.replace("rediss", "redis")]
        userinfo, _, hosts = parts.netloc.rpartition("@")
        user, _, password = userinfo.partition(":")
        query = dict(parse_qsl(parts.query, True, strict_parsing=bool(parts.query)))
        prefix = query.pop("prefix", "ks")
        if not _PREFIX.fullmatch(prefix):
            raise StoreError("a redis prefix has 1 to 64 letters, digits, or any of . _ : -")
        names = {"username", "password"} if topology == "sentinel" else set()
        sentinel_user = {name: query.pop(f"sentinel_{name}", "") for name in names}
        if wrong := [name for name in query if not name.startswith("ssl_")]:
            raise StoreError(f"a redis URL takes prefix and ssl_..., not {', '.join(wrong)}")
        path = [unquote(step) for step in parts.path.split("/") if step]
        service = path.pop(0) if topology == "sentinel" and path else ""
        if (topology == "sentinel") != bool(service) or len(path) > (topology != "cluster"):
            raise ValueError
        options = {
            **_ssl_options(query),
            "username": unquote(user),
            "password": unquote(password),
            "socket_connect_timeout": connect_s,
            "socket_timeout": None,
            # A command that may have run is not sent again behind our back.
            "retry": Retry(NoBackoff(), 0),
            "protocol": 2,
            "driver_info": _DRIVER,
        }
        return cls(
            topology=topology,
            hosts=_hosts(hosts, topology),
            service=service,
            db=int(path[0]) if path else 0,
            prefix=prefix,
            _tls=parts.scheme.startswith("rediss"),
            _options=options,
            _sentinel_user=sentinel_user,
        )

    def server(self, host: str, port: int) -> Address:
        """A server that is reached in the way the URL says."""
        return self._address(host, port, self.db, self._options)

    def sentinel(self, host: str, port: int) -> Address:
        """A sentinel."""
        return self._address(host, port, 0, self._options | self._sentinel_user)

    def _address(self, host: str, port: int, db: int, options: dict[str, Any]) -> Address:
        connection = SSLConnection if self._tls else Connection
        wire = partial(connection, host=host, port=port, db=db, **options)
        name = f"[{host}]" if ":" in host else host
        scheme = "rediss" if self._tls else "redis"
        return Address(f"{scheme}://{name}:{port}/{db}", cast("Callable[[], Wire]", wire))


def _hosts(text: str, topology: Topology) -> tuple[tuple[str, int], ...]:
    several = text.split(",")
    if len(several) > 1 and not topology:
        raise ValueError
    split = [urlsplit(f"//{host}") for host in several]
    return tuple(
        (each.hostname or "localhost", each.port or _PORTS[topology]) for each in split
    )


def _ssl_options(query: dict[str, str]) -> dict[str, Any]:
    """The options as redis-py wants them: numbers, booleans, flags."""
    options = dict(parse_url("rediss://?" + urlencode(query)))
    del options["connection_class"]
    return options
