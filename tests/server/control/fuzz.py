"""
Requests that fit the description of the API and others that do not, against a real server.

    python -m tests.server.control.fuzz --max-examples 500

Flags are those of `schemathesis run`.
"""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.paths import ROOT
from tests.support.server_process import ServerProcess, serving

HOOKS = Path(__file__).with_name("fuzz_hooks.py")
API_KEY = "the-api-key-of-the-fuzzer"

CONFIG = """
[checks.positive_data_acceptance]
# The same Idempotency-Key with another body is meant to be refused.
expected-statuses = ["2xx", 401, 403, 404, 409, 410, 422]
[checks.ensure_resource_availability]
# A session ends by other means than its own path.
enabled = false
"""


@contextmanager
def configured() -> Iterator[str]:
    """A directory to run schemathesis in."""
    with TemporaryDirectory() as directory:
        Path(directory, "schemathesis.toml").write_text(CONFIG)
        yield directory


async def fuzz(server: ServerProcess, *flags: str) -> tuple[int, str]:
    """Run schemathesis; return its exit code and what it printed."""
    with configured() as directory:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", "from schemathesis.cli import schemathesis as s; s()"),
            *("run", f"{server.control}/v1/openapi.json", "--no-color"),
            *("--header", f"Authorization: Bearer {API_KEY}"),
            # Texts are bounded in bytes, and a schema can only count characters.
            "--generation-codec=ascii",
            "--exclude-path=/v1/feed",  # It never ends.
            *flags,
            cwd=directory,
            env={**os.environ, "SCHEMATHESIS_HOOKS": str(HOOKS), "PYTHONPATH": _path()},
            stdout=PIPE,
            stderr=STDOUT,
        )
        try:
            output, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    return process.returncode or 0, output.decode()


def _path() -> str:
    root = str(ROOT)
    return os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))


async def main() -> int:
    """Fuzz a server of our own."""
    async with serving(env={"KEYSTAY_API_KEY": API_KEY}) as server:
        code, output = await fuzz(server, *sys.argv[1:])
    sys.stdout.write(output)
    return code


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
