"""
`gateway/login/jwt.py`: who gets in with which token.
"""

import json
import time
from base64 import urlsafe_b64encode
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import (
    generate_private_key as generate_rsa_key,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from keystay_protocol.errors import InvalidParams, LoginFailed
from keystay_server.gateway.login.authenticators import Identity
from keystay_server.gateway.login.jwt import Jwt
from keystay_server.gateway.login.token_refusals import Cause, TokenRefusals
from keystay_server.telemetry.counts import Counts

SECRET = b"a shared secret of 32 bytes, and more"
RSA = generate_rsa_key(65537, 2048)
ED25519 = Ed25519PrivateKey.generate()


def public_pem(key: Any) -> bytes:
    """The public half, as an operator stores it."""
    pem: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem


def claims(**changes: Any) -> dict[str, Any]:
    """The claims of a token that is accepted; None takes one away."""
    full = {"sub": "alice", "exp": int(time.time()) + 3600, **changes}
    return {name: value for name, value in full.items() if value is not None}


def token(key: Any = SECRET, algorithm: str = "HS256", **changes: Any) -> str:
    """A signed token."""
    return jwt.encode(claims(**changes), key, algorithm)


def forged(header: Any, payload: Any, signature: bytes = b"") -> str:
    """A token that no library would make."""
    parts = [json.dumps(header).encode(), json.dumps(payload).encode(), signature]
    return ".".join(urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


@pytest.mark.parametrize(
    ("key", "signer", "algorithm"),
    [
        (SECRET, SECRET, "HS256"),
        (SECRET + b"\n", SECRET, "HS256"),
        (public_pem(RSA), RSA, "RS256"),
        (b"\n" + public_pem(ED25519), ED25519, "EdDSA"),
    ],
)
async def test_a_signed_token_is_accepted(key: bytes, signer: Any, algorithm: str) -> None:
    """HS256, RS256 and EdDSA, as a string or in a map; the claims make the session."""
    signed = token(signer, algorithm, meta={"acl": ["admin"]}, language="de")
    expected = Identity("alice", {"acl": ["admin"]}, "de")
    assert await Jwt(key).authenticate(signed) == expected
    assert await Jwt(key).authenticate({"token": signed, "more": 1}) == expected


@pytest.mark.parametrize("credentials", [None, 7, [], {}, {"token": None}, b"bytes"])
async def test_a_token_is_a_string(credentials: Any) -> None:
    """Credentials of another form are `invalidParams`."""
    with pytest.raises(InvalidParams):
        await Jwt(SECRET).authenticate(credentials)


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": int(time.time()) - 20},
        {"exp": None},
        {"exp": "tomorrow"},
        {"exp": []},
        {"sub": None},
        {"sub": 7},
        {"sub": {}},
        {"nbf": int(time.time()) + 3600},
        {"iat": int(time.time()) + 3600},
        {"aud": "somebody else"},
        {"meta": "admin"},
        {"meta": ["admin"]},
        {"language": 7},
    ],
)
async def test_a_token_that_says_the_wrong_thing_is_refused(changes: dict[str, Any]) -> None:
    """Expired, not valid yet, without subject or end, for another audience, odd claims."""
    # PyJWT's own encoder will not sign all of these.
    signed = jwt.api_jws.encode(json.dumps(claims(**changes)).encode(), SECRET, "HS256")
    with pytest.raises(LoginFailed):
        await Jwt(SECRET).authenticate(signed)


@pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
async def test_the_clocks_of_issuer_and_server_may_differ(claim: str) -> None:
    """By ten seconds, unless configured otherwise."""
    now = int(time.time())
    off, far_off = (now - 5, now - 60) if claim == "exp" else (now + 5, now + 60)

    def dated(moment: int) -> str:
        return jwt.encode(claims(**{claim: moment}), SECRET, "HS256")

    assert await Jwt(SECRET).authenticate(dated(off))
    for way, moment in ((Jwt(SECRET), far_off), (Jwt(SECRET, leeway_s=0), off)):
        with pytest.raises(LoginFailed):
            await way.authenticate(dated(moment))
    assert await Jwt(SECRET, leeway_s=90).authenticate(dated(far_off))


@pytest.mark.parametrize(
    ("cause", "credentials"),
    [
        (Cause.EXPIRED, token(exp=1)),
        (Cause.NOT_YET_VALID, token(nbf=int(time.time()) + 3600)),
        (Cause.NOT_YET_VALID, token(iat=int(time.time()) + 3600)),
        (Cause.AUDIENCE, token(aud="somebody else", iss="us")),
        (Cause.AUDIENCE, token(iss="us")),
        (Cause.ISSUER, token(iss="them", aud="us")),
        (Cause.ISSUER, token(aud="us")),
        (Cause.CLAIM, token(sub=None, aud="us", iss="us")),
        (Cause.CLAIM, token(exp=None, aud="us", iss="us")),
        (Cause.CLAIM, token(meta=7, aud="us", iss="us")),
        (Cause.ALGORITHM, forged({"alg": "none", "typ": "JWT"}, claims())),
        (Cause.ALGORITHM, token(SECRET + b"0" * 64, "HS512")),
        (Cause.SIGNATURE, token(b"another secret of 32 bytes, and more")),
        (Cause.MALFORMED, "no token"),
    ],
    ids=lambda value: value if isinstance(value, Cause) else "token",
)
async def test_the_cause_is_for_the_operator(
    caplog: pytest.LogCaptureFixture, cause: Cause, credentials: str
) -> None:
    """A count by cause, and one line a minute, without anything of the token."""
    counts, clock = Counts(), [0.0]
    refusals = TokenRefusals(counts, lambda: clock[0])
    way = Jwt(SECRET, audience="us", issuer="us", refusals=refusals)
    for now in (0.0, 1.0, 61.0):
        clock[0] = now
        with pytest.raises(LoginFailed):
            await way.authenticate(credentials)
    assert +counts.tokens_refused == {cause: 3}
    first, second = caplog.messages
    assert second == f"{first}, and 1 more since the line before"
    assert credentials not in caplog.text


@pytest.mark.parametrize(
    ("configured", "signed", "is_accepted"),
    [
        ({"audience": "game"}, {"aud": "game"}, True),
        ({"audience": "game"}, {"aud": ["chat", "game"]}, True),
        ({"audience": "game"}, {"aud": "chat"}, False),
        ({"audience": "game"}, {}, False),
        ({"issuer": "us"}, {"iss": "us"}, True),
        ({"issuer": "us"}, {"iss": "them"}, False),
        ({"issuer": "us"}, {}, False),
        ({}, {"iss": "anybody"}, True),
    ],
)
async def test_audience_and_issuer_must_be_the_configured_ones(
    configured: dict[str, Any], signed: dict[str, Any], *, is_accepted: bool
) -> None:
    """A token for somebody else, or from somebody else, opens nothing here."""
    way = Jwt(SECRET, **configured)
    if is_accepted:
        assert (await way.authenticate(token(**signed))).actor_id == "alice"
    else:
        with pytest.raises(LoginFailed):
            await way.authenticate(token(**signed))


@pytest.mark.parametrize(
    ("key", "signer", "algorithm"),
    [
        (SECRET, b"another secret of 32 bytes, and more", "HS256"),
        (SECRET, SECRET + b"0" * 64, "HS512"),
        (SECRET, RSA, "RS256"),
        (public_pem(RSA), generate_rsa_key(65537, 2048), "RS256"),
        (public_pem(RSA), RSA, "PS256"),
        (public_pem(RSA), ED25519, "EdDSA"),
        (public_pem(ED25519), Ed25519PrivateKey.generate(), "EdDSA"),
        (public_pem(ED25519), b"0" * 32, "HS256"),
    ],
)
async def test_another_signature_is_refused(key: bytes, signer: Any, algorithm: str) -> None:
    """Another key, or another algorithm than the key is for."""
    with pytest.raises(LoginFailed, match="not accepted"):
        await Jwt(key).authenticate(token(signer, algorithm))


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", None, 1, ["HS256"], {}])
async def test_a_token_without_signature_is_refused(algorithm: Any) -> None:
    """`alg` is the forger's to write: `none` in any spelling is not an algorithm."""
    for key in (SECRET, public_pem(RSA), public_pem(ED25519)):
        with pytest.raises(LoginFailed):
            await Jwt(key).authenticate(forged({"alg": algorithm, "typ": "JWT"}, claims()))


@pytest.mark.parametrize("key", [RSA, ED25519])
async def test_a_public_key_is_not_a_shared_secret(key: Any) -> None:
    """HS256 made with the public key, which everybody knows, is refused: the key decides."""
    import hashlib
    import hmac

    head, _, _ = forged({"alg": "HS256", "typ": "JWT"}, claims()).rpartition(".")
    signature = hmac.digest(public_pem(key), head.encode(), hashlib.sha256)
    signed = f"{head}.{urlsafe_b64encode(signature).rstrip(b'=').decode()}"
    with pytest.raises(LoginFailed):
        await Jwt(public_pem(key)).authenticate(signed)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "a.b.c",
        "a.b.c.d",
        "é.é.é",
        "\ud800",
        "\x00",
        "eyJhbGciOiJIUzI1NiJ9",
        forged({}, {}),
        forged([], []),
        forged({"alg": "HS256", "crit": ["x"]}, {}),
        forged({"alg": "HS256", "b64": False}, {}),
    ],
)
async def test_what_is_no_token_is_refused(text: str) -> None:
    """Any text at all is `loginFailed`, and never an internal error."""
    with pytest.raises(LoginFailed):
        await Jwt(SECRET).authenticate(text)


async def test_a_header_nested_without_end_is_refused() -> None:
    """What makes the parser of JSON give up is one more token that is not accepted."""
    header = urlsafe_b64encode(b'{"alg":' + b"[" * 30_000).rstrip(b"=").decode()
    with pytest.raises(LoginFailed):
        await Jwt(SECRET).authenticate(f"{header}.e30.e30")


async def test_a_refusal_says_nothing_about_the_token() -> None:
    """A forger learns no more than that it did not work; an honest client, that it is late."""
    with pytest.raises(LoginFailed) as refusal:
        await Jwt(SECRET).authenticate(token(b"x" * 32))
    assert refusal.value.details() == {"message": "the token is not accepted"}
    assert refusal.value.__suppress_context__
    with pytest.raises(LoginFailed, match="the token has expired"):
        await Jwt(SECRET).authenticate(token(exp=1))


@pytest.mark.parametrize(
    "key",
    [
        b"",
        b"too short",
        b" " * 64,
        b"-----BEGIN PUBLIC KEY-----\nnonsense\n-----END PUBLIC KEY-----\n",
        public_pem(generate_private_key(SECP256R1())),
        ED25519.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    ],
)
def test_a_key_that_will_not_do_is_found_at_once(key: bytes) -> None:
    """A weak secret, a key of another kind and a private key are refused at the start."""
    with pytest.raises(ValueError) as refusal:  # noqa: PT011  # The text is the parser's.
        Jwt(key)
    assert "nonsense" not in str(refusal.value)
