"""
Every setting of the server: the schema, where values come from, and how they are checked.
"""
