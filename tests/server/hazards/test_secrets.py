"""
What nobody may read anywhere: the keys.
"""

import secrets
from pathlib import Path

import pytest

from keystay_protocol.session import SECRET_PREFIX
from tests.support.raw_client import connected
from tests.support.server.flood import raw
from tests.support.server.raw_peer import BINARY, TEXT, command, frame, request
from tests.support.server_process import serving


@pytest.mark.parametrize("log_format", ["console", "json"])
async def test_no_key_and_no_token_is_ever_logged(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, log_format: str
) -> None:
    """At any level, wherever a client puts them: in a URL, a method, a broken frame."""
    secret = secrets.token_hex(32)
    (tmp_path / "jwt.key").write_text(secret)
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2VjcmV0"
    async with serving(
        *("--log-level", "debug", "--log-format", log_format),
        *("--store", f"sqlite:///{tmp_path}/keystay.db"),
        *("--jwt-key-file", str(tmp_path / "jwt.key")),
    ) as server:
        async with connected(server.url) as client:
            key = await client.login("alice")
            for method in ("session.isValid", "session.restore", "session.logout", key):
                await client.call(method, key)
                await client.call(method, {"key": key})
            for credentials in (token, {"token": token}, {"token": [token]}):
                assert (await client.call("session.login", "jwt", credentials))[0] is not None
        async with raw(server, with_handshake=False) as peer:
            await peer.handshake(request(f"/?key={key}", Cookie=key, Authorization=key))
        for message in (frame(TEXT, key.encode()), frame(BINARY, key.encode())):
            async with raw(server) as peer:
                peer.send(message)
                await peer.close_frame()
        async with raw(server) as peer:
            peer.send(frame(BINARY, command(1, "session.restore", key) + key.encode()))
            await peer.close_frame()
        assert await server.terminate() == 0
    log = capfd.readouterr().err
    assert "connection opened" in log
    for text in (key, SECRET_PREFIX, token, secret, "test-api-key"):
        assert text not in log


async def test_no_key_is_in_the_database(tmp_path: Path) -> None:
    """A copy of the file opens no session: it holds digests."""
    async with serving("--store", f"sqlite:///{tmp_path}/keystay.db") as server:
        async with connected(server.url) as client:
            key = await client.login("alice")
            await client.call("session.restore", key)
        await server.kill()
    kept = everything_in(tmp_path)
    assert b"alice" in kept
    assert SECRET_PREFIX.encode() not in kept


def everything_in(directory: Path) -> bytes:
    """All that the files there hold."""
    return b"".join(path.read_bytes() for path in directory.iterdir())
