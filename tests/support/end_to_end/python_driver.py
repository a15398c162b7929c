"""
A program with the Python SDK, in this very process.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keystay
from keystay import Options
from tests.support.end_to_end.program import Refused, Tell

_OPTIONS: dict[str, Callable[[Any], tuple[str, Any]]] = {
    "backoffBaseMs": lambda ms: ("backoff_base_s", ms / 1000),
    "backoffCapMs": lambda ms: ("backoff_cap_s", ms / 1000),
    "maxPending": lambda number: ("max_pending", number),
    "paths": lambda paths: ("paths", tuple(paths)),
}
"""What the options of the JavaScript client are here."""


class PythonDriver:
    """Keeps the session in a file."""

    def __init__(self, file: Path, tell: Tell) -> None:
        self._store = keystay.FileSessionStore(file)
        self._tell = tell
        self._client: keystay.Client | None = None
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """There is nothing to start before it connects."""

    async def ask(self, what: str, **request: Any) -> Any:
        """Do it."""
        try:
            match what, request:
                case "connect", {"url": url, "options": options}:
                    return await self._connect(url, **options)
                case "call", {"method": method, "args": args, "options": options}:
                    timeout_ms = options.get("timeoutMs")
                    timeout_s = None if timeout_ms is None else timeout_ms / 1000
                    command = _command(self._open, method)
                    return _plain(await command(*args, timeout_s=timeout_s))
                case "callBack", {"method": method, "args": args}:
                    return await _call_back(self._open, method, *args)
                case "look", _:
                    return self._look()
        except (keystay.CommandError, keystay.ClientError) as error:
            raise Refused(error.code) from error
        raise AssertionError(what)

    async def stop(self) -> None:
        """Close the client."""
        if self._client is not None and self._watching is not None:
            await self._client.close()
            await self._watching

    async def close(self) -> None:
        """Stop."""
        await self.stop()

    @property
    def _open(self) -> keystay.Client:
        assert self._client is not None
        return self._client

    async def _connect(self, url: str, *, key: str | None = None, **options: Any) -> None:
        settings = dict(_OPTIONS[name](value) for name, value in options.items())
        client = keystay.connect(
            url, key=key, session_store=self._store, options=Options(**settings)
        )
        client.on("", lambda name, data: self._tell({"heard": [name, _plain(data)]}))
        self._client = client
        self._watching = asyncio.create_task(self._watch(client.states()))
        await client

    async def _watch(self, states: keystay.Stream[keystay.ConnectionState]) -> None:
        async for state in states:
            self._tell({"state": str(state)})

    def _look(self) -> dict[str, Any]:
        return {
            "state": str(self._open.state),
            "error": getattr(self._open.error, "code", None),
            "recovered": self._open.recovered,
            "key": self._open.get_key(),
            "session": _plain(self._open.session),
        }


def _command(client: keystay.Client, method: str) -> Any:
    return client.is_valid if method == "isValid" else getattr(client, method)


async def _call_back(client: keystay.Client, method: str, *args: Any) -> str | None:
    code: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
    _command(client, method)(*args, callback=code.set_result)
    return await code


def _plain(value: Any) -> Any:
    """Plain data, with sessions as the JavaScript client has them."""
    match value:
        case keystay.Session():
            wire = value.to_wire()
            wire.pop("key", None)
            return wire | {"current": value.current}
        case list() | tuple():
            return [_plain(item) for item in value]
    return value
