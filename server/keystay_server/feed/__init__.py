"""
The feed of all sessions, for backends: subscriptions and webhooks.
"""
