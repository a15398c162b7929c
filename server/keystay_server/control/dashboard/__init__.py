"""
The dashboard: what people see of an installation, in a browser.

Start reading in `endpoints`, the few paths of its own. What it shows it asks of
the API, as backends do; `ticket` is the cookie that takes the place of the API
key there, and `guard` says when it counts. `pages/` is HTML, `assets/` are plain
ES modules, a style sheet and a picture: what is there is what browsers get.
"""
