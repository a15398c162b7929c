"""
The client of a backend: the control port of a server, over HTTP.

Start reading in `client`, which has a method for each operation. `_transport` sends a
`_request`, as often as `_retries` allows; `_answer` reads the response. `feed` receives
events, from messages parsed by `_sse`. `events`, `session` and `stats` are the values
returned; `webhooks` verifies what a server posts.

Only `_transport` and `_http` do I/O, and only `_http` needs h11.
"""
