"""
The clients' port: WebSocket connections, and what comes over them.
"""
