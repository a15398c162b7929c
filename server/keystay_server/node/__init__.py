"""
This process among others: heartbeat, connection directory, reload, TLS, systemd.
"""
