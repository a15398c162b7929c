"""
What a backend holds: the control plane of a server, over HTTP.

Start reading in `client`, a method for each endpoint. `door` carries a
`request`, as often as `retries` says; `answer` reads what came back. `feed`
listens, to messages taken apart by `sse`. `events`, `session` and `stats` are
what is told; `webhooks` checks what a server posts.

Everything but `door` is without I/O, and only `door` needs httpx.
"""
