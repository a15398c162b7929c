"""
The shapes of request and response bodies, and the query parameters.
"""

from keystay_protocol.errors import BY_CODE, REASON, SessionEnded
from keystay_protocol.session import MAX_ACTOR_ID_BYTES, MAX_META_DEPTH
from keystay_server.control.schema.json_schema import (
    ANY,
    NUMBER,
    OBJECT,
    SWITCH,
    TEXT,
    WHOLE,
    Field,
    Kind,
    Shape,
    list_of,
)
from keystay_server.sessions.fields import (
    EVENT_NAME,
    LANGUAGE,
    MAX_DATA_BYTES,
    MAX_EVENT_NAME_LENGTH,
    MAX_LANGUAGE_LENGTH,
    MAX_META_BYTES,
    MAX_SECONDS,
    MAX_VERSION_LENGTH,
    RESERVED_WORDS,
)

PAGE = 100
MAX_PAGE = 200

_ACTOR_ID = TEXT.narrowed(
    minLength=1, maxLength=MAX_ACTOR_ID_BYTES, **{"not": {"enum": [".", ".."]}}
)
_ACTOR = Kind(
    "a string or a whole number",
    (str, int),
    {
        "anyOf": [
            _ACTOR_ID.schema,
            {"type": "integer"},
        ]
    },
)
_SECONDS = NUMBER.narrowed(exclusiveMinimum=0, maximum=MAX_SECONDS)
_LANGUAGE = TEXT.narrowed(maxLength=MAX_LANGUAGE_LENGTH, pattern=f"^{LANGUAGE.pattern}$")
_VERSION = TEXT.narrowed(
    minLength=1, maxLength=MAX_VERSION_LENGTH, pattern="^[^\\u0000-\\u001f\\u007f-\\u00a0]+$"
)
_MILLISECONDS = WHOLE.narrowed(minimum=0)
_EVENT_NAME = TEXT.narrowed(
    maxLength=MAX_EVENT_NAME_LENGTH,
    pattern=f"^{EVENT_NAME.pattern}$",
    **{"not": {"pattern": f"^({'|'.join(RESERVED_WORDS)})(\\.|$)"}},
)
_OTHER_CODES = sorted(
    code for code, cls in BY_CODE.items() if not issubclass(cls, SessionEnded)
)

_META = Field(
    "meta",
    OBJECT,
    f"public variables: {MAX_META_BYTES} bytes as MessagePack, {MAX_META_DEPTH} levels deep, "
    "whole numbers of 64 bits",
)

SESSION_REQUEST = Shape(
    "SessionRequest",
    (
        Field(
            "actorId",
            _ACTOR,
            f"the actor: at most {MAX_ACTOR_ID_BYTES} bytes of UTF-8; a number stands for "
            "its decimal string",
            required=True,
        ),
        _META,
        Field("language", _LANGUAGE, "a BCP 47 tag; default en"),
        Field("version", _VERSION, "the version of the application"),
        Field("ttl", _SECONDS, "lifetime without activity, in seconds"),
        Field("maxAge", _SECONDS, "maximum lifetime, in seconds"),
    ),
)

SESSION_UPDATE = Shape(
    "SessionUpdate",
    (
        _META,
        Field("language", _LANGUAGE, "a BCP 47 tag"),
        Field("revision", WHOLE, "the expected revision; any if left out"),
    ),
    # At least one of the two.
    {
        "anyOf": [
            {"required": ["meta"], "properties": {"meta": {"type": "object"}}},
            {"required": ["language"], "properties": {"language": {"type": "string"}}},
        ]
    },
)

REASSIGNMENT = Shape(
    "Reassignment", (Field("actorId", _ACTOR, "the new actor", required=True),)
)

_EVENT_FIELDS = (
    Field("name", _EVENT_NAME, "words joined by dots", required=True),
    Field(
        "data",
        ANY,
        f"{MAX_DATA_BYTES} bytes as MessagePack, {MAX_META_DEPTH} levels deep, "
        "whole numbers of 64 bits",
    ),
)

EVENT = Shape("Event", _EVENT_FIELDS)
ACTOR_EVENT = Shape(
    "ActorEvent", (Field("actorId", _ACTOR, "the actor", required=True), *_EVENT_FIELDS)
)

ACTOR = Field("actorId", _ACTOR_ID, "the actor", required=True)

REASON_PARAMETER = Field(
    "reason",
    TEXT.narrowed(pattern=f"^{REASON.pattern}$", **{"not": {"enum": _OTHER_CODES}}),
    "the reason sent to its connections; default revoked",
)
LIMIT = Field(
    "limit", WHOLE.narrowed(minimum=1, maximum=MAX_PAGE, default=PAGE), "sessions on a page"
)
AFTER = Field("after", TEXT, "`next` of the page before; the first page if left out")

_SESSION_FIELDS = (
    Field("id", TEXT, "the public id of the session", required=True),
    Field("actorId", TEXT, "the actor", required=True),
    Field("meta", OBJECT, "public variables", required=True),
    Field("language", TEXT, "a BCP 47 tag", required=True),
    Field("version", TEXT.or_null(), "the version of the application", required=True),
    Field("createdAt", _MILLISECONDS, "Unix milliseconds", required=True),
    Field("expiresAt", _MILLISECONDS, "Unix milliseconds; moves with activity", required=True),
    Field("endsAt", _MILLISECONDS.or_null(), "Unix milliseconds; fixed", required=True),
    Field("revision", WHOLE, "incremented by each change", required=True),
)

SESSION = Shape("Session", _SESSION_FIELDS)
SESSION_WITH_KEY = Shape(
    "SessionWithKey",
    (
        Field("key", TEXT, "the secret key; only in this response", required=True),
        *_SESSION_FIELDS,
    ),
)
SESSIONS = Shape(
    "Sessions",
    (
        Field("sessions", list_of(SESSION.reference), "the oldest first", required=True),
        Field(
            "next",
            TEXT.or_null(),
            "`after` of the next page; null: this is the last",
            required=True,
        ),
    ),
)
REVOKED = Shape("Revoked", (Field("ended", WHOLE, "number of sessions", required=True),))
EMITTED = Shape(
    "Emitted", (Field("cursor", WHOLE, "the position of the event", required=True),)
)
STATUS = Shape("Status", (Field("status", TEXT, "alive or ready", required=True),))
NODE = Shape(
    "Node",
    (
        Field("id", TEXT, "id of the node, until it restarts", required=True),
        Field("version", TEXT, "version of Keystay", required=True),
        Field("listen", TEXT, "URL for clients", required=True),
        Field("startedAt", _MILLISECONDS, "Unix milliseconds", required=True),
        Field("seenAt", _MILLISECONDS, "Unix milliseconds", required=True),
        Field("draining", SWITCH, "whether it shuts down", required=True),
        Field("connections", WHOLE, "open now", required=True),
        Field("bound", WHOLE, "open now, with a session", required=True),
        Field("commands", WHOLE, "since its start", required=True),
        Field("commandsFailed", WHOLE, "since its start", required=True),
        Field("events", WHOLE, "sent to clients since its start", required=True),
        Field("recovered", WHOLE, "complete restores since its start", required=True),
        Field("slowClients", WHOLE, "disconnected since its start", required=True),
        Field("p50Ms", NUMBER.or_null(), "command latency in the last 10 s", required=True),
        Field("p99Ms", NUMBER.or_null(), "command latency in the last 10 s", required=True),
    ),
)
STATS = Shape(
    "Stats",
    (
        Field("node", TEXT, "id of the node that responds", required=True),
        Field("nodes", list_of(NODE.response_schema()), "all nodes", required=True),
    ),
)
MAX_EVENTS = 100
PAST_EVENT = Shape(
    "PastEvent",
    (
        Field("cursor", WHOLE, "the position of the event", required=True),
        Field("at", _MILLISECONDS, "Unix milliseconds", required=True),
        Field("name", TEXT, "words joined by dots", required=True),
        Field("sessionId", TEXT.or_null(), "of one session; null: of all", required=True),
        Field("data", ANY, "as clients get it, without a key", required=True),
    ),
)
PAST_EVENTS = Shape(
    "PastEvents",
    (
        Field(
            "events",
            list_of(PAST_EVENT.response_schema()),
            f"the newest {MAX_EVENTS} that are kept, oldest first",
            required=True,
        ),
    ),
)
MAX_ACTORS = 50
PREFIX = Field("prefix", TEXT, "how the ids begin", required=True)
ACTORS = Shape(
    "Actors",
    (
        Field(
            "actors",
            list_of(TEXT.schema),
            f"ids, in order, at most {MAX_ACTORS}",
            required=True,
        ),
    ),
)
CONNECTION = Shape(
    "Connection",
    (
        Field("node", TEXT, "id of its node", required=True),
        Field("sessionId", TEXT, "id of its session", required=True),
        Field("address", TEXT, "remote address", required=True),
        Field("since", _MILLISECONDS, "Unix milliseconds", required=True),
    ),
)
CONNECTIONS = Shape(
    "Connections",
    (
        Field(
            "connections", list_of(CONNECTION.response_schema()), "at most 200", required=True
        ),
    ),
)
