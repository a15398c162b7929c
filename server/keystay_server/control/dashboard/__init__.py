"""
The dashboard: sessions, nodes and events of an installation, in a browser.

`routes` is the table of its own paths; its data comes from the API. `ticket` is the cookie that
stands for an API key there, `cookie` checks it. `pages/` is HTML, `assets/` are plain ES
modules, a style sheet and a picture, served as they are.
"""
