"""
The pages of the documentation, and the code in them.
"""

import asyncio
import os
import re
import textwrap
from asyncio.subprocess import PIPE
from typing import Any

from tests.support.paths import ROOT

PAGES = sorted(
    page
    for pattern in ("*.md", "*/*.md", "docs/*/*.md", "examples/*/*.md")
    for page in ROOT.glob(pattern)
)
SOON_S = 20.0


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of a page, in order."""
    text = (ROOT / page).read_text()
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```$", text, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(code) for _, code in found]


def block_with(page: str, language: str, part: str) -> str:
    """The one block of a page that contains this."""
    [block] = [block for block in blocks(page, language) if part in block]
    return block


async def run(*command: str, **environment: str) -> str:
    """Run a program; return what it printed."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=PIPE, env={**os.environ, **environment}
    )
    async with asyncio.timeout(SOON_S):
        output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode()


async def run_body(code: str, names: dict[str, Any]) -> dict[str, Any]:
    """Run a block as the body of a coroutine; return the names that it made."""
    body = textwrap.indent(code + "\nglobals().update(locals())", "    ")
    exec(f"async def body():\n{body}", names)
    await names["body"]()
    return names
