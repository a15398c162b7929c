"""
An HTTP client as backends have it.
"""

import httpx


def backend_of(control: str, api_key: str | None = None) -> httpx.AsyncClient:
    """A client of this control port; it sends the API key, if it has one."""
    headers = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
    return httpx.AsyncClient(base_url=control, headers=headers, trust_env=False)
