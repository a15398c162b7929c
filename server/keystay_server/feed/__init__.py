"""
What happens to all sessions, for backends: subscriptions, and webhooks.
"""
