"""
Becomes a Centrifugo on one core that lets everybody in, once it has printed where it listens.
"""

import json
import os
import shutil
import socket

from benchmarks.servers import API_KEY

SETTINGS = {
    "CLIENT_ALLOW_ANONYMOUS_CONNECT_WITHOUT_TOKEN": "true",
    "CHANNEL_WITHOUT_NAMESPACE_ALLOW_SUBSCRIBE_FOR_CLIENT": "true",
    "CHANNEL_WITHOUT_NAMESPACE_ALLOW_SUBSCRIBE_FOR_ANONYMOUS": "true",
    "CLIENT_PING_INTERVAL": "1h",
    "CLIENT_PONG_TIMEOUT": "10s",
    "HTTP_API_KEY": API_KEY,
    "HTTP_SERVER_ADDRESS": "127.0.0.1",
    "LOG_LEVEL": "error",
}


def main() -> None:
    """Become it."""
    program = shutil.which("centrifugo")
    assert program is not None
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"127.0.0.1:{port}"
    ready = {"listen": f"ws://{address}", "control": f"http://{address}", "pid": os.getpid()}
    print(json.dumps({"event": "ready", **ready}), flush=True)
    settings = {f"CENTRIFUGO_{name}": value for name, value in SETTINGS.items()}
    settings |= {"CENTRIFUGO_HTTP_SERVER_PORT": str(port), "GOMAXPROCS": "1"}
    os.execve(program, ["centrifugo"], {**os.environ, **settings})


if __name__ == "__main__":
    main()
