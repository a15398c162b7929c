import asyncio

import keystay


async def main() -> None:
    store = keystay.FileSessionStore("session")  # The next start restores it.
    client = keystay.connect("ws://127.0.0.1:8330", session_store=store)
    client.on("", print)  # Everything that the server pushes.
    async with client:
        session = client.session or await client.login("anonymous")
        print("logged in as", session.actor_id)
        await client.wait_for("closed")


asyncio.run(main())
