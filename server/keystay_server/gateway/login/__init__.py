"""
The ways to log in over a connection. Each is off unless it is configured.
"""
