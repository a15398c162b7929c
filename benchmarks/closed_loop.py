"""
Many connections, each with one command under way: the next one leaves with the reply.
"""

import select
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks.wire import ANSWER_S, RECEIVE_BYTES, Client


class WrongReply(Exception):
    """The server did not say what it has to."""


@dataclass(frozen=True, slots=True)
class Caller:
    """
    One connection and the command that it sends again and again.

    `is_right` judges all the messages that one command brings: its events and
    its reply. With `in_flight` more than one, that many leave together, and the next
    ones when all are answered.
    """

    client: Client
    frame: bytes
    is_right: Callable[[list[Any]], bool]
    in_flight: int = 1

    def ask_once(self) -> int:
        """Ask, judge the answer, and return how many bytes it had."""
        self.client.send(self.frame * self.in_flight)
        answer = self.client.receive_up_to_replies(self.in_flight)
        self.judge(answer)
        return len(answer)

    def judge(self, answer: bytes) -> None:
        """
        See whether the answer is what it has to be.

        Raises:
            WrongReply: If it is not.
        """
        found = self.client.messages(answer)
        each = len(found) // self.in_flight
        for number in range(self.in_flight):
            if not self.is_right(found[number * each : (number + 1) * each]):
                raise WrongReply(found)


def run(callers: list[Caller], commands: int) -> None:
    """
    Have the callers send this many commands in all, and take every reply.

    While it counts, a reply is known by its length, which must be that of the
    first one; the first and the last reply of every caller are judged in full.
    """
    lengths = [caller.ask_once() for caller in callers]
    for caller in callers:
        # Without a timeout a read is one system call; epoll has one for all of them.
        caller.client.socket.settimeout(None)
    in_flight = callers[0].in_flight
    last = _circulate(callers, lengths, max(0, commands // in_flight - len(callers)))
    for caller, answer in zip(callers, last, strict=True):
        caller.client.socket.settimeout(ANSWER_S)
        if answer:
            caller.judge(answer)


def _circulate(callers: list[Caller], lengths: list[int], commands: int) -> list[bytes]:
    """Send the commands round and round; return the last answer to each caller."""
    last = [b""] * len(callers)
    begun = [b""] * len(callers)
    index_of = {caller.client.socket.fileno(): i for i, caller in enumerate(callers)}
    receive = [caller.client.socket.recv for caller in callers]
    send = [
        partial(caller.client.socket.send, caller.frame * caller.in_flight)
        for caller in callers
    ]
    with select.epoll() as epoll:
        for fd in index_of:
            epoll.register(fd, select.EPOLLIN)
        for ask in send[:commands]:
            ask()
        unsent, unanswered = max(0, commands - len(callers)), min(commands, len(callers))
        while unanswered:
            ready = epoll.poll(ANSWER_S)
            if not ready:
                raise WrongReply(f"{unanswered} commands were not answered")
            for fd, _ in ready:
                i = index_of[fd]
                answer = begun[i] + receive[i](RECEIVE_BYTES)
                if len(answer) != lengths[i]:
                    if len(answer) == len(begun[i]) or len(answer) > lengths[i]:
                        raise WrongReply(f"{len(answer)} bytes instead of {lengths[i]}")
                    begun[i] = answer
                    continue
                begun[i], last[i] = b"", answer
                if unsent:
                    unsent -= 1
                    send[i]()
                else:
                    unanswered -= 1
    return last
