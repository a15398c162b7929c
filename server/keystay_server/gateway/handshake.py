"""
The opening handshake (RFC 6455, 4.2): from the head of a request to the HTTP answer.

No I/O. Whatever is refused gets an answer with the cause; only HEAD and `GET /healthz` are
answered without a WebSocket, for load balancers.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass
from email.utils import formatdate
from hashlib import sha1
from http import HTTPStatus
from urllib.parse import unquote

from keystay_protocol import SUBPROTOCOL
from keystay_protocol.session import SECRET_PREFIX
from keystay_server.gateway.http_head import RequestHead
from keystay_server.gateway.limits import Full
from keystay_server.gateway.origin_policy import OriginPolicy
from keystay_server.gateway.refusals import Reason, Refusal, Refused

HEALTH_PATH = "/healthz"
VERSION = "13"
RETRY_AFTER = (("Retry-After", "5"),)

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[-A-Za-z0-9._~!$&'()*+,;=%]+)(:[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class Upgrade:
    """An accepted handshake."""

    accept: str
    subprotocol: str | None

    def encode(self) -> bytes:
        """The answer with status 101."""
        headers = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Accept", self.accept),
        ]
        if self.subprotocol is not None:
            headers.append(("Sec-WebSocket-Protocol", self.subprotocol))
        return _encoded(HTTPStatus.SWITCHING_PROTOCOLS, headers)


@dataclass(frozen=True, slots=True)
class Health:
    """A health check of a load balancer."""

    has_body: bool

    def encode(self) -> bytes:
        """The answer with status 200."""
        return _closing(HTTPStatus.OK, "ok", has_body=self.has_body)


def respond(head: RequestHead, policy: OriginPolicy, limit: Refusal | None) -> Upgrade | Health:
    """
    Judge a request.

    Args:
        limit: Why there is no room for one more connection; None if there is.

    Raises:
        Refused: If it is neither accepted nor a health check.
    """
    if SECRET_PREFIX in unquote(head.target):
        text = "Never put a session key in a URL: URLs end up in logs. Send session.restore."
        raise _bad(text, Reason.KEY_IN_URL)
    is_upgrade = bool(head.all("upgrade"))
    if head.version in ("1.0", "1.1") and not is_upgrade and _is_health_check(head):
        if limit is not None and limit.reason is Reason.DRAINING:
            raise Refused(limit)
        return Health(has_body=head.method != "HEAD")
    _check_http(head)
    if limit is not None:
        raise Refused(limit)
    _check_origin(head, policy)
    _check_upgrade(head)
    return Upgrade(_accept(head), _subprotocol(head))


def encode_refusal(refusal: Refusal, status: HTTPStatus, *, has_body: bool = True) -> bytes:
    """The HTTP answer of a refusal, which ends the connection."""
    return _closing(status, refusal.text, refusal.headers, has_body=has_body)


def refusal_of_limit(full: Full) -> Refusal:
    """Return the refusal of a connection beyond a limit."""
    match full:
        case Full.ADDRESS:
            text = "too many connections from this address"
            return Refusal(Reason.ADDRESS_FULL, HTTPStatus.TOO_MANY_REQUESTS, text, RETRY_AFTER)
        case Full.NODE:
            text = "this node has as many connections as max_connections allows"
            reason = Reason.NODE_FULL
        case Full.DESCRIPTORS:
            text = "this process is short of file descriptors: raise its limit (ulimit -n)"
            reason = Reason.DESCRIPTORS
        case Full.DRAINING:
            text, reason = "this node is stopping", Reason.DRAINING
    return Refusal(reason, HTTPStatus.SERVICE_UNAVAILABLE, text, RETRY_AFTER)


def _is_health_check(head: RequestHead) -> bool:
    return head.method == "HEAD" or (
        head.method == "GET" and head.target.partition("?")[0] == HEALTH_PATH
    )


def _check_http(head: RequestHead) -> None:
    if head.version != "1.1":
        text = f"HTTP/{head.version} is not supported, use HTTP/1.1"
        raise Refused(Refusal(Reason.HTTP_VERSION, HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, text))
    if head.method != "GET":
        text = "a WebSocket handshake has the method GET"
        allow = (("Allow", "GET, HEAD"),)
        raise Refused(Refusal(Reason.METHOD, HTTPStatus.METHOD_NOT_ALLOWED, text, allow))
    if head.all("transfer-encoding") or not set(head.all("content-length")) <= {"0"}:
        raise _bad("a WebSocket handshake has no body")
    hosts = head.all("host")
    if len(hosts) != 1:  # RFC 9112, 3.2
        raise _bad("more than one Host header" if hosts else "the Host header is missing")
    if not _HOST.fullmatch(hosts[0]):
        raise _bad("the Host header is malformed")


def _check_origin(head: RequestHead, policy: OriginPolicy) -> None:
    origins = head.all("origin")
    if len(origins) > 1:  # RFC 6454, 7.3
        text = "more than one Origin header"
        raise Refused(Refusal(Reason.ORIGIN, HTTPStatus.FORBIDDEN, text))
    refusal = policy.refusal(origins[0] if origins else None, head.all("host")[0])
    if refusal is not None:
        raise Refused(refusal)


def _check_upgrade(head: RequestHead) -> None:
    connection = [token.lower() for token in head.elements("connection")]
    upgrade = [token.lower() for token in head.elements("upgrade")]
    if "upgrade" not in connection or upgrade != ["websocket"]:
        text = "this is a WebSocket server: the request has no `Upgrade: websocket` with "
        text += "`Connection: Upgrade`, or a proxy removed them"
        headers = (("Upgrade", "websocket"),)
        raise Refused(Refusal(Reason.NOT_WEBSOCKET, HTTPStatus.UPGRADE_REQUIRED, text, headers))
    if head.all("sec-websocket-version") != [VERSION]:
        text = f"Sec-WebSocket-Version must be {VERSION}"
        headers = (("Sec-WebSocket-Version", VERSION),)
        raise Refused(Refusal(Reason.MALFORMED, HTTPStatus.BAD_REQUEST, text, headers))


def _accept(head: RequestHead) -> str:
    keys = head.all("sec-websocket-key")
    try:
        (key,) = keys
        is_key = len(b64decode(key.encode(), validate=True)) == 16
    except (ValueError, Base64Error):
        is_key = False
    if not is_key:
        raise _bad("Sec-WebSocket-Key must be 16 bytes in base64, once")
    return b64encode(sha1(key.encode() + _GUID).digest()).decode()  # noqa: S324 - RFC 6455


def _subprotocol(head: RequestHead) -> str | None:
    """Version 1 if it is offered, or if nothing is (SPEC section 1.1)."""
    offered = head.elements("sec-websocket-protocol")
    if offered and SUBPROTOCOL not in offered:
        raise _bad(
            f"no offered subprotocol is supported, use {SUBPROTOCOL}", Reason.SUBPROTOCOL
        )
    return SUBPROTOCOL if offered else None


def _bad(text: str, reason: Reason = Reason.MALFORMED) -> Refused:
    return Refused(Refusal(reason, HTTPStatus.BAD_REQUEST, text))


def _closing(
    status: HTTPStatus,
    text: str,
    headers: tuple[tuple[str, str], ...] = (),
    *,
    has_body: bool,
) -> bytes:
    body = f"{text}\n".encode()
    head = _encoded(
        status,
        [
            ("Date", formatdate(usegmt=True)),
            ("Connection", "close"),
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("X-Content-Type-Options", "nosniff"),
            *headers,
        ],
    )
    return head + body if has_body else head


def _encoded(status: HTTPStatus, headers: list[tuple[str, str]]) -> bytes:
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", *(": ".join(each) for each in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
