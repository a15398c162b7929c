"""
What an operator does with a running server, through its control plane.

`client` asks the server; `session` has the commands; `text` is how answers are
printed. The command line, `cli`, chooses among them.
"""
