"""
What schemathesis cannot know from the description of the API; loaded by its own process.
"""

from typing import Any

import schemathesis

from keystay_protocol.errors import InvalidParams
from keystay_server.sessions.fields import packed_data, packed_meta
from keystay_server.sessions.keys import actor_of


@schemathesis.hook
def filter_case(context: schemathesis.HookContext, case: schemathesis.Case[Any]) -> bool:
    """Pass over what is refused for a reason that no JSON Schema can state."""
    body: Any = case.body
    if not isinstance(body, dict):
        return True
    if case.path.endswith("/reassign") and isinstance(case.path_parameters, dict):
        return actor_of(str(case.path_parameters["id"])) != str(body.get("actorId"))
    try:
        # Their size as MessagePack, their depth, and whole numbers of more than 64 bits.
        if isinstance(body.get("meta"), dict):
            packed_meta(body["meta"])
        packed_data(body.get("data"))
    except InvalidParams:
        return False
    return True
