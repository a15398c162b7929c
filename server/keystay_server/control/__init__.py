"""
The backends' door: an HTTP API behind an API key.

Start reading in `api`, the table of paths. `sessions` and `health` answer
them; `auth`, `body`, `query` and `problems` are what every path has in common;
`server` carries it all.
"""
