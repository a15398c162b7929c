"""
Checks the fields of sessions and events, for commands and requests alike.

`InvalidParams` names the field and states what it must be.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from keystay_protocol.codec import Limits, pack, unpack
from keystay_protocol.errors import InvalidParams, MalformedFrame, is_reason
from keystay_protocol.session import MAX_ACTOR_ID_BYTES, MAX_META_DEPTH, is_actor_id

MAX_META_BYTES = 4096
MAX_DATA_BYTES = 16 * 1024
# In a frame they are nested some levels deep, and clients have limits of their own.
_META_LIMITS = Limits(size=MAX_META_BYTES, depth=MAX_META_DEPTH)
_DATA_LIMITS = Limits(size=MAX_DATA_BYTES, depth=MAX_META_DEPTH)

MAX_SECONDS = 100 * 365 * 86_400
"""A hundred years: every deadline is an exact integer where numbers are doubles."""
MAX_LANGUAGE_LENGTH = 64
MAX_VERSION_LENGTH = 64
MAX_EVENT_NAME_LENGTH = 128
RESERVED_WORDS = ("session", "server", "events")
"""The names of the protocol's own events begin with one of these (SPEC section 5)."""

LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")  # BCP 47, by form
EVENT_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")


def checked_actor_id(actor_id: str) -> str:
    """An actor id."""
    if not is_actor_id(actor_id):
        raise InvalidParams(
            f"actorId must be 1 to {MAX_ACTOR_ID_BYTES} bytes of UTF-8, not . or .."
        )
    return actor_id


def checked_language(language: str) -> str:
    """A language tag."""
    if len(language) > MAX_LANGUAGE_LENGTH or not LANGUAGE.fullmatch(language):
        raise InvalidParams("language must be a BCP 47 tag")
    return language


def checked_version(version: str) -> str:
    """The version of an application."""
    if not (0 < len(version) <= MAX_VERSION_LENGTH and version.isprintable()):
        raise InvalidParams(f"version must be 1 to {MAX_VERSION_LENGTH} visible characters")
    return version


def checked_reason(reason: str) -> str:
    """A backend's reason for the end of a session."""
    if not is_reason(reason):
        raise InvalidParams("reason must be a word, and none of the other error codes")
    return reason


def checked_event_name(name: str) -> str:
    """The name of a backend's event."""
    if len(name) > MAX_EVENT_NAME_LENGTH or not EVENT_NAME.fullmatch(name):
        raise InvalidParams("name must be words of letters, digits, - and _, joined by dots")
    if name.partition(".")[0] in RESERVED_WORDS:
        raise InvalidParams(f"name must not begin with {', '.join(RESERVED_WORDS)}")
    return name


def packed_meta(meta: Mapping[str, Any]) -> bytes:
    """The variables of a session, packed."""
    return _packed("meta", dict(meta), _META_LIMITS)


def packed_data(data: object) -> bytes:
    """The data of a backend's event, packed."""
    return _packed("data", data, _DATA_LIMITS)


def milliseconds(name: str, seconds: float) -> int:
    """A length of time, given in seconds."""
    if not 0 < seconds <= MAX_SECONDS:
        raise InvalidParams(f"{name} must be more than 0 seconds and at most a hundred years")
    return max(1, round(seconds * 1000))


def _packed(name: str, value: object, limits: Limits) -> bytes:
    try:
        packed = pack(value)
        unpack(packed, limits)
        # Backends use JSON, which has neither bytes nor NaN.
        json.dumps(value, allow_nan=False)
    except MalformedFrame as error:
        raise InvalidParams(f"{name}: {error}") from None
    except (TypeError, ValueError, OverflowError):
        raise InvalidParams(f"{name} must be plain data, as JSON has it") from None
    return packed
