"""
Which proxy a connection uses, by the environment (or the settings of the system).
"""

import ipaddress
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass


def proxy_for(host: str, port: int, *, is_secure: bool) -> str | None:
    """
    Return the URL of the proxy for this server; None for a direct connection.

    `no_proxy` may contain names, suffixes, addresses and networks. Loopback is always direct.
    """
    if _is_loopback(host) or proxy_bypass(f"{host}:{port}"):
        return None
    proxies = getproxies()
    if _is_in_networks(host, proxies.get("no", "")):
        return None
    schemes = ("wss", "https") if is_secure else ("ws", "https", "http")
    for scheme in (schemes[0], "socks", *schemes[1:]):
        proxy = proxies.get(scheme)
        if proxy:
            # Some systems have the address of a SOCKS proxy with the scheme http.
            is_socks = scheme == "socks" and proxy.startswith("http://")
            return f"socks5h://{proxy[7:]}" if is_socks else proxy
    return None


def displayed(proxy: str) -> str:
    """Return the URL of a proxy without user, password and path."""
    try:
        parts = urlsplit(proxy)
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError:
        return "(not a URL)"
    if not parts.hostname:
        return "(not a URL)"
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{port}"


def _is_loopback(host: str) -> bool:
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_in_networks(host: str, no_proxy: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    for entry in no_proxy.split(","):
        try:
            network = ipaddress.ip_network(entry.strip().strip("[]"), strict=False)
        except ValueError:
            continue
        if address in network:
            return True
    return False
