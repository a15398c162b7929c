"""
Anonymous login, for development.
"""

from typing import Any

import pytest

from keystay_protocol.errors import InvalidParams
from keystay_server.gateway.login.anonymous import Anonymous
from keystay_server.gateway.login.authenticators import Identity


async def test_everybody_is_accepted() -> None:
    """Without credentials each login is a new actor; with `actorId`, that actor."""
    anonymous = Anonymous()
    one, other = await anonymous.authenticate(None), await anonymous.authenticate({})
    assert one.actor_id != other.actor_id
    assert await anonymous.authenticate({"actorId": "alice"}) == Identity("alice")


@pytest.mark.parametrize("credentials", ["alice", 7, [], {"actorId": 7}, {"actorId": None}])
async def test_credentials_have_a_form(credentials: Any) -> None:
    """Anything but nil, or a map with a string, is `invalidParams`."""
    with pytest.raises(InvalidParams):
        await Anonymous().authenticate(credentials)
