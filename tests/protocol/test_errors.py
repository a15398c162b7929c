"""Everything that can be refused."""

import math
import re
from collections.abc import Callable

import pytest

from keystay_protocol import errors
from keystay_protocol.errors import (
    BY_CODE,
    CloseCode,
    CommandError,
    Expired,
    InvalidParams,
    KeystayError,
    NoSession,
    RateLimited,
    SessionEnded,
    Unavailable,
    UnknownRefusal,
    error_from_reply,
    is_reason,
    session_ended,
)

OTHER_CODES = sorted(code for code, cls in BY_CODE.items() if not issubclass(cls, SessionEnded))
REASONS = sorted(code for code, cls in BY_CODE.items() if issubclass(cls, SessionEnded))


class TestSpec:
    """The contract and the code name the same things."""

    def test_every_code_has_a_class_and_the_reverse(
        self, section: Callable[[int], str]
    ) -> None:
        """The table of SPEC section 6 lists the codes of the error tree, and no other."""
        codes = re.findall(r"^\| `(\w+)`(?: \(planned\))? \|", section(6), re.MULTILINE)
        assert len(codes) == len(set(codes))
        assert sorted(codes) == sorted(BY_CODE)

    def test_the_reasons_are_the_same(self, section: Callable[[int], str]) -> None:
        """A code that SPEC calls a reason is a kind of SessionEnded, and the reverse."""
        rows = re.findall(r"^\| `(\w+)`(?: \(planned\))? \| reason: ", section(6), re.MULTILINE)
        assert sorted(rows) == REASONS

    def test_every_close_code_is_listed_and_the_reverse(
        self, section: Callable[[int], str]
    ) -> None:
        """The table of SPEC section 7 lists the close codes, in order, and no other."""
        rows = re.findall(r"^\| (\d{4}) \|", section(7), re.MULTILINE)
        assert [int(code) for code in rows] == sorted(CloseCode)

    def test_the_tree_at_the_top_is_the_tree(self) -> None:
        """The drawing that opens the module shows each class with its code."""
        drawn = dict(re.findall(r"\+-- (\w+) +\"(\w+)\"", errors.__doc__ or ""))
        assert drawn == {cls.__name__: code for code, cls in BY_CODE.items()}


@pytest.mark.parametrize("code", sorted(BY_CODE))
def test_an_error_survives_the_wire(code: str) -> None:
    """A refusal arrives as the class it was raised as, with its message and its wait."""
    sent = BY_CODE[code]("why", retry_after_s=1.5)
    received = error_from_reply(sent.code, sent.details())
    assert type(received) is type(sent)
    assert received.code == code
    assert received.message == "why"
    assert received.retry_after_s == 1.5
    assert isinstance(received, KeystayError)


def test_details_are_nil_if_there_is_nothing_to_say() -> None:
    """A bare refusal carries no map; otherwise only what was given."""
    assert NoSession().details() is None
    assert InvalidParams("which one").details() == {"message": "which one"}
    assert RateLimited(retry_after_s=0.0).details() == {"retryAfter": 0.0}


def test_an_error_reads_as_its_message_or_its_code() -> None:
    """A traceback says more than the name of a class."""
    assert str(Unavailable("the store does not answer")) == "the store does not answer"
    assert str(NoSession()) == "noSession"
    assert str(session_ended("banned")) == "banned"


def test_a_code_never_stands_for_two_classes() -> None:
    """Each class has a code of its own, and a class without one cannot be looked up."""
    classes = set(BY_CODE.values())
    assert len(classes) == len(BY_CODE)
    assert not {CommandError, SessionEnded, UnknownRefusal} & classes


class TestUnknownCodes:
    """What a client does with codes of a later server (SPEC section 9)."""

    def test_without_a_wait_it_is_the_reason_a_session_ended(self) -> None:
        """A backend's own word arrives as the end of the session."""
        error = error_from_reply("banned", {"message": "for cheating"})
        assert type(error) is SessionEnded
        assert (error.code, error.message) == ("banned", "for cheating")

    def test_with_a_wait_it_passes(self) -> None:
        """Nobody loses a session over a new kind of trouble that passes."""
        error = error_from_reply("maintenance", {"retryAfter": 30})
        assert type(error) is UnknownRefusal
        assert (error.code, error.retry_after_s) == ("maintenance", 30.0)
        assert not isinstance(error, SessionEnded)

    def test_unknown_details_are_ignored(self) -> None:
        """A later server may say more about a refusal."""
        error = error_from_reply("noSession", {"hint": [1, 2], "message": "gone"})
        assert error.details() == {"message": "gone"}


@pytest.mark.parametrize("details", [None, [], "text", 5, {"message": 5}, {"message": None}])
def test_odd_details_are_no_details(details: object) -> None:
    """Whatever stands in the place of the details, the code still counts."""
    error = error_from_reply("noSession", details)
    assert type(error) is NoSession
    assert error.message == ""


@pytest.mark.parametrize("wait", [True, -1, -0.5, math.inf, math.nan, "5", None, [5]])
def test_an_odd_wait_is_no_wait(wait: object) -> None:
    """No `retryAfter` makes a client wait for ever or not at all by mistake."""
    assert error_from_reply("unavailable", {"retryAfter": wait}).retry_after_s is None


class TestReasons:
    """Why a session ended."""

    @pytest.mark.parametrize("reason", REASONS)
    def test_a_reason_of_the_protocol_has_its_class(self, reason: str) -> None:
        """The holder of an ended session's key is told by the class of that reason."""
        assert type(session_ended(reason)) is BY_CODE[reason]

    def test_a_backend_may_use_its_own_word(self) -> None:
        """Any other word becomes the code of that one SessionEnded, not of the class."""
        assert session_ended("banned").code == "banned"
        assert session_ended("cheating").code == "cheating"
        assert Expired().code == "expired"

    @pytest.mark.parametrize("code", OTHER_CODES)
    def test_a_code_with_another_meaning_is_no_reason(self, code: str) -> None:
        """A session cannot end in a way that its holder takes for something else."""
        assert not is_reason(code)
        assert type(session_ended(code)) is SessionEnded

    @pytest.mark.parametrize("word", [*REASONS, "banned", "a", "x" * 64, "tos.2-b_1"])
    def test_a_word_is_a_reason(self, word: str) -> None:
        """A letter, then up to 63 letters, digits, underscores, dots and hyphens."""
        assert is_reason(word)

    @pytest.mark.parametrize("word", ["", "x" * 65, "1st", "two words", "ä", "a\n", "-", "a:b"])
    def test_other_text_is_no_reason(self, word: str) -> None:
        """A reason is a word for programs, not a sentence for people."""
        assert not is_reason(word)


def test_close_codes_say_by_their_range_what_to_do() -> None:
    """4000 to 4499 is try again, 4500 to 4999 is do not come back."""
    again = {code for code in CloseCode if 4000 <= code < 4500}
    never = {code for code in CloseCode if 4500 <= code < 5000}
    assert again == {
        CloseCode.NO_SESSION_IN_TIME,
        CloseCode.TOO_SLOW,
        CloseCode.RATE_LIMITED,
        CloseCode.STORE_UNAVAILABLE,
    }
    assert never == {CloseCode.MALFORMED_FRAME, CloseCode.SESSION_ENDED, CloseCode.FORBIDDEN}
