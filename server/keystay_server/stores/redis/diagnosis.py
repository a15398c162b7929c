"""
What can be seen of a Redis from outside. Nothing is changed.
"""

import asyncio
import os
import time

from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from keystay_protocol.errors import Unavailable
from keystay_server.stores.diagnosis import Diagnosis
from keystay_server.stores.errors import StoreError
from keystay_server.stores.redis.address import Address, Location
from keystay_server.stores.redis.greeting import try_out
from keystay_server.stores.redis.link import Link
from keystay_server.stores.redis.partitions import Partitions
from keystay_server.stores.redis.scripts import READY
from keystay_server.stores.redis.sentinel import Sentinels
from keystay_server.stores.redis.trouble import advice, reason
from keystay_server.stores.redis.tuning import DEFAULT, LinkTuning

SETTINGS = ("appendonly", "appendfsync", "save", "maxmemory-policy")


async def diagnose_redis(url: str) -> list[Diagnosis]:
    """
    Look at the server, the sentinels' master, or the nodes of a cluster that the URL names.

    Raises:
        StoreError: If the URL is wrong.
    """
    location = Location.parse(url, DEFAULT.connect_s)
    if location.topology == "cluster":
        # Each partition is on one node only: what runs on the others is not asked.
        nodes = [_examine(location.server(*host), None) for host in location.hosts]
        return await asyncio.gather(*nodes)
    if location.topology == "sentinel":
        return [await _examine(Sentinels(location).address(), location.prefix)]
    [host] = location.hosts
    return [await _examine(location.server(*host), location.prefix)]


async def _examine(address: Address, prefix: str | None) -> Diagnosis:
    link = Link(address.wire, LinkTuning(lanes=1))
    link.start()
    try:
        if prefix is not None:
            await try_out(link, Partitions(prefix, 1).roots[0], READY)
        ahead_ms = await _ahead_ms(link)
        settings = await _settings(link)
    except Unavailable as error:
        return Diagnosis(address.where, _problem(error.__cause__ or error))
    except StoreError as error:
        return Diagnosis(address.where, str(error))
    finally:
        await link.stop()
    return Diagnosis(address.where, None, ahead_ms, settings)


def _problem(error: BaseException) -> str:
    if told := advice(error):
        return told
    if isinstance(error, RedisTimeoutError | TimeoutError):
        return "it does not answer"
    match error.__cause__ or error.__context__:
        case OSError(errno=int(number)) if number > 0:
            return f"it cannot be reached: {os.strerror(number)}"
        case OSError(strerror=str(words)):  # A name that is none has numbers of its own.
            return f"it cannot be reached: {words}"
    return f"no use: {reason(error)}"


async def _ahead_ms(link: Link) -> float:
    before = time.time()
    seconds, microseconds = await link.send("TIME")
    here = (before + time.time()) / 2
    return (here - int(seconds) - int(microseconds) / 1_000_000) * 1000


async def _settings(link: Link) -> dict[str, str] | None:
    found: dict[str, str] = {}
    for name in SETTINGS:
        try:
            answer = await link.send("CONFIG", "GET", name)
        except Unavailable as error:
            if isinstance(error.__cause__, ResponseError):
                return None
            raise
        if len(answer) > 1:
            found[name] = answer[1].decode()
    return found
