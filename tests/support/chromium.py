"""
A real browser: Debian's Chromium.
"""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, async_playwright


def _program() -> str:
    """The browser. Without one its tests are skipped, but never in CI."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None and not os.environ.get("CI"):
        pytest.skip("there is no Chromium here: apt-get install chromium")
    assert program, "Chromium must be there in CI"
    return program


@asynccontextmanager
async def browsing(*flags: str) -> AsyncIterator[Browser]:
    """Run a browser without a window."""
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(
            executable_path=_program(),
            args=[*flags, *(["--no-sandbox"] if is_root else [])],
        )
        try:
            yield running
        finally:
            await running.close()
