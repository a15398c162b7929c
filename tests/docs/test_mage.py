"""
What the page for those who come from MAGE says of this side is so.
"""

import json
import re
from pathlib import Path

import pytest

import keystay
from tests.support.doc_pages import blocks, run
from tests.support.paths import ROOT
from tests.support.raw_client import connected
from tests.support.server_process import serving

PAGE = "docs/guides/mage.md"
ORIGINAL = ROOT.parent / "shared/seed-session-module.md"


def table_column(number: int) -> str:
    """One column of the table of the server's side."""
    section = (ROOT / PAGE).read_text().partition("## On the server")[2]
    rows = [row.split(" | ") for row in section.splitlines() if row.startswith("| `")]
    return "\n".join(row[number] for row in rows)


@pytest.mark.skipif(not ORIGINAL.exists(), reason="the document is not beside this folder")
def test_the_example_is_that_of_the_original() -> None:
    """To the character."""
    example = re.compile(r"^```javascript\n.*?^```$", re.MULTILINE | re.DOTALL)
    [original] = example.findall(ORIGINAL.read_text())
    assert example.findall((ROOT / PAGE).read_text()) == [original]


async def test_the_requests_on_the_page(tmp_path: Path) -> None:
    """One opens a session for a client to restore, the other is heard by it."""
    opens, says = [block for block in blocks(PAGE, "sh") if "curl" in block]
    (tmp_path / "keystay.key").write_text("test-api-key")
    async with serving() as server, connected(server.url) as client:

        async def answer(command: str) -> dict[str, str]:
            command = command.replace("http://127.0.0.1:8331", server.control)
            output = await run("sh", "-c", f"cd {tmp_path}; {command}")
            made: dict[str, str] = json.loads(output)
            return made

        session = await answer(opens)
        await client.call("events.subscribe", ["shop"])
        assert (await client.call("session.restore", session["key"]))[0] is None
        name, told, _ = await client.event()
        assert (name, told["meta"]) == ("session.set", {"name": "Ada"})
        await answer(says)
        assert (await client.event())[:2] == ("shop.bought", {"item": "lamp"})


async def test_the_requests_of_the_table_exist() -> None:
    """Each is one of the control port, by its method and path."""
    named = re.findall(r"`([A-Z]+) (/v1/[^`?]+)", table_column(1))
    async with serving() as server:
        described = json.loads(await run("curl", "-s", f"{server.control}/v1/openapi.json"))
    assert len(named) > 5
    for method, path in named:
        assert method.lower() in described["paths"][path], (method, path)


def test_the_methods_of_the_table_exist() -> None:
    """Each is one of `keystay.Control`."""
    named = re.findall(r"control\.(\w+)", table_column(2))
    assert len(named) > 5
    assert [name for name in named if not hasattr(keystay.Control, name)] == []
