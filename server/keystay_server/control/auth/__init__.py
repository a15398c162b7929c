"""
API keys: where they come from, who asks with which, and what it may do.
"""
