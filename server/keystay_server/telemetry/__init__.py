"""
What the server tells its operator: logs, metrics, and what they are made of.

The law of this package: counting costs next to nothing, for it is done with every
command. `counts` and `durations` are plain numbers that others change in passing;
`metrics` reads them when somebody asks, and only it knows Prometheus.

Nothing here knows the rest of the server. No key, token, actor or session is in a metric,
and no label has a value that a client chooses.
"""
