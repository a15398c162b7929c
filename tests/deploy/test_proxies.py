"""
`deploy/nginx.conf` and `deploy/haproxy.cfg`: what they have to agree about with the settings.

`test_proxies_running.py` runs them.
"""

import re

from keystay_server.control.endpoints.health import STORE_ANSWERS_WITHIN_S
from keystay_server.settings.config import Config
from tests.support.deploy.files import BACKENDS, CLIENTS, seconds, silence_s, text

NGINX = re.sub(r"#.*", "", text("nginx.conf"))
HAPROXY = re.sub(r"#.*", "", text("haproxy.cfg"))


def nginx(name: str) -> list[str]:
    """What a directive is given, each time."""
    return re.findall(rf"^\s*{name}\s+(.*?);", NGINX, re.MULTILINE)


def haproxy(section: str) -> list[str]:
    """The lines of a section."""
    parts = re.split(r"^(?=\w)", HAPROXY, flags=re.MULTILINE)
    [found] = [part for part in parts if part.startswith(section)]
    return [" ".join(line.split()) for line in found.splitlines()[1:] if line.strip()]


def timeouts() -> dict[str, float]:
    """HAProxy's, in seconds."""
    lines = [line.split() for line in haproxy("defaults") if line.startswith("timeout")]
    return {name: seconds(value) for _, name, value in lines}


def test_nginx_cuts_off_nobody_who_is_silent() -> None:
    """It waits longer than the server does."""
    for name in ("proxy_read_timeout", "proxy_send_timeout"):
        [timeout] = nginx(name)
        assert seconds(timeout) > silence_s(Config()), name


def test_haproxy_cuts_off_nobody_who_is_silent() -> None:
    """A tunnel may be silent for longer than the server lets it."""
    assert timeouts()["tunnel"] > silence_s(Config())
    assert timeouts()["client"] > Config().handshake_timeout_s
    assert timeouts()["client-fin"] > Config().close_timeout_s


def test_haproxy_asks_whether_a_node_is_ready() -> None:
    """At the control port, and waits for longer than a node needs to answer."""
    servers = [line for line in haproxy("backend keystay") if line.startswith("server ")]
    assert len(servers) == 2
    assert f":{CLIENTS} port {BACKENDS}" in servers[0]
    assert timeouts()["check"] > STORE_ANSWERS_WITHIN_S


def test_the_nodes_are_those_of_the_compose_file() -> None:
    """So that the three can be tried together."""
    published = re.findall(r'"(\d+):8330"', text("compose.yaml"))
    assert re.findall(r"server 127\.0\.0\.1:(\d+)", NGINX) == published
    assert re.findall(r"server \w+ 127\.0\.0\.1:(\d+)", HAPROXY) == published
