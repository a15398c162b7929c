"""
Ways to log in over a connection: credentials in, an actor out.
"""
