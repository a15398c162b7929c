"""
The client port: WebSocket connections and the commands on them.
"""
