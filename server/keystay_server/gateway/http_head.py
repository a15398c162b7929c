"""
The head of an HTTP/1 request (RFC 9112): bytes in, a method, a target and fields out.

Invariant: a head takes at most 16 KiB of memory, and is either well-formed or refused. No I/O.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from keystay_server.gateway.refusals import Reason, Refusal, Refused

MAX_HEAD_BYTES = 16 * 1024
MAX_LINE_BYTES = 8192
MAX_FIELDS = 128

_TOKEN = rb"[-!#$%&'*+.^_`|~0-9A-Za-z]+"
_REQUEST_LINE = re.compile(rb"(" + _TOKEN + rb") ([\x21-\x7e]+) HTTP/([0-9]\.[0-9])")
_FIELD = re.compile(rb"(" + _TOKEN + rb"):([\t\x20-\x7e\x80-\xff]*)")
_TLS_RECORD = b"\x16\x03"  # A handshake record of TLS 1.0 to 1.3 (RFC 8446, 5.1).
_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class RequestHead:
    """A request without its body. The names of `fields` are in lower case."""

    method: str
    target: str
    version: str
    fields: Mapping[str, list[str]]

    def all(self, name: str) -> list[str]:
        """Every value of a field, as sent."""
        return self.fields.get(name, [])

    def elements(self, name: str) -> list[str]:
        """The elements of a field that is a list (RFC 9110, 5.6.1)."""
        parts = (part.strip() for value in self.all(name) for part in value.split(","))
        return [part for part in parts if part]


class HeadReader:
    """Collects the bytes of one head."""

    __slots__ = ("_data",)

    def __init__(self) -> None:
        self._data = b""

    @property
    def has_begun(self) -> bool:
        """Whether a part of a head has arrived."""
        return bool(self._data)

    def feed(self, data: bytes) -> tuple[RequestHead, bytes] | None:
        """
        Add data; return the head and the bytes behind it, or None until it is complete.

        Raises:
            Refused: If it is too large or malformed.
        """
        data = self._data + data
        end = data.find(_END, 0, MAX_HEAD_BYTES)
        if end < 0:
            self._data = b""
            _check_incomplete(data)
            self._data = data
            return None
        self._data = b""
        return _parsed(data[:end]), data[end + len(_END) :]


def _parsed(head: bytes) -> RequestHead:
    request_line, *lines = head.split(b"\r\n")
    _check_first_line(request_line)
    match = _REQUEST_LINE.fullmatch(request_line)
    if match is None:
        raise _malformed("the request line is malformed")
    if len(lines) > MAX_FIELDS:
        raise _too_large(f"more than {MAX_FIELDS} header fields")
    fields: dict[str, list[str]] = {}
    for line in lines:
        if len(line) > MAX_LINE_BYTES:
            raise _too_large(f"a header field of more than {MAX_LINE_BYTES} bytes")
        field = _FIELD.fullmatch(line)
        if field is None:
            raise _malformed(_what_is_wrong(line))
        name, value = field.groups()
        fields.setdefault(name.decode().lower(), []).append(
            value.strip(b" \t").decode("latin-1")
        )
    method, target, version = (group.decode() for group in match.groups())
    return RequestHead(method, target, version, fields)


def _check_incomplete(data: bytes) -> None:
    request_line, newline, _ = data.partition(b"\n")
    if newline or len(request_line) > MAX_LINE_BYTES or data.startswith(_TLS_RECORD):
        _check_first_line(request_line.removesuffix(b"\r"))
    if data.count(b"\n") != data.count(b"\r\n"):
        raise _malformed("a line ends with LF alone")
    if len(data) > MAX_HEAD_BYTES:
        raise _too_large(f"a head of more than {MAX_HEAD_BYTES} bytes")
    if len(data) - data.rfind(b"\n") > MAX_LINE_BYTES:
        raise _too_large(f"a header field of more than {MAX_LINE_BYTES} bytes")
    if data.count(b"\n") > MAX_FIELDS + 1:
        raise _too_large(f"more than {MAX_FIELDS} header fields")


def _check_first_line(line: bytes) -> None:
    if line.startswith(_TLS_RECORD):
        text = "the client speaks TLS to a port without TLS: use ws://, or set tls_cert"
        raise Refused(Refusal(Reason.TLS, None, text))
    if len(line) > MAX_LINE_BYTES:
        text = f"a request line of more than {MAX_LINE_BYTES} bytes"
        raise Refused(Refusal(Reason.TOO_LARGE, HTTPStatus.REQUEST_URI_TOO_LONG, text))
    if b" HTTP/" not in line:
        raise Refused(Refusal(Reason.NOT_HTTP, None, "the client does not speak HTTP"))


def _what_is_wrong(line: bytes) -> str:
    if line[:1] in (b" ", b"\t"):
        return "a header field is folded over several lines"
    if b"\n" in line or b"\r" in line:
        return "a line ends with LF or CR alone"
    if re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", line):
        return "a control character in a header field"
    return "a header field is malformed"


def _malformed(text: str) -> Refused:
    return Refused(Refusal(Reason.MALFORMED, HTTPStatus.BAD_REQUEST, text))


def _too_large(text: str) -> Refused:
    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    return Refused(Refusal(Reason.TOO_LARGE, status, text))
