"""
Addresses in settings and URLs: HOST:PORT, and which hosts are loopback.
"""

from ipaddress import ip_address

from keystay_server.settings.errors import ConfigError
from keystay_server.settings.masking import without_secrets


def parse_address(name: str, address: str) -> tuple[str, int]:
    """
    Split HOST:PORT; an IPv6 host is in brackets, a URL's scheme is ignored.

    Raises:
        ConfigError: If it is not of that form.
    """
    host, colon, port = address.rpartition("://")[2].rstrip("/").rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    is_port = port.isascii() and port.isdigit() and int(port) <= 65535
    if not colon or not host or "@" in host or not is_port:
        raise ConfigError(name, f"{without_secrets(address)!r} is not HOST:PORT")
    return host, int(port)


def is_loopback(host: str | None) -> bool:
    """Tell whether a host, as written in a URL or a setting, is this machine itself."""
    if not host:
        return False
    name = host.lower()
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761, 6.3
        return True
    try:
        address = ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)  # Python 3.11 and 3.12 do not look at it.
    return (mapped or address).is_loopback
