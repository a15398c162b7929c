"""
From the store's announcements to the connections of this node.

Start with `hub`: it binds connections. `relay` delivers events. `streams` has the events
of one actor on this node, `bindings` the connections that get them, `recovery` decides
what a connection missed, `gaps` reads from the store what a stream missed.
"""
