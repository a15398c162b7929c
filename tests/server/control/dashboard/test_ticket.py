"""
`control/dashboard/ticket.py`: the cookie that takes the place of an API key.
"""

import hashlib

import pytest

from keystay_server.control.dashboard.ticket import VALID_S, Tickets


class Ring:
    """API keys, by name."""

    def __init__(self, **keys: str) -> None:
        self.keys = keys

    def name_of(self, key: str, /) -> str | None:
        return next((name for name, each in self.keys.items() if each == key), None)

    def digest_of(self, name: str, /) -> bytes | None:
        key = self.keys.get(name)
        return None if key is None else hashlib.sha256(key.encode()).digest()


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def ring() -> Ring:
    return Ring(ops="one", shop="two")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tickets(ring: Ring, clock: Clock) -> Tickets:
    return Tickets(ring, clock)


def issued(tickets: Tickets, key: str = "one") -> str:
    """A ticket for that key."""
    ticket = tickets.issue(key)
    assert ticket is not None
    return ticket


def test_a_ticket_stands_for_its_key(tickets: Tickets) -> None:
    """By the key's name; the key itself is nowhere in it."""
    assert tickets.name_of(issued(tickets)) == "ops"
    assert tickets.name_of(issued(tickets, "two")) == "shop"
    assert "two" not in issued(tickets, "two")


def test_a_wrong_key_gets_none(tickets: Tickets) -> None:
    """Only who has a key gets a ticket."""
    assert tickets.issue("three") is None
    assert tickets.issue("") is None


def test_a_ticket_is_good_for_12_hours(tickets: Tickets, clock: Clock) -> None:
    """And not a second longer."""
    ticket = issued(tickets)
    clock.now += VALID_S - 1
    assert tickets.name_of(ticket) == "ops"
    clock.now += 1
    assert tickets.name_of(ticket) is None


def test_a_ticket_outlives_a_restart(tickets: Tickets, ring: Ring, clock: Clock) -> None:
    """Another process with the same keys, or another node, takes it."""
    assert Tickets(ring, clock).name_of(issued(tickets)) == "ops"


def test_a_ticket_dies_with_its_key(tickets: Tickets, ring: Ring) -> None:
    """Replacing or removing a key invalidates its tickets, and no others."""
    of_ops, of_shop = issued(tickets), issued(tickets, "two")
    ring.keys["ops"] = "another"
    assert tickets.name_of(of_ops) is None
    del ring.keys["ops"]
    assert tickets.name_of(of_ops) is None
    assert tickets.name_of(of_shop) == "shop"


def test_nothing_in_a_ticket_can_be_changed(tickets: Tickets) -> None:
    """Whichever character is another one, it is no good."""
    ticket = issued(tickets)
    for at, character in enumerate(ticket):
        for other in "A9._":
            if other != character:
                changed = ticket[:at] + other + ticket[at + 1 :]
                assert tickets.name_of(changed) is None, (at, other)


@pytest.mark.parametrize(
    "ticket", ["", ".", "...", "v1.9999999999.b3Bz.", "v1.x.b3Bz.x", "v1.1.é.x", "v1.1.__8=.x"]
)
def test_what_is_no_ticket_is_no_good(tickets: Tickets, ticket: str) -> None:
    """Whatever a cookie may hold; nothing is raised."""
    assert tickets.name_of(ticket) is None


def test_a_ticket_cannot_be_given_for_a_name_without_a_key(tickets: Tickets) -> None:
    """An empty signature is none, be the name as unknown as it likes."""
    assert tickets.name_of("v1.9999999999.bm9ib2R5.") is None


def test_each_ticket_has_a_token_of_its_own(tickets: Tickets, clock: Clock) -> None:
    """Which is neither its signature nor that of another ticket."""
    one = issued(tickets)
    clock.now += 1
    other = issued(tickets)
    assert tickets.token_of(one) == tickets.token_of(one)
    assert len({tickets.token_of(one), tickets.token_of(other), one.rpartition(".")[2]}) == 3


def test_a_ticket_that_was_never_issued_is_forged(
    ring: Ring, clock: Clock, tickets: Tickets
) -> None:
    """One that has expired is not; one that is valid for longer than any is."""
    ticket = issued(tickets)
    assert not tickets.is_forged(ticket)
    clock.now -= 1
    assert tickets.name_of(ticket) is None
    assert tickets.is_forged(ticket), "it is valid until later than one of now can be"
    clock.now += VALID_S + 2
    assert tickets.name_of(ticket) is None
    assert not tickets.is_forged(ticket)
    for forged in (ticket[:-1], "v1.1.b3Bz.x", "nonsense", ""):
        assert tickets.is_forged(forged)
    del ring.keys["ops"]
    assert tickets.is_forged(ticket), "its key is gone"
