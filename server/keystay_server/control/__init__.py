"""
The control port: an HTTP API for backends, the dashboard and the demo.

`api` is the table of operations; start there. `endpoints/` has the handlers, `schema/` the
bodies, parameters and the OpenAPI document, `auth/` API keys and scopes, `http/` what is
below: bounds, problem documents, files. `dashboard/` and `demo/` are pages for browsers.
`server` runs all of it.
"""
