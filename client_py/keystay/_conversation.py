"""
The conversation with a server, without I/O.

Messages come in through `receive`, messages to send come out of
`next_message`; a `Link` outlives the lines it speaks over. The law of this
module: whatever a line does, each command gets exactly one answer, nothing of
the program's goes out on a new line before the session and the subscriptions
are as they were, and `session` is what the server said last.
"""

from dataclasses import dataclass, replace
from typing import Any

from keystay._calls import Call, Calls, can_be_sent
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
"""After any other refusal the session may well live (SPEC section 8)."""

SESSION_RECOVERED = "session.recovered"
"""What a program is told, by the client itself, when a session was taken up again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of the command with this id: refused with `error`, or done with `result`."""

    id: int
    error: KeystayError | None
    result: Any = None


class Link:
    """
    What one client knows and waits for.

    Args:
        version: The application's version, told with every restore.
        capacity: How many commands may be unanswered.
        limits: What is taken from the server.
        paths: What is subscribed to with the first line.
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
        """The greatest that came with an event or a result, in the stream of `_actor_id`."""
        self.recovered: bool | None = None
        """Whether all was replayed that was missed before the session was last taken up."""
        self._actor_id: str | None = None
        self._session_cursor = -1
        """Position of the newest event about the session."""
        self._announced_id: str | None = None
        """The session of a `session.set` without a cursor, until the reply of its restore."""
        self._key: str | None = None
        self._adopted: str | None = None
        """A key the program gave, until the server has judged it."""
        self._left: str | None = None
        """The key of a session that was left, until it is taken up again or given up."""
        self._version = version
        self._limits = limits
        self._calls = Calls(capacity)
        self._is_up = False
        self._is_held = False
        self._is_bound = False

    @property
    def key(self) -> str | None:
        """The key that is restored on the next line."""
        return self._key if self._adopted is None else self._adopted

    @property
    def to_store(self) -> StoredSession | None:
        """What takes the session up in another run of the program; None without a session."""
        return None if self._key is None else StoredSession(self._key, self.cursor)

    @property
    def is_open(self) -> bool:
        """Whether there is a line, and everything on it is as it was on the one before."""
        return self._is_up and not self._calls.has_own

    @property
    def has_business(self) -> bool:
        """Whether there is a reason to have a line: a session to restore, or a command."""
        return self.key is not None or self._calls.has_waiting

    @property
    def in_flight(self) -> bool:
        """Whether a command is on the line that somebody waits for."""
        return self._calls.in_flight

    def command(self, method: CommandName, params: list[Any]) -> Call:
        """
        Give a command. It goes out as soon as the link is open.

        Raises:
            QueueFull: If as many as allowed are unanswered.
            InvalidParams: If the parameters cannot be sent.
        """
        return self._calls.add(method, params)

    def restore_params(self, key: str) -> list[Any]:
        """The parameters of a restore by this client."""
        options: dict[str, Any] = {}
        if self._version is not None:
            options["version"] = self._version
        # Of any other session nothing was heard, so nothing of it was missed.
        if self.cursor is not None and key == self._key:
            options["cursor"] = self.cursor
        return [key, options] if options else [key]

    def abandon(self, call: Call) -> None:
        """Stop waiting for an answer; there will be none."""
        self._calls.abandon(call)

    def adopt(self, key: str) -> None:
        """
        Speak for this key from the next command on; restore it first.

        Raises:
            InvalidSessionKey: If it is nothing that can be sent.
        """
        # Storage may hold anything, and the next line must not stumble over it.
        params = self.restore_params(key)
        if not isinstance(key, str) or not can_be_sent(CommandName.RESTORE, params):
            raise InvalidSessionKey("the key cannot be sent")
        self._adopted = key
        if self._is_up:
            self._restore(key)

    def take_up(self, stored: StoredSession) -> None:
        """
        Hold the session of an earlier run; it is restored with the first line.

        Raises:
            InvalidSessionKey: If the key is nothing that can be sent.
        """
        if not can_be_sent(CommandName.RESTORE, self.restore_params(stored.key)):
            raise InvalidSessionKey("the key cannot be sent")
        self._key = self._left = stored.key
        self.cursor = stored.cursor

    def line_opened(self) -> None:
        """Take the conversation up on a fresh line."""
        self._is_up, self._is_held, self._is_bound = True, False, False
        self._announced_id = None
        # Subscribe before restoring: what the restore sends is then heard already.
        if missing := [path for path in self.paths if path not in DEFAULT_PATHS]:
            self._calls.add(CommandName.SUBSCRIBE, [missing], is_own=True)
        if surplus := [path for path in DEFAULT_PATHS if path not in self.paths]:
            self._calls.add(CommandName.UNSUBSCRIBE, [surplus], is_own=True)
        if self.key is None:
            self.session = None
        else:
            self._restore(self.key)

    def line_lost(self) -> list[Answer]:
        """Give up the line. Commands that may have run, and may not run twice, are answered."""
        if self._is_bound:
            self._left = self._key
        self._is_up = self._is_bound = False
        return [Answer(call.id, ConnectionLost()) for call in self._calls.line_lost()]

    def hold(self) -> None:
        """Send nothing more on this line."""
        self._is_held = True

    def close(self, error: KeystayError) -> list[Answer]:
        """Answer everything that waits: what never ran, with this error."""
        answers = self.line_lost()
        return answers + [Answer(call.id, error) for call in self._calls.clear()]

    def next_message(self) -> bytes | None:
        """Take the next message for the line; None while there is nothing to send."""
        if not self._is_up or self._is_held:
            return None
        call = self._calls.next_to_send()
        return None if call is None else call.message

    def receive(self, message: bytes) -> list[Answer | Event]:
        """
        Take a message in; return what it means to the program, in order.

        A `session.set` event comes out with a `Session` as its data.

        Raises:
            MalformedFrame: If the server broke the protocol. Hang up.
            CommandError: If the server cannot take the conversation up again now.
                Hang up, and try again later.
        """
        match decode(message, self._limits):
            case Reply() as reply:
                return self._replied(reply)
            case Event() as event:
                return self._happened(event)
        raise MalformedFrame("a server sends no commands")

    def _replied(self, reply: Reply) -> list[Answer | Event]:
        call = self._calls.find(reply.id)
        if call is None:
            raise MalformedFrame("a reply to a command that was not given")
        error, result = None, None
        if reply.error is None:
            result = self._learn(call, reply.result)
        else:
            error = error_from_reply(reply.error, reply.result)
        # Not before it was understood: whatever hangs up must find the call unanswered.
        self._calls.answered(call)
        if call.is_own:
            return (
                self._taken_up(call, reply) if error is None else [self._refused(call, error)]
            )
        return [] if call.is_abandoned else [Answer(call.id, error, result)]

    def _happened(self, event: Event) -> list[Answer | Event]:
        session = Session.from_wire(event.data) if event.name == SESSION_SET else None
        if not self._is_news(event.cursor, session):
            return []
        if session is not None:
            self._announced_id = session.id if event.cursor is None else None
            event = replace(event, data=self._set(session, event.cursor))
        elif event.name == SESSION_UNSET:
            self._unset(event)
        return [event]

    def _learn(self, call: Call, result: Any) -> Any:
        """Read a result, and remember what it says about the session and the subscriptions."""
        match call.method, result:
            case CommandName.RESTORE | CommandName.LOGIN, {
                "session": wire,
                "cursor": cursor,
            } if cursor is None or is_cursor(cursor):
                return self._bound(call, Session.from_wire(wire), cursor)
            case CommandName.LOGOUT, None:
                if call.params != [{"scope": LogoutScope.OTHERS}]:
                    self._forget()
                return None
            case CommandName.LIST, list(sessions):
                return [Session.from_wire(wire) for wire in sessions]
            case CommandName.SUBSCRIBE | CommandName.UNSUBSCRIBE, list(paths) if all(
                isinstance(path, str) for path in paths
            ):
                # The answer to the link's own tells of one step towards `paths`, not of them.
                if not call.is_own:
                    self.paths = tuple(paths)
                return tuple(paths)
            case (CommandName.IS_VALID, None) | (CommandName.NOW, int()):
                return result
        raise MalformedFrame(f"a result that {call.method} does not have")

    def _bound(self, call: Call, session: Session, cursor: int | None) -> Session:
        if call.is_own and call.params[0] == self._adopted:
            self._adopted = None
        self._is_news(cursor, session)
        # The event came before the reply, unless the program unsubscribed from it;
        # and the session may have changed or ended since.
        is_announced, self._announced_id = self._announced_id == session.id, None
        is_old = cursor is not None and cursor <= self._session_cursor
        if not (is_announced or is_old):
            self._set(session, cursor)
        return session

    def _taken_up(self, call: Call, reply: Reply) -> list[Answer | Event]:
        """Tell what became of what was missed, if that was the last step of coming back."""
        if call.method != CommandName.RESTORE:
            return []
        left, self._left = self._left, None
        if call.params[0] != left:
            return []  # Of another session nothing was missed.
        self.recovered = reply.result.get("recovered") is True
        return [Event(SESSION_RECOVERED, {"recovered": self.recovered}, None)]

    def _refused(self, call: Call, error: CommandError) -> Event:
        """The session was not taken up again. Tell the program as an end of the session."""
        if call.method != CommandName.RESTORE or not isinstance(error, _FORGET_THE_KEY):
            raise error
        key = call.params[0]
        if key == self._adopted:
            self._adopted = None
        id_ = None
        if not self._is_bound:
            self._left = None
            id_ = self.session.id if self.session and self._key == key else None
            self._forget()
        return Event(SESSION_UNSET, {"reason": error.code, "id": id_}, None)

    def _restore(self, key: str) -> None:
        self._calls.add(CommandName.RESTORE, self.restore_params(key), is_own=True)

    def _is_news(self, cursor: int | None, session: Session | None) -> bool:
        """Keep the cursor if it is newer; tell whether its event was not received before."""
        if session is not None and session.actor_id != self._actor_id:
            # The cursor of a stored session belongs to the actor that its key opens.
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
