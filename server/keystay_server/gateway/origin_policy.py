"""
Which pages may connect: the settings `origins` and `dev`, applied to `Origin` and `Host`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus

from keystay_protocol.session import SECRET_PREFIX
from keystay_server.gateway.refusals import Reason, Refusal
from keystay_server.settings.addresses import is_loopback
from keystay_server.settings.origins import (
    ANY,
    Origin,
    parse_header,
    parse_host,
    parse_setting,
)

MAX_SHOWN = 200


@dataclass(frozen=True, slots=True)
class OriginPolicy:
    """
    The pages that may connect.

    A request without Origin does not come from a browser and is accepted. `allowed` lists
    origins; if it is empty, the page must come from the host that it connects to. With `is_dev`
    any page of loopback may connect, and one of another host only if it is listed: a name that
    is made to point to this machine (DNS rebinding) would be the same host too.
    """

    allowed: tuple[Origin, ...] = ()
    is_any: bool = False
    is_dev: bool = False

    @classmethod
    def of(cls, origins: Iterable[str], *, dev: bool = False) -> "OriginPolicy":
        """Create it from the settings."""
        texts = tuple(origins)
        allowed = tuple(parse_setting(text) for text in texts if text != ANY)
        return cls(allowed, ANY in texts, dev)

    def refusal(self, origin: str | None, host: str | None) -> Refusal | None:
        """Return why a page of this origin may not connect to this host; None if it may."""
        if origin is None or self.is_any:
            return None
        parsed = parse_header(origin)
        if parsed is not None:
            if any(each.matches(parsed) for each in self.allowed):
                return None
            if self.is_dev and is_loopback(parsed.host):
                return None
            if not self.allowed and host and parse_host(host, parsed.scheme) == parsed:
                return self._same_host(parsed)
        return _not_allowed(origin, host, is_listed=bool(self.allowed))

    def _same_host(self, origin: Origin) -> Refusal | None:
        if not self.is_dev:
            return None
        return Refusal(
            Reason.HOST,
            HTTPStatus.FORBIDDEN,
            f"Host {origin.host} is not loopback: with dev, pages of other hosts must be in "
            "origins",
        )


def _not_allowed(origin: str, host: str | None, *, is_listed: bool) -> Refusal:
    text = f"Origin {shown(origin)} is not in origins"
    if not is_listed:
        text += (
            f", which is not set: only pages of {shown(host or 'the same host')} may connect"
        )
    return Refusal(Reason.ORIGIN, HTTPStatus.FORBIDDEN, text)


def shown(value: str) -> str:
    """The value of a header as a log line and an answer may contain it."""
    if SECRET_PREFIX in value:
        return "(with a session key)"
    value = value.encode("ascii", "backslashreplace").decode()
    return value if len(value) <= MAX_SHOWN else f"{value[:MAX_SHOWN]}..."
