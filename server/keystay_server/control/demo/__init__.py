"""
The demo: what Keystay does, in a browser, with `--dev`.

`routes` is the table of its paths, `holder` its authorization. Its page has the client of
`client_js` in `assets/`, and acts as the backend of an application too, through operations of
the API.
"""
