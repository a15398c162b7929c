"""
The player's session: one live connection, and what it tells the game.

The client reconnects, restores the session and asks for what was missed by itself. What is
left to a game is to say who is playing, to hear what is given, and to know when it is over.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import keystay
from examples.game.world import World

Status = Literal["online", "reconnecting", "logged out"]

OPTIONS = keystay.Options(
    # Named here, not subscribed to later: what was given between two runs comes as well.
    paths=("session", "inventory"),
    # Somebody looks at the screen: be back soon after a restart.
    backoff_base_s=0.1,
    backoff_cap_s=2.0,
)


class Presence:
    """
    How things stand between the player and the server.

    The client's handlers run on the event loop of the game, between two of its ticks. So
    they may change the world, and nothing needs a lock.
    """

    def __init__(self, client: keystay.Client, player: str, world: World) -> None:
        self.player = player
        self.notice = ""
        """The last thing there was to say."""
        self._client = client
        self._world = world
        self._farewell: str | None = None
        client.on("inventory.added", self._given)
        client.on("session.unset", self._ended)
        client.on(keystay.SESSION_RECOVERED, self._recovered)

    @property
    def status(self) -> Status:
        """How it stands with the connection; the client takes care of it by itself."""
        if self.farewell is not None:
            return "logged out"
        is_open = self._client.state is keystay.ConnectionState.OPEN
        return "online" if is_open and self._client.session else "reconnecting"

    @property
    def farewell(self) -> str | None:
        """Why the game is over, in words for the player; None while it goes on."""
        if self._farewell is None and self._client.error is not None:
            return f"The server is gone for good: {self._client.error}."
        return self._farewell

    async def log_in(self) -> None:
        """
        Log in, unless the session of an earlier run was taken up.

        Raises:
            KeystayError: If the server does not want this player.
        """
        while self._client.session is None:
            # Nobody knows then whether the login ran. Once more does no harm.
            with suppress(keystay.ConnectionLost):
                await self._client.login("anonymous", {"actorId": f"player:{self.player}"})

    def _given(self, path: str, data: Any) -> None:
        match data:
            case {"item": str(item)} if item.isprintable():  # It goes on a terminal.
                self._world.give(item)
                self.notice = f"You were given: {item}."

    async def _ended(self, path: str, data: Any) -> None:
        match data:
            case {"id": None}:
                pass  # What an earlier run left behind is of no use any more: see `log_in`.
            case {"reason": "expired" | "noSession"}:
                await self._log_in_again()
            case {"reason": "replaced"}:
                self._farewell = "You were logged in elsewhere."
            case {"reason": reason}:
                self._farewell = f"You were logged out: {reason}."

    async def _log_in_again(self) -> None:
        """Nobody sent the player away; the server merely does not know the session any more."""
        try:
            await self.log_in()
        except keystay.KeystayError as error:
            self._farewell = f"You were logged out: {error}."

    def _recovered(self, path: str, data: Any) -> None:
        # A game whose backend keeps the bag would load it anew here.
        if not data["recovered"]:
            self.notice = "You were away for long. Something may be missing from your bag."


@asynccontextmanager
async def online(
    server: str, player: str, session_file: Path, world: World
) -> AsyncIterator[Presence]:
    """
    Hold a session of the player, the one that is kept in the file if it still lives.

    Raises:
        KeystayError: If there is no server, or it does not want this player.
        ValueError: If the server's address is none.
    """
    store = keystay.FileSessionStore(session_file)
    client = keystay.connect(server, session_store=store, options=OPTIONS)
    # Before the client connects: its handlers then hear everything from the first event on.
    presence = Presence(client, player, world)
    async with client:
        await presence.log_in()
        yield presence
