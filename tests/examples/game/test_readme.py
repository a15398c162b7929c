"""
`examples/game/README.md`: its commands, in its order, as a newcomer gives them.
"""

import re
import shlex
import sys
from pathlib import Path

from tests.support.doc_pages import blocks, run
from tests.support.examples.terminal import on_terminal
from tests.support.paths import ROOT
from tests.support.server_process import serving

PAGE = "examples/game/README.md"


def arguments(line: str, program: str) -> list[str]:
    """What a line of the page gives to this program."""
    words = shlex.split(line)
    assert words[: len(shlex.split(program))] == shlex.split(program)
    return words[len(shlex.split(program)) :]


async def test_what_there_is_to_try(tmp_path: Path) -> None:
    """A game is played, is given a lantern, and ends when the player logs in elsewhere."""
    serve, here, emit, elsewhere = (block.strip() for block in blocks(PAGE, "sh"))
    flags = arguments(serve, ".venv/bin/keystay serve")
    game = ".venv/bin/python -m examples.game"
    async with serving(*flags, dev=False) as server:
        at = ("--server", server.url)
        async with on_terminal(*arguments(here, game), *at, cwd=tmp_path) as first:
            await first.until("online")
            await run(
                *(sys.executable, "-m", "keystay_server.cli"),
                *arguments(emit, ".venv/bin/keystay"),
                KEYSTAY_CONTROL=server.control,
                KEYSTAY_API_KEY="test-api-key",
            )
            await first.until("lantern")
            async with on_terminal(*arguments(elsewhere, game), *at, cwd=tmp_path) as second:
                await second.until("online")
                await first.until("elsewhere")
                for player in (first, second):
                    player.press("q")
                assert [await first.exit_code(), await second.exit_code()] == [0, 0]


def test_every_module_is_in_the_table() -> None:
    """And none that is not there."""
    page = ROOT / PAGE
    named = re.findall(r"^\| `(\w+\.py)` \|", page.read_text(), re.MULTILINE)
    assert sorted(named) == sorted(module.name for module in page.parent.glob("*.py"))
