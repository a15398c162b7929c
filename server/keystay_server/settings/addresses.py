"""
Which names and addresses mean this machine, for every door.
"""

from ipaddress import ip_address


def is_loopback(host: str | None) -> bool:
    """Tell whether a host, as it stands in a URL or a setting, is this machine itself."""
    if not host:
        return False
    name = host.lower()
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761, 6.3
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
