"""What an answer means, and whether another attempt may go better."""

import json
from typing import Any

import pytest

import keystay
from keystay.control._answer import Answer, Failure, document_of, failure_of, field_of
from keystay_protocol.errors import BY_CODE, MalformedFrame


def refusal(status: int, retry_after: str = "", **problem: Any) -> Failure:
    body = json.dumps(problem).encode()
    failure = failure_of(Answer(status, "application/problem+json", retry_after, body))
    assert failure is not None
    return failure


@pytest.mark.parametrize("code", BY_CODE)
def test_every_code_of_the_wire_is_the_same_error_here(code: str) -> None:
    """`except keystay.NoSession` works for a backend as for a client."""
    error = refusal(400, code=code, detail="why", retryAfter=1.5).error
    assert type(error) is BY_CODE[code]
    assert (error.message, error.retry_after_s) == ("why", 1.5)


def test_a_word_of_a_backend_is_the_reason() -> None:
    """A session that ended in a backend's own word has it as its code."""
    error = refusal(410, code="banned").error
    assert isinstance(error, keystay.SessionEnded)
    assert error.code == "banned"


def test_an_unknown_refusal_keeps_its_code() -> None:
    """What a later version refuses can be told by its code."""
    error = refusal(422, code="otherBody", detail="this key was for another body").error
    assert isinstance(error, keystay.InvalidParams)
    assert (error.code, error.message) == ("otherBody", "this key was for another body")
    assert keystay.InvalidParams.code == "invalidParams"


def test_an_unknown_path_means_another_version() -> None:
    """A server without an endpoint says so with a problem; anything else is no server."""
    assert isinstance(refusal(404, title="Not Found").error, keystay.UnknownCommand)
    elsewhere = failure_of(Answer(404, "text/html", body=b"<h1>Not Found</h1>"))
    assert elsewhere is not None
    assert isinstance(elsewhere.error, keystay.UnexpectedAnswer)
    assert elsewhere.error.status == 404


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"[" * 100_000])
def test_a_problem_that_cannot_be_read(body: bytes) -> None:
    """The status says enough."""
    failure = failure_of(Answer(503, "application/problem+json", body=body))
    assert failure is not None
    assert isinstance(failure.error, keystay.Unavailable)


@pytest.mark.parametrize("told", [-1, True, "soon", [], None, float("inf"), float("nan")])
def test_a_time_that_is_none_is_passed_over(told: object) -> None:
    """Nobody waits for a nonsensical time."""
    assert refusal(503, retryAfter=told).retry_after_s == 0.0
    assert refusal(503, retry_after="Wed, 21 Oct 2026 07:28:00 GMT").retry_after_s == 0.0


def test_what_is_done_twice_at_most_when_in_doubt() -> None:
    """Only 429 says that nothing was done; other passing trouble leaves it open."""
    assert refusal(429).is_outcome_unknown is False
    assert all(refusal(status).is_outcome_unknown for status in (502, 503, 504))
    assert [refusal(status).is_transient for status in (400, 401, 404, 409, 500, 503)] == [
        *(False, False, False, False, False, True)
    ]


def test_a_document() -> None:
    """JSON is read, nothing is None, anything else is no answer of a server's."""
    assert document_of(Answer(200, body=b'{"a": 1}')) == {"a": 1}
    assert document_of(Answer(204)) is None
    with pytest.raises(keystay.UnexpectedAnswer):
        document_of(Answer(200, body=b"kst_secret"))


def test_a_field_has_exactly_its_type() -> None:
    """True is not a number here."""
    assert field_of({"n": 1}, "n", int) == 1
    documents: list[Any] = [{"n": True}, {"n": "1"}, {}, [], None]
    for document in documents:
        with pytest.raises(MalformedFrame, match="n is missing"):
            field_of(document, "n", int)


def test_a_body_never_shows() -> None:
    """An answer may hold a key: its repr does not."""
    assert "kst_" not in repr(Answer(200, body=b"kst_secret"))
