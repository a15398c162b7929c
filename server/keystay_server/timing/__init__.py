"""
When things happen: tasks with an owner, repeated steps, pauses after failures.

Nothing here knows the rest of the server.
"""
