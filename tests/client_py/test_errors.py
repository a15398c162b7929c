"""The tree of errors that a program can catch."""

import pytest

import keystay
from keystay import errors
from keystay_protocol.errors import BY_CODE, CommandError, KeystayError


@pytest.mark.parametrize("code", BY_CODE)
def test_every_code_of_the_wire_has_a_class_in_the_sdk(code: str) -> None:
    """`except keystay.Expired` works for each of them."""
    cls = BY_CODE[code]
    assert getattr(keystay, cls.__name__) is cls


def client_errors() -> list[type[keystay.ClientError]]:
    """The errors that no server sends."""
    return keystay.ClientError.__subclasses__()


def test_the_errors_of_the_client_are_drawn_and_exported() -> None:
    """The tree at the top of `errors.py` is the tree."""
    assert errors.__doc__ is not None
    for cls in client_errors():
        assert getattr(keystay, cls.__name__) is cls
        assert f"{cls.__name__:<20}" in errors.__doc__
        assert f'"{cls.code}"' in errors.__doc__


def test_no_code_means_two_things() -> None:
    """A callback can tell what the server said from what happened to the client."""
    codes = [cls.code for cls in client_errors()]
    assert len(codes) == len(set(codes))
    assert not set(codes) & set(BY_CODE)


def test_one_root_for_all() -> None:
    """`except keystay.KeystayError` catches whatever this package raises on purpose."""
    assert issubclass(keystay.ClientError, KeystayError)
    assert issubclass(CommandError, keystay.KeystayError)
