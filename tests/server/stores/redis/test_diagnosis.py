"""
What `keystay doctor` sees of a Redis.
"""

from typing import Any

import pytest
from redis.asyncio import Redis

from keystay_server.stores.redis.diagnosis import diagnose_redis
from tests.support.valkey import Valkey


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("CONFIG SET maxmemory 1", "OOM"),
        ("CONFIG SET min-replicas-to-write 1", "NOREPLICAS"),
        ("REPLICAOF 127.0.0.1 1", "the server is a replica"),
        ("ACL SETUSER default -zadd -xtrim", r"lacks a permission (xtrim, zadd)"),
        ("ACL SETUSER default -evalsha", "lacks a permission"),
    ],
)
async def test_a_server_that_is_of_no_use(
    own_valkey: Valkey, command: str, problem: str
) -> None:
    """One that refuses logins has a problem, in one line; nothing is written to see that."""
    [before] = await diagnose_redis(own_valkey.url())
    assert before.problem is None
    async with Redis(port=own_valkey.port) as admin:
        execute: Any = admin.execute_command
        await execute(*command.split())
        assert await admin.dbsize() == 0
    [after] = await diagnose_redis(own_valkey.url())
    assert problem in (after.problem or "")
