"""
What goes to and fro: the bodies of requests and of answers.
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

_ACTOR = Kind(
    "a string or a whole number",
    (str, int),
    {
        "anyOf": [
            {"type": "string", "minLength": 1, "maxLength": MAX_ACTOR_ID_BYTES},
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

OPENING = Shape(
    "SessionRequest",
    (
        Field(
            "actorId",
            _ACTOR,
            f"whose session it is: {MAX_ACTOR_ID_BYTES} bytes of UTF-8; a number stands for "
            "its decimal string",
            required=True,
        ),
        _META,
        Field("language", _LANGUAGE, "a BCP 47 tag; en if left out"),
        Field("version", _VERSION, "the version of the application"),
        Field("ttl", _SECONDS, "how long it lives without activity, in seconds"),
        Field("maxAge", _SECONDS, "how long it lives at most, in seconds"),
    ),
)

CHANGE = Shape(
    "Change",
    (
        _META,
        Field("language", _LANGUAGE, "a BCP 47 tag"),
        Field("revision", WHOLE, "the revision that the change is meant for; any if left out"),
    ),
    # Each field may be left out, but then there has to be the other.
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

EVENT = Shape(
    "Event",
    (
        Field("name", _EVENT_NAME, "words joined by dots", required=True),
        Field(
            "data",
            ANY,
            f"{MAX_DATA_BYTES} bytes as MessagePack, {MAX_META_DEPTH} levels deep, "
            "whole numbers of 64 bits",
        ),
    ),
)

REASON_PARAMETER = Field(
    "reason",
    TEXT.narrowed(pattern=f"^{REASON.pattern}$", **{"not": {"enum": _OTHER_CODES}}),
    "the word that its holders are told; revoked if left out",
)
LIMIT = Field(
    "limit", WHOLE.narrowed(minimum=1, maximum=MAX_PAGE, default=PAGE), "sessions on a page"
)
AFTER = Field("after", TEXT, "next of the page before; the first page if left out")

_SESSION_FIELDS = (
    Field("id", TEXT, "names the session, and is no secret", required=True),
    Field("actorId", TEXT, "whose it is", required=True),
    Field("meta", OBJECT, "public variables", required=True),
    Field("language", TEXT, "a BCP 47 tag", required=True),
    Field("version", TEXT.or_null(), "the version of the application", required=True),
    Field("createdAt", _MILLISECONDS, "Unix milliseconds", required=True),
    Field("expiresAt", _MILLISECONDS, "Unix milliseconds; slides", required=True),
    Field("endsAt", _MILLISECONDS.or_null(), "Unix milliseconds; does not", required=True),
    Field("revision", WHOLE, "one more with each change", required=True),
)

SESSION = Shape("Session", _SESSION_FIELDS)
SESSION_WITH_KEY = Shape(
    "SessionWithKey",
    (
        Field("key", TEXT, "the secret that opens it; told this once", required=True),
        *_SESSION_FIELDS,
    ),
)
SESSIONS = Shape(
    "Sessions",
    (
        Field("sessions", list_of(SESSION.reference), "the oldest first", required=True),
        Field("next", TEXT.or_null(), "where the next page goes on", required=True),
    ),
)
ENDED = Shape("Ended", (Field("ended", WHOLE, "how many there were", required=True),))
SAID = Shape("Said", (Field("cursor", WHOLE, "its place among events", required=True),))
STATUS = Shape("Status", (Field("status", TEXT, "alive, or ready", required=True),))
NODE = Shape(
    "Node",
    (
        Field("id", TEXT, "names the node until it restarts", required=True),
        Field("version", TEXT, "of Keystay", required=True),
        Field("listen", TEXT, "where clients connect", required=True),
        Field("startedAt", _MILLISECONDS, "Unix milliseconds", required=True),
        Field("seenAt", _MILLISECONDS, "Unix milliseconds", required=True),
        Field("draining", SWITCH, "whether it is going away", required=True),
        Field("connections", WHOLE, "open now", required=True),
        Field("bound", WHOLE, "of these, with a session", required=True),
        Field("commands", WHOLE, "since its start", required=True),
        Field("commandsFailed", WHOLE, "since its start", required=True),
        Field("events", WHOLE, "sent to clients since its start", required=True),
        Field("recovered", WHOLE, "restores that brought all, since its start", required=True),
        Field("slowClients", WHOLE, "cut off since its start", required=True),
        Field("p50Ms", NUMBER.or_null(), "of commands in the last 10 s", required=True),
        Field("p99Ms", NUMBER.or_null(), "of commands in the last 10 s", required=True),
    ),
)
STATS = Shape(
    "Stats",
    (
        Field("node", TEXT, "the id of the node that answers", required=True),
        Field("nodes", list_of(NODE.answer()), "all nodes", required=True),
    ),
)
CONNECTION = Shape(
    "Connection",
    (
        Field("node", TEXT, "which node it is on", required=True),
        Field("sessionId", TEXT, "which session it holds", required=True),
        Field("address", TEXT, "where it comes from", required=True),
        Field("since", _MILLISECONDS, "Unix milliseconds", required=True),
    ),
)
CONNECTIONS = Shape(
    "Connections",
    (Field("connections", list_of(CONNECTION.answer()), "200 at most", required=True),),
)
