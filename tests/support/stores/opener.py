"""
A process that opens sessions until it is killed: `python -m tests.support.stores.opener URL`.

It writes the digest of each key to standard output after the store has answered.
"""

import asyncio
import sys

from keystay_server.stores import open_store
from keystay_server.stores.retention import Retention
from tests.support.stores.installation import Heard, new_session


async def main(url: str) -> None:
    """Open sessions as fast as the store goes."""
    store = open_store(url, Retention())
    await store.start(Heard())
    while True:
        news = [new_session() for _ in range(20)]
        await asyncio.gather(*map(store.create, news))
        for new in news:
            sys.stdout.write(new.digest.hex() + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
