"""
A whole node against a model of it: clients that come, go and come back, a backend
elsewhere, time that passes, and announcements that get lost.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from keystay_protocol.commands import LogoutScope
from keystay_protocol.errors import CommandError
from keystay_server.sessions.expiry import Activity
from keystay_server.sessions.policy import Rules
from keystay_server.sessions.service import SessionRequest, Sessions
from keystay_server.stores.errors import RevisionConflict
from keystay_server.stores.records import UNLIMITED, Policy
from keystay_server.stores.retention import Retention
from tests.support.server.memory_node import Client, running_node
from tests.support.server.node_model import (
    SET,
    TTL_MS,
    UNSET,
    ConnectionModel,
    Happening,
    NodeModel,
    SessionModel,
    Shown,
)
from tests.support.server.wire import WAIT_S

T = TypeVar("T")

ACTORS = ("alice", "bob")
ACTOR_IDS = st.sampled_from(("alice", "alice", "bob"))
MOST_LIVE = 4
"""Sessions of one actor: with one more event, no step fills a whole history."""
MINUTES_MS = 240_000
"""Divides neither the ttl nor the age of a history: no moment decides anything."""
POLICIES = [
    UNLIMITED,
    *(Policy(limit, is_strict) for limit in (1, 2, 3) for is_strict in (False, True)),
]

CLIENTS = st.integers(0, 1)


class WholeNode(RuleBasedStateMachine):
    """What clients, backends and the store can do, and what must have been sent after each."""

    retention: Retention
    keys: Bundle[SessionModel] = Bundle("keys")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.running = running_node(retention=self.retention, activity=Activity.NONE)
        self.node = self.runner.run(self.running.__aenter__())
        self.model = NodeModel(self.retention)
        self.clients = [self.connect(), self.connect()]
        self.kept: list[dict[str, int]] = [{}, {}]
        """The cursor that each client keeps of each actor, as SPEC section 5.2 has it."""

    def teardown(self) -> None:
        self.runner.run(self.running.__aexit__(None, None, None))
        self.runner.close()

    # What clients do.

    @initialize(target=keys)
    def begin(self) -> SessionModel:
        for client in range(2):
            self.subscribe(client, "game", is_wanted=True)
        return self.log_in(0, "alice")

    @rule(target=keys, client=CLIENTS, actor_id=ACTOR_IDS)
    def login(self, client: int, actor_id: str) -> SessionModel:
        assume(len(self.model.actor(actor_id).live(self.model.now)) < MOST_LIVE)
        return self.log_in(client, actor_id)

    @rule(
        session=keys,
        client=CLIENTS,
        cursor=st.none() | st.just("kept") | st.integers(0, 30),
    )
    def restore(self, session: SessionModel, client: int, cursor: int | str | None) -> None:
        """With the cursor that the client keeps, with that of any event, or none."""
        log, after = session.actor.log, None
        if cursor == "kept":
            self.keep(client)
            after = self.kept[client].get(session.actor.id)
        elif isinstance(cursor, int):
            after = log[-1 - cursor % len(log)].cursor
        error, result = self.call(client, "session.restore", session.key, {"cursor": after})
        assert error == session.error_at(self.model.now)
        if error is None:
            session.restore(self.model.now)
            self.happened(session.actor, [])
            is_recovered = self.model.restore(self.clients[client][1], session, after)
            assert result["recovered"] is is_recovered
            if after is not None and is_recovered:
                self.nothing_was_missed(client, session, after)
            self.bound(client, session, result)
        self.replied(client, error)

    @rule(client=CLIENTS, scope=st.sampled_from(LogoutScope))
    def log_out(self, client: int, scope: LogoutScope) -> None:
        one, session = self.clients[client][1], self.clients[client][1].session
        error, _ = self.call(client, "session.logout", {"scope": scope})
        if session is None or session.error_at(self.model.now) is not None:
            assert error == (None if scope is LogoutScope.THIS else "noSession")
            self.model.look_again(one)
        else:
            assert error is None
            if ended := session.ended_by(scope, self.model.now):
                self.end(ended, "loggedOut")
                self.model.notice(session.actor)
        if scope is not LogoutScope.OTHERS:
            one.session = None
        self.replied(client, error)

    @rule(client=CLIENTS)
    def list_(self, client: int) -> None:
        one, session = self.clients[client][1], self.clients[client][1].session
        error, result = self.call(client, "session.list")
        if session is not None and session.error_at(self.model.now) is None:
            live = session.actor.live(self.model.now)
            listed = [(each["id"], each["current"]) for each in result]
            assert listed == [(each.id, each is session) for each in live]
        else:
            assert error == "noSession"
            self.model.look_again(one)
        self.replied(client, error)

    @rule(client=CLIENTS, path=st.sampled_from(["game", "session"]), is_wanted=st.booleans())
    def subscribe(self, client: int, path: str, *, is_wanted: bool) -> None:
        one = self.clients[client][1]
        method = "events.subscribe" if is_wanted else "events.unsubscribe"
        (one.subscribe if is_wanted else one.paths.discard)(path)
        error, result = self.call(client, method, [path])
        assert sorted(result) == sorted(one.paths)
        self.replied(client, error)

    @rule(client=CLIENTS)
    def reconnect(self, client: int) -> None:
        """The connection is lost; a new one comes, and subscribes as that one had."""
        self.keep(client)
        lost, one = self.clients[client]
        lost.connection.lost()
        one.session = None
        self.clients[client] = self.connect()
        if "game" in one.paths:
            self.subscribe(client, "game", is_wanted=True)

    @rule(session=keys, client=CLIENTS)
    def come_back(self, session: SessionModel, client: int) -> None:
        """On a new connection, with the cursor of those before."""
        self.reconnect(client)
        self.restore(session, client, "kept")

    @rule(session=keys, client=CLIENTS, cursor=st.integers(0, 3))
    def subscribe_late(self, session: SessionModel, client: int, cursor: int) -> None:
        """Restore with a cursor from before an event that was not subscribed to in time."""
        self.subscribe(client, "game", is_wanted=False)
        self.restore(session, client, None)
        self.emit(session, is_to_all=False, times=1)
        self.subscribe(client, "game", is_wanted=True)
        self.restore(session, client, cursor)

    # What happens elsewhere.

    @rule(target=keys, actor_id=ACTOR_IDS, policy=st.sampled_from(POLICIES))
    def open_elsewhere(
        self, actor_id: str, policy: Policy
    ) -> SessionModel | MultipleResults[SessionModel]:
        actor, now = self.model.actor(actor_id), self.model.now
        assume(len(actor.live(now)) < MOST_LIVE)
        elsewhere = Sessions(self.node.store, Rules(TTL_MS / 1000, policy=policy))
        key, new = elsewhere.prepare(SessionRequest(actor_id))
        error = self.error_of(elsewhere.create_prepared(new))
        replaced = actor.replaced_under(policy, now)
        expired = actor.expired_under(policy, now)
        for other in expired:
            other.reason = "expired"
        unset: list[tuple[str, str | None]]
        unset = [(UNSET, other.id) for other in [*expired, *(replaced or [])]]
        if replaced is None:
            assert error == "sessionLimit"
            if expired:
                self.happened(actor, unset, is_sorted=False)
                self.announced(actor)
            return multiple()
        opened = SessionModel(key, new.id, actor, now + TTL_MS)
        for other in replaced:
            other.reason = "replaced"
        actor.sessions.append(opened)
        self.happened(actor, [*unset, (SET, new.id)], is_sorted=len(expired) < 2)
        self.announced(actor)
        return opened

    @rule(session=keys)
    def revoke(self, session: SessionModel) -> None:
        error = self.error_of(self.node.elsewhere.revoke(session.id, "banned"))
        if session.error_at(self.model.now) is None:
            assert error is None
            self.end([session], "banned")
            self.announced(session.actor)
        else:
            assert error == "noSession"

    @rule(session=keys, revision=st.none() | st.integers(1, 2))
    def change(self, session: SessionModel, revision: int | None) -> None:
        changing = self.node.elsewhere.update(session.id, meta={"n": 1}, revision=revision)
        error = self.error_of(changing)
        if session.error_at(self.model.now) is not None:
            assert error == "noSession"
        elif revision not in (None, session.revision):
            assert error == "RevisionConflict"
        else:
            session.revision += 1
            self.happened(session.actor, [(SET, session.id)])
            self.announced(session.actor)

    @rule(session=keys, is_to_all=st.booleans(), times=st.sampled_from([1, 1, 2, 5, 10]))
    def emit(self, session: SessionModel, is_to_all: bool, times: int) -> None:
        elsewhere, actor = self.node.elsewhere, session.actor
        for _ in range(times):
            if is_to_all:
                error = self.error_of(elsewhere.emit_to_actor(actor.id, "game.move", None))
            else:
                saying = elsewhere.emit_to_session(session.id, "game.move", None)
                error = self.error_of(saying)
            if not is_to_all and session.error_at(self.model.now) is not None:
                assert error == "noSession"
                return
            self.happened(actor, [("game.move", None if is_to_all else session.id)])
            self.announced(actor)

    @rule()
    def broadcast(self) -> None:
        self.runner.run(self.node.elsewhere.broadcast("game.news", None))
        for _, one in self.clients:
            one.tell_all("game.news")

    @rule(minutes=st.sampled_from([1, 3, 4, 8]))
    def time_passes(self, minutes: int) -> None:
        self.node.clock.passed_ms += minutes * MINUTES_MS
        self.model.now += minutes * MINUTES_MS

    @rule()
    def expire(self) -> None:
        while self.runner.run(self.node.store.expire()):
            pass
        for actor in self.model.actors.values():
            due = actor.overdue(self.model.now)
            for one in due:
                one.reason = "expired"
            if due:
                self.happened(actor, [(UNSET, one.id) for one in due], is_sorted=False)
                self.announced(actor)

    # What announcements do.

    @rule()
    def announcements_get_lost(self) -> None:
        self.node.store.is_losing = True

    @rule(is_noticed=st.booleans())
    def announcements_come_again(self, is_noticed: bool) -> None:
        """The store says that something may be missing, or the next event shows it."""
        self.node.store.is_losing = False
        if is_noticed:
            self.runner.run(self.miss())
            for actor in self.model.actors.values():
                self.model.notice(actor)

    # What must be true then.

    @invariant()
    def the_node_agrees_with_the_model(self) -> None:
        self.runner.run(self.settled())
        self.model.tidy()
        self.each_connection_was_sent_what_the_model_says()
        self.each_connection_is_bound_where_the_model_says()
        self.cursors_of_an_actor_only_grow()

    def each_connection_was_sent_what_the_model_says(self) -> None:
        for client, one in zip(self.node.clients, self.model.connections, strict=True):
            assert shown_to(client) == one.shown

    def each_connection_is_bound_where_the_model_says(self) -> None:
        for client, one in zip(self.node.clients, self.model.connections, strict=True):
            binding = client.connection.peer.binding
            bound_to = None if binding is None else binding.session_id
            assert bound_to == (None if one.session is None else one.session.id)
        bound = [one.session.actor.id for one in self.model.connections if one.session]
        assert set(self.node.hub.actors) == set(bound)

    def cursors_of_an_actor_only_grow(self) -> None:
        for one in self.model.connections:
            for cursors in one.cursors.values():
                assert cursors == sorted(set(cursors))

    # How it is done.

    def connect(self) -> tuple[Client, ConnectionModel]:
        self.model.connections.append(ConnectionModel())
        return self.node.connect(), self.model.connections[-1]

    def call(self, client: int, method: str, *params: Any) -> tuple[str | None, Any]:
        return self.runner.run(self.clients[client][0].call(method, *params))

    def replied(self, client: int, error: str | None) -> None:
        self.clients[client][1].shown.append(("reply", error))

    def log_in(self, client: int, actor_id: str) -> SessionModel:
        actor = self.model.actor(actor_id)
        error, result = self.call(client, "session.login", "anonymous", {"actorId": actor_id})
        key, id_ = result["session"]["key"], result["session"]["id"]
        session = SessionModel(key, id_, actor, self.model.now + TTL_MS)
        actor.sessions.append(session)
        self.happened(actor, [(SET, id_)])
        self.model.open(self.clients[client][1], session)
        assert result["recovered"] is False
        self.bound(client, session, result)
        self.replied(client, error)
        return session

    def bound(self, client: int, session: SessionModel, result: Any) -> None:
        """A client was bound to a session: what it is answered."""
        assert result["session"]["id"] == session.id
        assert result["cursor"] == session.actor.last
        self.kept[client][session.actor.id] = session.actor.last

    def keep(self, client: int) -> None:
        """Keep the greatest cursors that the client was sent."""
        kept = self.kept[client]
        for actor_id, cursors in self.clients[client][1].cursors.items():
            kept[actor_id] = max(kept[actor_id], cursors[-1])

    def nothing_was_missed(self, client: int, session: SessionModel, after: int) -> None:
        """Each event of the session after the cursor that it subscribes to was sent to it."""
        actor, one = session.actor, self.clients[client][1]
        sent = one.cursors.get(actor.id, [])
        for event in actor.log:
            if event.cursor > after and event.session_id in (None, session.id):
                assert event.cursor in sent or not one.hears(event.name)

    def end(self, ended: list[SessionModel], reason: str) -> None:
        for session in ended:
            session.reason = reason
        self.happened(ended[0].actor, [(UNSET, session.id) for session in ended])

    def happened(
        self, actor: Any, expected: list[tuple[str, str | None]], *, is_sorted: bool = True
    ) -> None:
        """Read what the store says that happened: what was expected, and its cursors."""
        history = self.runner.run(self.node.store.history(actor.id, actor.last))
        assert history.complete or not actor.log
        new = [Happening.of(event, self.model.now) for event in history.events]
        found = [(event.name, event.session_id) for event in new]
        assert found == expected if is_sorted else set(found) == set(expected)
        actor.log.extend(new)

    def announced(self, actor: Any) -> None:
        """What has happened elsewhere is announced, if that is not lost."""
        if not self.node.store.is_losing:
            self.model.notice(actor)

    def error_of(self, step: Coroutine[Any, Any, object]) -> str | None:
        try:
            self.runner.run(step)
        except CommandError as error:
            return error.code
        except RevisionConflict:
            return "RevisionConflict"
        return None

    async def miss(self) -> None:
        self.node.hub.missed(ACTORS)

    async def settled(self) -> None:
        """Return when every gap that the node knows of is repaired."""
        async with asyncio.timeout(WAIT_S):
            for client in self.node.clients:
                while (binding := client.connection.peer.binding) and binding.stream.repaired:
                    await asyncio.shield(binding.stream.repaired)


def shown_to(client: Client) -> list[Shown]:
    """Every message to a client, in short."""
    return [
        ("reply", message[2]) if message[0] == 1 else (message[1], message[2][1])
        for message in client.wire.received
    ]


@pytest.mark.parametrize("history_events", [256, 8])
@pytest.mark.parametrize("stories", [30, pytest.param(120, marks=pytest.mark.long)])
def test_a_node_agrees_with_the_model(history_events: int, stories: int) -> None:
    """Whatever happens, and in whatever order, every connection is sent what it should be."""
    retention = Retention(history_events=history_events)
    machine = type("WholeNodeHere", (WholeNode,), {"retention": retention})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=stories,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
