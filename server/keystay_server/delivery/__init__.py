"""
From the store's announcements to the connections of this node.

`hub` is where to start: it binds connections; `relay` passes events on. `streams` has
the events of one actor on this node, `bindings` who gets them, `recovery` what a
connection missed, `gaps` how a stream catches up with the store.
"""
