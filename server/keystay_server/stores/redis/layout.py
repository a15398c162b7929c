"""
The layout of the data is recorded in the store, and has to be that of this node.

`<prefix>:layout` holds the version of the layout and the number of partitions,
`2 64`. The first node writes it. A node with another number would look for
actors in the wrong partitions, so it must not read or write anything.
"""

import asyncio
from collections.abc import Awaitable
from typing import Any, Protocol

from keystay_server.stores.errors import StoreError
from keystay_server.stores.redis.partitions import layout_key
from keystay_server.stores.redis.wire import Word

VERSION = 2

_OLD_SHARDS = (10, 3, 61, 43, 11, 2, 60, 42, 12, 1, 63, 41, 13, 0, 62, 40)
"""What the parts of version 1 were called."""


class Send(Protocol):
    """Sends a command to the server that has the key."""

    def __call__(self, key: str, *words: Word) -> Awaitable[Any]: ...


class Layout:
    """What this node expects of the store."""

    def __init__(self, prefix: str, partitions: int) -> None:
        self.is_checked = False
        """Whether the store had this layout when it was last looked at."""
        self._prefix = prefix
        self._partitions = partitions

    async def check(self, send: Send) -> None:
        """
        Compare with what is recorded, and record it in a store that is new.

        Raises:
            StoreError: If the store has another layout.
            Unavailable: If it is out of reach.
        """
        key, ours = layout_key(self._prefix), f"{VERSION} {self._partitions}"
        recorded = await send(key, "GET", key)
        if recorded is None:
            self.is_checked = False
            await self._refuse_old(send)
            await send(key, "SET", key, ours, "NX")
            recorded = await send(key, "GET", key)
        self.is_checked = recorded == ours.encode()
        if not self.is_checked:
            raise StoreError(self._difference(recorded))

    async def _refuse_old(self, send: Send) -> None:
        names = (
            (f"due:{{{n}}}" for n in _OLD_SHARDS),
            (f"feed:{{{n}}}:last" for n in _OLD_SHARDS),
        )
        keys = [f"{self._prefix}:{name}" for some in names for name in some]
        if any(await asyncio.gather(*(send(key, "EXISTS", key) for key in keys))):
            raise StoreError(
                f"the data under the prefix {self._prefix} has the layout of an earlier "
                "version, which cannot be read: delete it, or use another prefix"
            )

    def _difference(self, recorded: Any) -> str:
        match (recorded or b"").decode(errors="replace").split():
            case [version, count] if version == str(VERSION):
                return (
                    f"the store has {count} partitions, --partitions says {self._partitions}: "
                    f"start with --partitions {count}, or use another prefix"
                )
        return (
            f"the data under the prefix {self._prefix} has a layout that is not known: "
            "it was written by another version"
        )
