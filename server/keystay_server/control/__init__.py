"""
The backends' door: an HTTP API behind an API key.

Start reading in `api`, the table of paths. `sessions`, `events` and `health`
answer them; `shapes` are what goes to and fro. `auth`, `body`, `schema` and
`problems` are what every path has in common, `openapi` describes them all, and
`server` carries them, and `room` says whose connection. Who asks is told by `bearer`,
from the keys in `key_ring`.
"""
