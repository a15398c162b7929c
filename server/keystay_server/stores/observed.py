"""
A store whose operations are observed: counted, or traced.
"""

from keystay_server.stores.base import Store
from keystay_server.telemetry.operations import Observe


class ObservedStore:
    """
    A store like another one, but each operation is what `observe` makes of it.

    The operations are attributes of the object: an operation that is not observed costs
    no call more than before.
    """

    def __init__(self, store: Store, observe: Observe) -> None:
        self.start, self.stop = store.start, store.stop
        self.peek = store.peek
        self.probe = observe("probe", store.probe)
        self.create = observe("create", store.create)
        self.check = observe("check", store.check)
        self.restore = observe("restore", store.restore)
        self.touch = observe("touch", store.touch)
        self.expire = observe("expire", store.expire)
        self.end = observe("end", store.end)
        self.change = observe("change", store.change)
        self.emit = observe("emit", store.emit)
        self.broadcast = observe("broadcast", store.broadcast)
        self.session = observe("session", store.session)
        self.sessions = observe("sessions", store.sessions)
        self.history = observe("history", store.history)
        self.read_feed = observe("read_feed", store.read_feed)
        self.lease = observe("lease", store.lease)
        self.save_position = observe("save_position", store.save_position)
        self.saved_position = observe("saved_position", store.saved_position)
        self.report = observe("report", store.report)
        self.reports = observe("reports", store.reports)


def observed(store: Store, observe: Observe) -> Store:
    """Return the store with its operations observed."""
    return ObservedStore(store, observe)
