"""
`control/server.py`: the control plane as a part of the server's process.
"""

import re
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.backend import backend_of
from tests.support.certificate import make_certificate
from tests.support.server_process import serving


async def test_an_idle_connection_does_not_hold_the_server_up() -> None:
    """SIGTERM stops it in order, exit code 0, though a backend keeps its connection."""
    async with serving() as server, backend_of() as http:
        await http.get(f"{server.control}/livez")
        assert await server.terminate() == 0


@pytest.mark.parametrize("host", ["[::1]", "localhost"])
async def test_the_ready_line_tells_the_real_addresses(host: str) -> None:
    """With port 0 the ready line has the chosen port, and both ports are open."""
    async with (
        serving("--control", f"{host}:0") as server,
        backend_of() as http,
    ):
        assert server.ready.keys() == {"event", "listen", "control", "store", "pid"}
        assert server.ready["event"] == "ready"
        assert re.fullmatch(r"ws://127\.0\.0\.1:[1-9]\d*", server.url)
        assert re.fullmatch(rf"http://{re.escape(host)}:[1-9]\d*", server.control)
        assert (await http.get(f"{server.control}/readyz")).status_code == 200


async def test_other_machines_are_let_in_on_demand_only() -> None:
    """With `--control-insecure` the control plane listens on any address."""
    async with (
        serving("--control", "0.0.0.0:0", "--control-insecure") as server,
        backend_of() as http,
    ):
        port = urlsplit(server.control).port
        assert (await http.get(f"http://127.0.0.1:{port}/livez")).status_code == 200


async def test_with_a_certificate_it_speaks_tls(tmp_path: Path) -> None:
    """Then any address will do; clear text is not answered."""
    cert, key = make_certificate(tmp_path)
    context = ssl.create_default_context(cafile=str(cert))
    flags = ("--control-tls-cert", str(cert), "--control-tls-key", str(key))
    async with serving("--control", "0.0.0.0:0", *flags) as server:
        assert server.control.startswith("https://0.0.0.0:")
        port = urlsplit(server.control).port
        async with backend_of(verify=context) as http:
            answer = await http.get(
                f"https://localhost:{port}/v1/actors/a/sessions",
                headers={"Authorization": "Bearer test-api-key"},
            )
            assert answer.status_code == 200
            with pytest.raises(httpx.TransportError):
                await http.get(f"http://localhost:{port}/livez")
            home = f"https://localhost:{port}/"
            login = await http.post(
                f"{home}login", data={"key": "test-api-key"}, headers={"Origin": home[:-1]}
            )
            # The dashboard's cookie goes over TLS only.
            assert login.headers["Set-Cookie"].endswith("; Secure")
            assert "Log out" in (await http.get(home)).text
        assert await server.terminate() == 0
