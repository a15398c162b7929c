"""
The player's session: one connection, and how the game handles its events.

The client reconnects, restores the session and gets missed events by itself. The game logs in,
handles events of its own, and decides what the end of a session means.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import keystay
from examples.game.world import World

Status = Literal["online", "reconnecting", "logged out"]

OPTIONS = keystay.Options(
    # Subscribed before the restore, so that items given between two runs are replayed.
    paths=("session", "inventory"),
    # The player is watching: reconnect soon after a restart.
    backoff_base_s=0.1,
    backoff_cap_s=2.0,
)


class Presence:
    """
    The state of the player's session.

    Handlers of the client run on the event loop of the game, between two ticks. So they can
    change the world without a lock.
    """

    def __init__(self, client: keystay.Client, player: str, world: World) -> None:
        self.player = player
        self.notice = ""
        """The last message to the player."""
        self._client = client
        self._world = world
        self._farewell: str | None = None
        client.on("inventory.added", self._given)
        client.on("session.unset", self._ended)
        client.on(keystay.SESSION_RECOVERED, self._recovered)

    @property
    def status(self) -> Status:
        """The state of the connection, which the client maintains."""
        if self.farewell is not None:
            return "logged out"
        is_open = self._client.state is keystay.ConnectionState.OPEN
        return "online" if is_open and self._client.session else "reconnecting"

    @property
    def farewell(self) -> str | None:
        """Why the game is over, as text for the player; None while it continues."""
        if self._farewell is None and self._client.error is not None:
            return f"The connection has failed: {self._client.error}."
        return self._farewell

    async def log_in(self) -> None:
        """
        Log in, unless the session of an earlier run was restored.

        Raises:
            KeystayError: If the server refuses.
        """
        while self._client.session is None:
            # It is unknown whether the login was executed. Repeating it does no harm.
            with suppress(keystay.ConnectionLost):
                await self._client.login("anonymous", {"actorId": f"player:{self.player}"})

    def _given(self, path: str, data: Any) -> None:
        match data:
            case {"item": str(item)} if item.isprintable():  # It is printed on a terminal.
                self._world.give(item)
                self.notice = f"You were given: {item}."

    async def _ended(self, path: str, data: Any) -> None:
        match data:
            case {"id": None}:
                pass  # The session of an earlier run has ended: see `log_in`.
            case {"reason": "expired" | "noSession"}:
                await self._log_in_again()
            case {"reason": "replaced"}:
                self._farewell = "You were logged in elsewhere."
            case {"reason": reason}:
                self._farewell = f"You were logged out: {reason}."

    async def _log_in_again(self) -> None:
        """Log in again after a session that nobody ended on purpose."""
        try:
            await self.log_in()
        except keystay.KeystayError as error:
            self._farewell = f"You were logged out: {error}."

    def _recovered(self, path: str, data: Any) -> None:
        # A game whose backend stores the bag would reload it here.
        if not data["recovered"]:
            self.notice = "You were away for long. Something may be missing from your bag."


@asynccontextmanager
async def online(
    server: str, player: str, session_file: Path, world: World
) -> AsyncIterator[Presence]:
    """
    Hold a session of the player: the one in the file if it is still live.

    Raises:
        KeystayError: If there is no server, or it refuses.
        ValueError: If the address of the server is not a WebSocket URL.
    """
    store = keystay.FileSessionStore(session_file)
    client = keystay.connect(server, session_store=store, options=OPTIONS)
    # Handlers that are added before the client connects get every event.
    presence = Presence(client, player, world)
    async with client:
        await presence.log_in()
        yield presence
