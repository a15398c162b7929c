"""
An HTTP client as backends have it.
"""

from typing import Any

import httpx


def backend_of(
    control: str = "", api_key: str | None = None, **options: Any
) -> httpx.AsyncClient:
    """
    A client of this control port; it sends the API key, if it has one.

    Unless `verify` is among the options, it is for a port without TLS.
    """
    headers = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
    # To read whom the system trusts takes longer than most tests.
    settings = {"trust_env": False, "verify": False, "headers": headers, **options}
    return httpx.AsyncClient(base_url=control, **settings)


async def change(control: str, session_id: str, times: int = 1, **meta: Any) -> None:
    """Change a session so often, as a backend: each time is one event of it."""
    async with backend_of(control, "test-api-key") as backend:
        for number in range(times):
            body = {"meta": {"number": number, **meta}}
            answer = await backend.patch(f"/v1/sessions/{session_id}", json=body)
            assert answer.status_code == 200
