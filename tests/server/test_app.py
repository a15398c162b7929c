"""
A configured server: each setting takes effect.
"""

import asyncio
import time
from pathlib import Path
from urllib.parse import urlsplit

import jwt
import pytest

from keystay_server.app import App
from keystay_server.settings.errors import ConfigError
from keystay_server.settings.sources import load
from tests.support.asking import logged
from tests.support.raw_client import connected
from tests.support.server.flood import raw
from tests.support.server.raw_peer import BINARY, command, dialled, frame, request
from tests.support.server_process import serving

SECRET = "a shared secret of 32 bytes, and more"


@pytest.mark.parametrize("content", [None, "hunter2"])
def test_the_secret_of_webhooks_is_read_at_the_start(
    tmp_path: Path, content: str | None
) -> None:
    """A file that is not there, or is none, is named; what is in it is not."""
    file = tmp_path / "secret"
    if content is not None:
        file.write_text(content)
    flags = {"webhook_url": "http://localhost/hook", "webhook_secret_file": str(file)}
    with pytest.raises(ConfigError, match=r"^webhook_secret_file: ") as refused:
        App(load({**flags, "store": "memory://"}, None, {}))
    assert "hunter2" not in str(refused.value)


async def test_settings_reach_the_client_port(tmp_path: Path) -> None:
    """Origins, the limits of messages and connections, deadlines, and the ways to log in."""
    key_file = tmp_path / "jwt.key"
    key_file.write_text(SECRET)
    async with serving(
        *("--origins", "https://game.example"),
        *("--max-message-bytes", "2048"),
        *("--max-message-depth", "4"),
        *("--max-connections", "2"),
        *("--session-timeout-s", "0.2"),
        *("--jwt-key-file", str(key_file)),
        *("--jwt-audience", "game"),
        dev=False,
    ) as server:
        async with raw(server, with_handshake=False) as peer:
            answer = await peer.handshake(request(Origin="http://localhost:3000"))
            assert answer.status == 403
        async with raw(server, with_handshake=False) as peer:
            answer = await peer.handshake(request(Origin="https://game.example"))
            assert answer.status == 101
            assert (await peer.close_frame())[0] == 4000
        for message in (bytes(2049), command(1, "time.now", [[[]]])):
            async with raw(server) as peer:
                peer.send(frame(BINARY, message))
                assert (await peer.close_frame())[0] in {1009, 4500}
        async with raw(server), raw(server), raw(server, with_handshake=False) as third:
            assert (await third.handshake()).status == 503
        async with connected(server.url) as client:
            claims = {"sub": "alice", "aud": "game", "exp": time.time() + 60}
            token = jwt.encode(claims, SECRET)
            assert (await client.call("session.login", "anonymous"))[0] == "loginDisabled"
            assert (await client.call("session.login", "jwt", token + "x"))[0] == "loginFailed"
            error, result = await client.call("session.login", "jwt", token)
            assert (error, result["session"]["actorId"]) == (None, "alice")


async def test_dev_accepts_no_page_of_another_name_for_this_machine(tmp_path: Path) -> None:
    """DNS rebinding: its Origin is the Host that it connects to, and nothing but a name."""
    log = tmp_path / "log"
    async with serving(dev=True, log=log) as server:
        host = f"evil.example:{urlsplit(server.url).port}"
        async with raw(server, with_handshake=False) as peer:
            answer = await peer.handshake(request(Host=host, Origin=f"http://{host}"))
            assert answer.status == 403
        async with raw(server, with_handshake=False) as peer:
            assert (await peer.handshake(request(Host=host))).status == 101
        lines = await logged(log, "Host evil.example is not loopback")
    assert "can log in as any actor" not in lines


async def test_any_address_of_ipv6_serves_both_families_on_both_ports(tmp_path: Path) -> None:
    """Dual stack; IPv4 clients are logged by their own address. `dev` warns of it."""
    log = tmp_path / "log"
    flags = ("--listen", "[::]:0", "--control", "[::]:0", "--control-insecure")
    async with serving(*flags, dev=True, log=log) as server:
        client_port, control_port = (urlsplit(url).port for url in (server.url, server.control))
        assert client_port
        for host in ("127.0.0.1", "::1"):
            async with dialled(host, client_port) as peer:
                assert (await peer.handshake()).status == 101
            reader, writer = await asyncio.open_connection(host, control_port)
            writer.write(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
            writer.close()
        lines = await logged(log, "connection opened address=127.0.0.1")
    assert "dev: whoever reaches [::]:0 can log in as any actor" in lines


async def test_dev_accepts_pages_of_this_machine() -> None:
    """With `--dev` a page from any port of loopback may connect, and no other."""
    async with serving(dev=True) as server:
        for origin, status in (("http://localhost:3000", 101), ("https://evil.example", 403)):
            async with raw(server, with_handshake=False) as peer:
                assert (await peer.handshake(request(Origin=origin))).status == status


def test_an_unusable_file_stops_the_start(tmp_path: Path) -> None:
    """Keys and certificates are read before listening; the error names the setting."""
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("too short")
    missing, path = str(tmp_path / "missing"), str(nonsense)
    for settings, named in (
        ({"jwt_key_file": missing}, f"jwt_key_file: {missing}: No such file"),
        ({"jwt_key_file": path}, f"jwt_key_file: {path}: a shared secret"),
        ({"tls_cert": path, "tls_key": path}, "tls_cert: "),
        ({"tls_cert": missing, "tls_key": missing}, "tls_cert: "),
        ({"control_tls_cert": path, "control_tls_key": path}, "control_tls_cert: "),
        ({"store": "mysql://localhost"}, "store: "),
    ):
        with pytest.raises(ConfigError, match=named) as error:
            App(load({"store": "memory://", **settings}, None, {}))
        assert "\n" not in str(error.value)
