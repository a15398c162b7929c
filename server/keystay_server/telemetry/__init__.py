"""
Logs, metrics and traces.

Invariant: counting costs next to nothing, because it is done with every command.
`counts` and `durations` are plain numbers that others increase; `metrics` reads them on
request, and is the only module that knows Prometheus.

Nothing here knows the rest of the server. No key, token, actor or session is in a metric,
and no label has a value that a client chooses.
"""
