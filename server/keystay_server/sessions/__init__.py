"""
The life of a session: creation, policy, fields, keys, expiry.
"""
