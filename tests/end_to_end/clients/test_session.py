"""
The life of a session as a program sees it, told the same by every client.
"""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

import keystay
from tests.end_to_end.clients.conftest import Run
from tests.support.client_py.peer import WAIT_S
from tests.support.end_to_end.program import Program, code_of
from tests.support.server_process import ServerProcess

pytestmark = pytest.mark.asyncio(loop_scope="session")

UNKNOWN_KEY = "nobody:kst_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"


async def key_of(program: Program) -> str:
    """The key of the session that the program holds."""
    return str((await program.look())["key"])


async def ended(backend: keystay.Control, reason: str) -> str:
    """The key of a session that a backend ended for this reason."""
    session = await backend.create_session("ended")
    await backend.revoke_session(session.id, reason=reason)
    return str(session.key)


async def expired(server: ServerProcess, backend: keystay.Control) -> str:
    """The key of a session that nobody used in time."""
    key = str((await backend.create_session("late", ttl_s=0.01)).key)
    async with keystay.connect(server.url) as client, asyncio.timeout(WAIT_S):
        while True:
            try:
                await client.is_valid(key)
            except keystay.Expired:
                return key


async def test_a_program_that_is_started_again(
    run: Run, server: ServerProcess, backend: keystay.Control
) -> None:
    """It has its session again, with nothing done by the program, and hears what it missed."""
    program = await run(server.url, paths=["session", "n"])
    session = await program.call("login", "anonymous")
    await program.stop()
    for number in range(3):
        await backend.emit_to_session(session["id"], "n", number)
    await program.start_again()
    assert await program.until("session.recovered") == {"recovered": True}
    assert program.names == ["n", "n", "n", "session.set", "session.recovered"]
    assert program.told("n") == [0, 1, 2]
    seen = await program.look()
    assert (seen["session"]["id"], seen["recovered"]) == (session["id"], True)


async def test_a_program_that_is_started_again_after_a_logout(
    run: Run, server: ServerProcess
) -> None:
    """It has no session: nothing of it was kept."""
    program = await run(server.url)
    await program.call("login", "anonymous")
    await program.call("logout")
    await program.stop()
    await program.start_again()
    assert await code_of(program.call("list")) == "noSession"
    seen = await program.look()
    assert (seen["key"], seen["session"], seen["recovered"]) == (None, None, None)
    assert program.heard == []


async def test_a_session_that_ended_while_the_program_did_not_run(
    run: Run, server: ServerProcess, backend: keystay.Control
) -> None:
    """The program is told why when it is started again, and only once: nothing is kept."""
    program = await run(server.url)
    session = await program.call("login", "anonymous")
    await program.stop()
    await backend.revoke_session(session["id"], reason="banned")
    await program.start_again()
    assert await program.until("session.unset") == {"reason": "banned", "id": None}
    assert (await program.look())["key"] is None
    await program.stop()
    await program.start_again()
    await program.call("now")
    assert program.heard == []


async def test_a_logout_is_told_to_everyone_on_the_session(
    run: Run, server: ServerProcess
) -> None:
    """Of two programs on one session one logs out: both are told why, and hold nothing."""
    one = await run(server.url)
    session = await one.call("login", "anonymous")
    key = await key_of(one)
    other = await run(server.url, key=key)
    await other.until("session.set")
    await one.call("logout")
    for program in (one, other):
        unset = await program.until("session.unset")
        assert unset == {"reason": "loggedOut", "id": session["id"]}
        seen = await program.look()
        assert (seen["session"], seen["key"], seen["state"]) == (None, None, "open")
    assert await code_of(other.call("isValid", key)) == "loggedOut"


@pytest.mark.parametrize("scope", ["others", "all"])
async def test_a_logout_of_other_sessions(
    run: Run, server: ServerProcess, actor_id: str, scope: str
) -> None:
    """It ends those of the actor's other devices, and this one too if it is of all."""
    phone, laptop = await run(server.url), await run(server.url)
    mine, other = [
        (await program.call("login", "anonymous", {"actorId": actor_id}))["id"]
        for program in (phone, laptop)
    ]
    listed = {session["id"]: session["current"] for session in await phone.call("list")}
    assert listed == {mine: True, other: False}
    await phone.call("logout", scope)
    assert await laptop.until("session.unset") == {"reason": "loggedOut", "id": other}
    if scope == "others":
        assert [session["id"] for session in await phone.call("list")] == [mine]
        assert phone.told("session.unset") == []
    else:
        assert await phone.until("session.unset") == {"reason": "loggedOut", "id": mine}


async def test_a_login_elsewhere(run: Run, strict_server: ServerProcess, actor_id: str) -> None:
    """Where an actor may have one session, a program is told which one took its place."""
    credentials = {"actorId": actor_id}
    old, new = await run(strict_server.url), await run(strict_server.url)
    was = await old.call("login", "anonymous", credentials)
    session = await new.call("login", "anonymous", credentials)
    by = {"id": session["id"], "createdAt": session["createdAt"]}
    unset = await old.until("session.unset")
    assert unset == {"reason": "replaced", "id": was["id"], "by": by}
    assert await code_of(old.call("list")) == "noSession"


async def test_a_reason_of_the_backends_own(
    run: Run, server: ServerProcess, backend: keystay.Control
) -> None:
    """The word that a backend ends a session with is told, and is the code of its key."""
    program = await run(server.url)
    session = await program.call("login", "anonymous")
    key = await key_of(program)
    await backend.revoke_session(session["id"], reason="banned")
    assert await program.until("session.unset") == {"reason": "banned", "id": session["id"]}
    assert (await program.look())["session"] is None
    assert await code_of(program.call("restore", key)) == "banned"


async def test_a_backend_changes_a_session(
    run: Run, server: ServerProcess, backend: keystay.Control
) -> None:
    """The program hears the session as it is now, and holds that."""
    program = await run(server.url)
    session = await program.call("login", "anonymous")
    await backend.update_session(session["id"], meta={"plan": "gold"}, language="de-CH")
    changed = await program.until("session.set", 2)
    assert changed == session | {"meta": {"plan": "gold"}, "language": "de-CH"}
    assert (await program.look())["session"] == changed


async def test_what_a_backend_says(
    run: Run, server: ServerProcess, backend: keystay.Control, actor_id: str
) -> None:
    """
    To a session, its actor or everybody: a program hears it if it is subscribed to that
    path or one above it, where dots divide the levels.
    """
    session = await backend.create_session(actor_id)
    program = await run(server.url, key=session.key, paths=["shop", "end"])
    data = {"list": [1, 2.5, None, True], "name": "Zoë"}
    await backend.emit_to_session(session.id, "shop.sold.one", data)
    await backend.emit_to_session(session.id, "shops", "nobody hears this")
    await backend.emit_to_actor(actor_id, "shop", 2)
    await backend.emit_to_actor(actor_id, "shop.session-news", 3)
    await backend.emit_to_actor("somebody-else", "shop", 4)
    await backend.broadcast("shop.open", 5)
    await program.until("shop.open")
    await backend.emit_to_actor(actor_id, "end.of.all")
    await program.until("end.of.all")
    assert program.heard == [
        ("shop.sold.one", data),
        ("shop", 2),
        ("shop.session-news", 3),
        ("shop.open", 5),
        ("end.of.all", None),
    ]


async def test_subscriptions(run: Run, server: ServerProcess) -> None:
    """Both commands return everything that is subscribed to then."""
    program = await run(server.url)
    assert sorted(await program.call("subscribe", "a", "b.c")) == ["a", "b.c", "session"]
    assert await program.call("unsubscribe", "a", "session", "never") == ["b.c"]


async def test_keys_that_open_nothing(
    run: Run, server: ServerProcess, backend: keystay.Control
) -> None:
    """Both commands say why, and a program keeps the session that it has."""
    program = await run(server.url)
    session = await program.call("login", "anonymous")
    keys = {
        "invalidSessionKey": "no key at all",
        "noSession": UNKNOWN_KEY,
        "expired": await expired(server, backend),
        "loggedOut": await ended(backend, "loggedOut"),
    }
    for code, key in keys.items():
        assert await code_of(program.call("isValid", key)) == code
        assert await code_of(program.call("restore", key)) == code
    assert (await program.look())["session"] == session
    assert len(await program.call("list")) == 1


@pytest.mark.parametrize(
    ("key", "code"),
    [("no key at all", "invalidSessionKey"), (UNKNOWN_KEY, "noSession")],
    ids=["malformed", "unknown"],
)
async def test_a_key_that_is_refused_with_the_connection(
    run: Run, server: ServerProcess, key: str, code: str
) -> None:
    """The program is told as of the end of a session, and the client is open without one."""
    program = await run(server.url, key=key)
    assert await program.until("session.unset") == {"reason": code, "id": None}
    seen = await program.look()
    assert (seen["state"], seen["key"], seen["recovered"]) == ("open", None, None)


async def test_asking_whether_a_key_is_valid(
    run: Run, server: ServerProcess, backend: keystay.Control
) -> None:
    """It changes nothing: the session is not extended, nothing is bound, nobody is told."""
    session = await backend.create_session("asked-about")
    program = await run(server.url)
    assert await program.call("isValid", session.key) is None
    assert await code_of(program.call("list")) == "noSession"
    assert program.heard == []
    assert await backend.get_session(session.id) == replace(session, key=None)


async def test_callbacks(run: Run, server: ServerProcess, backend: keystay.Control) -> None:
    """Each is called with null, or with the code of the error."""
    program = await run(server.url)
    key = str((await backend.create_session("called")).key)
    asked: list[tuple[Any, ...]] = [
        ("restore",),
        ("isValid", key),
        ("isValid", UNKNOWN_KEY),
        ("restore", UNKNOWN_KEY),
        ("restore", key),
        ("restore",),
        ("logout",),
        ("isValid", key),
    ]
    codes = [await program.call_back(*question) for question in asked]
    assert codes == ["noSession", None, *["noSession"] * 2, None, None, None, "loggedOut"]


async def test_commands_given_at_once(run: Run, server: ServerProcess) -> None:
    """They are carried out in the order in which they were given."""
    one, other = await run(server.url), await run(server.url)
    await one.call("login", "anonymous")
    key = await key_of(one)
    given = [
        other.give(*command)
        for command in [("restore", key), ("list",), ("logout",), ("list",), ("isValid", key)]
    ]
    codes = [await code_of(task) for task in given]
    assert codes == [None, None, None, "noSession", "loggedOut"]
