"""
Authentication: API keys, their scopes, and limits for wrong ones.
"""
