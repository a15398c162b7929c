"""
Print the events of a session: `python -m keystay [--key KEY] [URL]`.

Without a key it logs in anonymously, which a server in development allows.
"""

import argparse
import asyncio
import contextlib
import json
import sys

import keystay
from keystay_protocol.events import SESSION_UNSET


def main() -> int:
    """Run until the session ends or Ctrl-C; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m keystay", description=__doc__)
    parser.add_argument("url", nargs="?", default="ws://127.0.0.1:8330", metavar="URL")
    parser.add_argument("--key", help="restore the session of this key")
    options = parser.parse_args()
    try:
        asyncio.run(_watch(options.url, options.key))
    except (keystay.KeystayError, ValueError) as error:
        print(f"keystay: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


async def _watch(url: str, key: str | None) -> None:
    """Print every event of the session, one per line; return when it has ended."""
    async with keystay.connect(url) as client:
        events = client.events("session")
        if key is None:
            await client.login("anonymous")
        else:
            await client.restore(key)
        with contextlib.suppress(keystay.EventsLost):
            async for event in events:
                print(event.name, json.dumps(_shown(event.data)), flush=True)
                if event.name == SESSION_UNSET:
                    return


def _shown(data: object) -> object:
    # The key is a secret, but the user needs it to open a second connection.
    return data.to_wire() if isinstance(data, keystay.Session) else data


if __name__ == "__main__":
    sys.exit(main())
