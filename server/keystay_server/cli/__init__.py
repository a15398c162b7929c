"""
The command line: `keystay serve`, and commands for a running server.

`main` has the table of commands; each is a module of its own, imported when it is used.
`arguments` and `settings_flags` are what parsers have in common, `control` calls the server,
`text` and `screen` show results.
"""
