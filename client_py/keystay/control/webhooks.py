"""
Verification of webhooks (Standard Webhooks 1.0), for the endpoint that receives them.

Without I/O, and with the standard library alone.
"""

import hashlib
import hmac
import json
import time
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence

from keystay.control.events import FeedEvent, read_event
from keystay.errors import InvalidWebhook
from keystay_protocol.errors import MalformedFrame

TOLERANCE_S = 300.0
"""How far the time of a message may be from the clock."""

_SECRET_PREFIX = "whsec_"  # noqa: S105  # A prefix, not a secret.
_VERSION = "v1,"


def verify_webhook(
    headers: Mapping[str, str],
    body: bytes,
    secret: str | Sequence[str],
    *,
    tolerance_s: float = TOLERANCE_S,
) -> list[FeedEvent]:
    """
    Verify a webhook, and return its events.

    Events are delivered at least once, ordered per actor: an event whose `cursor` is not
    greater than the last one of its `actor_id` is a duplicate. `FeedLost` is in the place of
    missing events.

    Args:
        headers: The headers of the request, in any case.
        body: The body as received, not parsed.
        secret: The secret that the server signs with, `whsec_` and base64; or several, while
            it is replaced: each is accepted.

    Raises:
        InvalidWebhook: If it was not signed with such a secret, or too long ago.
        ValueError: If a secret has the wrong form, or there is none. The text omits it.
    """
    keys = _keys([secret] if isinstance(secret, str) else secret)
    lowered = {name.lower(): value for name, value in headers.items()}
    try:
        id_ = lowered["webhook-id"]
        sent_at = lowered["webhook-timestamp"]
        signatures = lowered["webhook-signature"]
    except KeyError as error:
        raise InvalidWebhook(f"the header {error.args[0]} is missing") from None
    content = b"%b.%b.%b" % (_bytes(id_), _bytes(sent_at), body)
    if not _is_signed(keys, content, signatures):
        raise InvalidWebhook("no signature matches a secret")
    if not (sent_at.isascii() and sent_at.isdigit() and _is_near(int(sent_at), tolerance_s)):
        raise InvalidWebhook("it was signed too long ago, or the clocks differ")
    return _read(body)


def _keys(secrets: Sequence[str]) -> list[bytes]:
    if not secrets:
        raise ValueError("there is no secret to verify a webhook with")
    return [_key(secret) for secret in secrets]


def _key(secret: str) -> bytes:
    try:
        key = b64decode(secret.removeprefix(_SECRET_PREFIX), validate=True)
    except ValueError:
        key = b""
    if not key:
        raise ValueError(f"the secret of a webhook is {_SECRET_PREFIX} and base64") from None
    return key


def _is_signed(keys: Sequence[bytes], content: bytes, signatures: str) -> bool:
    expected = [b64encode(hmac.digest(key, content, hashlib.sha256)) for key in keys]
    # There are several while a secret is replaced. Each comparison takes constant time.
    matching = [
        hmac.compare_digest(_bytes(signature.removeprefix(_VERSION)), each)
        for signature in signatures.split(" ")
        if signature.startswith(_VERSION)
        for each in expected
    ]
    return any(matching)


def _bytes(header: str) -> bytes:
    # Some frameworks decode invalid UTF-8 into lone surrogates.
    return header.encode(errors="replace")


def _is_near(sent_at: int, tolerance_s: float) -> bool:
    return abs(time.time() - sent_at) <= tolerance_s


def _read(body: bytes) -> list[FeedEvent]:
    try:
        events = json.loads(body)["events"]
        read = [read_event(event["type"], event) for event in events]
    except (ValueError, KeyError, TypeError, RecursionError, MalformedFrame):
        raise InvalidWebhook("it is signed, but its content is unknown") from None
    return [event for event in read if event is not None]
