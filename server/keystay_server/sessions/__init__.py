"""
The rules of a session's life: opening, policy, fields, keys, expiry.
"""
