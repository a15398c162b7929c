"""
The game's life online, against a real server, on a screen without a terminal.
"""

from pathlib import Path
from urllib.parse import urlsplit

import pytest

import keystay
from examples.game.world import TICKS_PER_S, Heading
from tests.support.examples.stage import playing
from tests.support.server_process import ServerProcess, serving

ADA = "player:ada"
GIFTS = ("lantern", "rope", "lantern")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the game keeps its session."""
    return tmp_path / "ada.session"


def backend_of(server: ServerProcess) -> keystay.Control:
    """The backend that hands out the gifts."""
    return keystay.Control(server.control, "test-api-key")


async def give(server: ServerProcess, *items: str) -> None:
    """Give things to ada, in this order."""
    async with backend_of(server) as backend:
        for item in items:
            await backend.emit_to_actor(ADA, "inventory.added", {"item": item})


async def sessions(server: ServerProcess) -> list[str]:
    """The ids of ada's sessions."""
    async with backend_of(server) as backend:
        return [session.id async for session in backend.list_sessions(ADA)]


def same_port(server: ServerProcess) -> tuple[str, str]:
    """The flag that has another server listen where this one did."""
    return ("--listen", urlsplit(server.url).netloc)


async def test_a_killed_server_is_a_blink(file: Path, tmp_path: Path) -> None:
    """
    While the server is gone, the game ticks on and the player walks. Afterwards it is the same
    session, and what was given meanwhile is in the bag, in order and once.
    """
    store = ("--store", f"sqlite:///{tmp_path}/keystay.db")
    async with serving(*store) as first, playing(first.url, file) as stage:
        held = await sessions(first)
        await first.kill()
        gone = await stage.until_status("reconnecting")
        stage.press(Heading.RIGHT)
        # Gifts are given through another server, where the game does not look for one.
        async with serving(*store) as elsewhere:
            await give(elsewhere, *GIFTS)
            await elsewhere.kill()
        later = await stage.until(lambda now: now.ticks > gone.ticks + TICKS_PER_S // 2)
        assert later.player > gone.player
        assert (later.status, later.bag, later.farewell) == ("reconnecting", (), None)

        async with serving(*store, *same_port(first)) as second:
            await stage.until_status("online")
            await give(second, "map")
            back = await stage.until(lambda now: "map" in now.bag)
            assert back.bag == (*GIFTS, "map")
            assert await sessions(second) == held


async def test_a_server_that_forgot_everything(file: Path) -> None:
    """The player is logged in anew, and plays on."""
    async with serving() as first, playing(first.url, file) as stage:
        await first.kill()
        gone = await stage.until_status("reconnecting")
        async with serving(*same_port(first)) as second:
            back = await stage.until_status("online")
            assert (back.farewell, back.ticks > gone.ticks) == (None, True)
            await give(second, "rope")
            await stage.until(lambda now: now.bag == ("rope",))


async def test_the_same_player_elsewhere(server: ServerProcess, tmp_path: Path) -> None:
    """Who is logged in elsewhere is told so, and the game stands still until they leave it."""
    files = tmp_path / "here.session", tmp_path / "elsewhere.session"
    async with playing(server.url, files[0]) as here:
        async with playing(server.url, files[1]) as elsewhere:
            over = await here.until_status("logged out")
            here.press(Heading.RIGHT)
            assert over.farewell == "You were logged in elsewhere."
            assert await here.until(lambda _: True) == over
        assert elsewhere.closing_message == "See you soon. Coins: 0."
    assert here.closing_message == "You were logged in elsewhere. Coins: 0."
    assert [file.exists() for file in files] == [False, True]


async def test_a_game_that_is_started_again(server: ServerProcess, file: Path) -> None:
    """It is logged in as before, and what was given meanwhile is in the bag."""
    async with playing(server.url, file):
        held = await sessions(server)
    await give(server, *GIFTS)
    async with playing(server.url, file) as stage:
        await stage.until(lambda now: now.bag == GIFTS)
        assert await sessions(server) == held


async def test_a_session_that_ended_between_two_runs(server: ServerProcess, file: Path) -> None:
    """The player is logged in anew, without a word."""
    async with playing(server.url, file):
        pass
    async with backend_of(server) as backend:
        await backend.revoke_sessions(ADA)
    async with playing(server.url, file) as stage:
        await give(server, "rope")
        last = await stage.until(lambda now: now.bag == ("rope",))
        assert last.farewell is None


async def test_a_history_that_is_too_short(server: ServerProcess, file: Path) -> None:
    """A player who was given more than the server remembers is told that some is missing."""
    async with playing(server.url, file):
        pass
    await give(server, *GIFTS * 3)
    async with playing(server.url, file) as stage:
        await stage.until(lambda now: "may be missing" in now.notice)


async def test_a_reason_of_the_backend(server: ServerProcess, file: Path) -> None:
    """It is told, and ends the game."""
    async with playing(server.url, file) as stage, backend_of(server) as backend:
        await backend.revoke_sessions(ADA, reason="banned")
        over = await stage.until_status("logged out")
        assert over.farewell == "You were logged out: banned."
