"""
How many sessions an actor may have, on nodes that share a store.
"""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

from tests.support.raw_client import RawClient, connected
from tests.support.server_process import serving
from tests.support.valkey import Valkey


async def test_a_limit_is_exact_across_nodes(valkey: Valkey) -> None:
    """
    Of 100 logins at once on two nodes with `limit:3`, three live.

    The other 97 are told who took their place, each once, wherever they are.
    """
    flags, env = ("--store", valkey.url()), {"KEYSTAY_POLICY": "limit:3"}
    async with (
        serving(*flags, env=env) as first,
        serving(*flags, env=env) as second,
        AsyncExitStack() as stack,
    ):
        urls = [first.url, second.url] * 50
        clients = await asyncio.gather(
            *(stack.enter_async_context(connected(url)) for url in urls)
        )
        keys = await asyncio.gather(*(client.login("alice") for client in clients))
        listed = await _listed(clients)
        live = {session["id"] for session in listed}
        assert len(live) == 3
        told = await asyncio.gather(*(_story(client) for client in clients))
        opened = {story[0]["id"]: story[0]["createdAt"] for story in told}
        assert {story[0]["id"] for story in told if len(story) == 1} == live
        for story in told:
            if len(story) == 1:
                continue
            opening, (reason, id_, by) = story
            assert (reason, id_) == ("replaced", opening["id"])
            assert opened[by["id"]] == by["createdAt"] >= opening["createdAt"]
        answers = [(await clients[0].call("session.isValid", key))[0] for key in keys]
        assert sorted(map(str, answers)) == ["None"] * 3 + ["replaced"] * 97


async def test_a_strict_limit_is_exact_across_nodes(valkey: Valkey) -> None:
    """Of 40 logins at once on two nodes with `deny:3`, three succeed; none is disturbed."""
    flags, env = ("--store", valkey.url()), {"KEYSTAY_POLICY": "deny:3"}
    async with (
        serving(*flags, env=env) as first,
        serving(*flags, env=env) as second,
        AsyncExitStack() as stack,
    ):
        clients = await asyncio.gather(
            *(stack.enter_async_context(connected(url)) for url in [first.url, second.url] * 20)
        )
        login = ("session.login", "anonymous", {"actorId": "alice"})
        answers = await asyncio.gather(*(client.call(*login) for client in clients))
        errors = [error for error, _ in answers]
        assert (errors.count(None), errors.count("sessionLimit")) == (3, 37)
        winners = [client for client, error in zip(clients, errors, strict=True) if not error]
        await winners[0].call("session.logout")
        assert (await winners[0].call(*login))[0] is None


async def _listed(clients: list[RawClient]) -> list[Any]:
    """What those who are bound see of the actor's sessions."""
    for client in clients:
        error, listed = await client.call("session.list")
        if error is None:
            return list(listed)
    raise AssertionError("nobody is bound")


async def _story(client: RawClient) -> list[Any]:
    """The session that was opened here, and how it ended, if it did."""
    await client.call("session.isValid", "a:kst_" + "A" * 43)
    story: list[Any] = []
    for name, data, _ in client.events():
        if name == "session.set":
            story.append(data)
        else:
            story.append((data["reason"], data["id"], data.get("by")))
    return story
