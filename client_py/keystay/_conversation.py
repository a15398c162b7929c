"""
The protocol from the client's side, without I/O.

`receive` takes the messages of the server, `next_message` returns those to send. A
`Conversation` outlives its transports. Invariant: each command gets exactly one answer;
on a new transport no command of the program is sent before subscriptions and session are
restored; `session` is what the server sent last.
"""

from dataclasses import dataclass, replace
from typing import Any

from keystay._calls import Call, Calls, is_encodable
from keystay.errors import ConnectionLost
from keystay.session_store import StoredSession, is_cursor
from keystay_protocol.codec import FROM_SERVER, Limits, decode
from keystay_protocol.commands import CommandName, LogoutScope
from keystay_protocol.errors import (
    CommandError,
    InvalidSessionKey,
    KeystayError,
    MalformedFrame,
    NoSession,
    SessionEnded,
    error_from_reply,
)
from keystay_protocol.events import DEFAULT_PATHS, SESSION_SET, SESSION_UNSET
from keystay_protocol.frames import Event, Reply
from keystay_protocol.session import Session

_FORGET_THE_KEY = (InvalidSessionKey, NoSession, SessionEnded)
"""After any other error the session may still be live (SPEC section 8)."""

SESSION_RECOVERED = "session.recovered"
"""The event that a program gets from the client itself when a session was resumed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome of the command with this id: `error`, or else `result`."""

    id: int
    error: KeystayError | None
    result: Any = None


class Conversation:
    """
    The session, subscriptions and unanswered commands of one client.

    Args:
        version: The application's version, sent with every restore.
        capacity: How many commands may be without a reply.
        limits: The limits of messages from the server.
        paths: The subscriptions of the first transport.
    """

    def __init__(
        self,
        *,
        version: str | None = None,
        capacity: int = 1024,
        limits: Limits = FROM_SERVER,
        paths: tuple[str, ...] = DEFAULT_PATHS,
    ) -> None:
        self.session: Session | None = None
        self.paths = paths
        self.cursor: int | None = None
        """The greatest cursor received in an event or a result, of the actor `_actor_id`."""
        self.recovered: bool | None = None
        """Whether all missed events were replayed when the session was last resumed."""
        self._actor_id: str | None = None
        self._session_cursor = -1
        """The cursor of the newest event about the session."""
        self._announced_id: str | None = None
        """The id in a `session.set` without a cursor, until the reply to its restore."""
        self._key: str | None = None
        self._given_key: str | None = None
        """A key set by the program, until the server accepts or refuses it."""
        self._resumed_key: str | None = None
        """The key of the session to resume, until the server accepts or refuses it."""
        self._version = version
        self._limits = limits
        self._calls = Calls(capacity)
        self._has_transport = False
        self._is_paused = False
        self._is_bound = False

    @property
    def key(self) -> str | None:
        """The key that is restored on the next transport."""
        return self._key if self._given_key is None else self._given_key

    @property
    def stored_session(self) -> StoredSession | None:
        """What resumes the session in another run of the program; None without a session."""
        return None if self._key is None else StoredSession(self._key, self.cursor)

    @property
    def is_open(self) -> bool:
        """Whether there is a transport on which subscriptions and session are restored."""
        return self._has_transport and not self._calls.has_internal

    @property
    def has_work(self) -> bool:
        """Whether a transport is needed: for a session to restore, or a command to send."""
        return self.key is not None or self._calls.has_waiting

    @property
    def in_flight(self) -> bool:
        """Whether a caller waits for the reply to a command that was sent."""
        return self._calls.in_flight

    def command(self, method: CommandName, params: list[Any]) -> Call:
        """
        Submit a command. It is sent when the conversation is open.

        Raises:
            QueueFull: If `capacity` commands have no reply.
            InvalidParams: If the parameters cannot be sent.
        """
        return self._calls.add(method, params)

    def restore_params(self, key: str) -> list[Any]:
        """Return the parameters of a restore by this client."""
        options: dict[str, Any] = {}
        if self._version is not None:
            options["version"] = self._version
        # Events of another session were not received before, so none were missed.
        if self.cursor is not None and key == self._key:
            options["cursor"] = self.cursor
        return [key, options] if options else [key]

    def abandon(self, call: Call) -> None:
        """Drop the call: its caller waits no more."""
        self._calls.abandon(call)

    def use_key(self, key: str) -> None:
        """
        Restore this key before the next command.

        Raises:
            InvalidSessionKey: If it cannot be sent.
        """
        # Storage may return anything, and the next transport must not fail on it.
        params = self.restore_params(key)
        if not isinstance(key, str) or not is_encodable(CommandName.RESTORE, params):
            raise InvalidSessionKey("the key cannot be sent")
        self._given_key = key
        if self._has_transport:
            self._restore(key)

    def resume(self, stored: StoredSession) -> None:
        """
        Resume the session of an earlier run, on the first transport.

        Raises:
            InvalidSessionKey: If the key cannot be sent.
        """
        if not is_encodable(CommandName.RESTORE, self.restore_params(stored.key)):
            raise InvalidSessionKey("the key cannot be sent")
        self._key = self._resumed_key = stored.key
        self.cursor = stored.cursor

    def transport_opened(self) -> None:
        """Restore subscriptions and session on a new transport."""
        self._has_transport, self._is_paused, self._is_bound = True, False, False
        self._announced_id = None
        # Subscribe first, so that the restore replays events of these paths.
        if missing := [path for path in self.paths if path not in DEFAULT_PATHS]:
            self._calls.add(CommandName.SUBSCRIBE, [missing], is_internal=True)
        if surplus := [path for path in DEFAULT_PATHS if path not in self.paths]:
            self._calls.add(CommandName.UNSUBSCRIBE, [surplus], is_internal=True)
        if self.key is None:
            self.session = None
        else:
            self._restore(self.key)

    def transport_lost(self) -> list[Answer]:
        """End the transport. Commands that may have run, and must not run twice, fail."""
        if self._is_bound:
            self._resumed_key = self._key
        self._has_transport = self._is_bound = False
        return [Answer(call.id, ConnectionLost()) for call in self._calls.transport_lost()]

    def pause(self) -> None:
        """Send nothing more on this transport."""
        self._is_paused = True

    def close(self, error: KeystayError) -> list[Answer]:
        """Return failures for all commands: with this error for those that were never sent."""
        answers = self.transport_lost()
        return answers + [Answer(call.id, error) for call in self._calls.clear()]

    def next_message(self) -> bytes | None:
        """Take the next message to send; None while there is none."""
        if not self._has_transport or self._is_paused:
            return None
        call = self._calls.next_to_send()
        return None if call is None else call.message

    def receive(self, message: bytes) -> list[Answer | Event]:
        """
        Process a message; return the answers and events for the program, in order.

        The data of a `session.set` event is a `Session`.

        Raises:
            MalformedFrame: If the server broke the protocol. Disconnect.
            CommandError: If the server cannot restore the session now. Disconnect, and
                try again later.
        """
        match decode(message, self._limits):
            case Reply() as reply:
                return self._receive_reply(reply)
            case Event() as event:
                return self._receive_event(event)
        raise MalformedFrame("a server sends no commands")

    def _receive_reply(self, reply: Reply) -> list[Answer | Event]:
        call = self._calls.find(reply.id)
        if call is None:
            raise MalformedFrame("a reply to a command that was not sent")
        error, result = None, None
        if reply.error is None:
            result = self._apply_result(call, reply.result)
        else:
            error = error_from_reply(reply.error, reply.result)
        # After the result was read: if that failed, the call must count as unanswered.
        self._calls.answered(call)
        if call.is_internal:
            return self._resumed(call, reply) if error is None else [self._refused(call, error)]
        return [] if call.is_abandoned else [Answer(call.id, error, result)]

    def _receive_event(self, event: Event) -> list[Answer | Event]:
        session = Session.from_wire(event.data) if event.name == SESSION_SET else None
        if not self._is_new(event.cursor, session):
            return []
        if session is not None:
            self._announced_id = session.id if event.cursor is None else None
            event = replace(event, data=self._set(session, event.cursor))
        elif event.name == SESSION_UNSET:
            self._unset(event)
        return [event]

    def _apply_result(self, call: Call, result: Any) -> Any:
        """Parse a result, and apply it to the session and the subscriptions."""
        match call.method, result:
            case CommandName.RESTORE | CommandName.LOGIN, {
                "session": wire,
                "cursor": cursor,
            } if cursor is None or is_cursor(cursor):
                return self._apply_bound(call, Session.from_wire(wire), cursor)
            case CommandName.LOGOUT, None:
                if call.params != [{"scope": LogoutScope.OTHERS}]:
                    self._forget()
                return None
            case CommandName.LIST, list(sessions):
                return [Session.from_wire(wire) for wire in sessions]
            case CommandName.SUBSCRIBE | CommandName.UNSUBSCRIBE, list(paths) if all(
                isinstance(path, str) for path in paths
            ):
                # An internal call is one step towards `paths`, and does not change them.
                if not call.is_internal:
                    self.paths = tuple(paths)
                return tuple(paths)
            case (CommandName.IS_VALID, None) | (CommandName.NOW, int()):
                return result
        raise MalformedFrame(f"not a result of {call.method}")

    def _apply_bound(self, call: Call, session: Session, cursor: int | None) -> Session:
        if call.is_internal and call.params[0] == self._given_key:
            self._given_key = None
        self._is_new(cursor, session)
        # The event precedes the reply, unless the program unsubscribed from it, and the
        # session may have changed or ended in between.
        is_announced, self._announced_id = self._announced_id == session.id, None
        is_old = cursor is not None and cursor <= self._session_cursor
        if not (is_announced or is_old):
            self._set(session, cursor)
        return session

    def _resumed(self, call: Call, reply: Reply) -> list[Answer | Event]:
        """Return `session.recovered` if this reply resumed the session."""
        if call.method != CommandName.RESTORE:
            return []
        left, self._resumed_key = self._resumed_key, None
        if call.params[0] != left:
            return []  # It is another session: no event was missed.
        self.recovered = reply.result.get("recovered") is True
        return [Event(SESSION_RECOVERED, {"recovered": self.recovered}, None)]

    def _refused(self, call: Call, error: CommandError) -> Event:
        """Return the end of the session if its restore was refused for good; else raise."""
        if call.method != CommandName.RESTORE or not isinstance(error, _FORGET_THE_KEY):
            raise error
        key = call.params[0]
        if key == self._given_key:
            self._given_key = None
        id_ = None
        if not self._is_bound:
            self._resumed_key = None
            id_ = self.session.id if self.session and self._key == key else None
            self._forget()
        return Event(SESSION_UNSET, {"reason": error.code, "id": id_}, None)

    def _restore(self, key: str) -> None:
        self._calls.add(CommandName.RESTORE, self.restore_params(key), is_internal=True)

    def _is_new(self, cursor: int | None, session: Session | None) -> bool:
        """Keep the cursor if it is greater; return False if its event was received before."""
        if session is not None and session.actor_id != self._actor_id:
            # The cursor of a stored session belongs to the actor of its key.
            if self._actor_id is not None or session.key != self._key:
                self.cursor = None
            self._actor_id, self._session_cursor = session.actor_id, -1
        if cursor is None:
            return True
        if self.cursor is not None and cursor <= self.cursor:
            return False
        self.cursor = cursor
        return True

    def _set(self, session: Session, cursor: int | None) -> Session:
        if session.key is None and self.session is not None and session.id == self.session.id:
            session = replace(session, key=self.session.key)
        self.session, self._key, self._is_bound = session, session.key, True
        if cursor is not None:
            self._session_cursor = cursor
        return session

    def _unset(self, event: Event) -> None:
        match event.data:
            case {"reason": str()}:
                id_ = event.data.get("id")
            case _:
                raise MalformedFrame("session.unset without a reason")
        if event.cursor is not None:
            self._session_cursor = event.cursor
        if self.session is not None and id_ in (None, self.session.id):
            self._forget()

    def _forget(self) -> None:
        self.session, self._key, self._is_bound = None, None, False
