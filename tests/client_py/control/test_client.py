"""What a backend does with a real server, and what clients see of it."""

import os
import subprocess
import sys
from typing import Any

import pytest

import keystay
from tests.client_py.control.conftest import API_KEY
from tests.support.client_py.http_peer import SESSION, answer, http_peer, problem
from tests.support.server_process import ServerProcess, serving

ODD_ACTORS = [
    *("7", "player:7", "realm/7", "/", "a//b/", "./", "../sessions", "a/../b", "50%", "%2F"),
    *("a?b#c&d=e+f", "Zoë \N{SNOWMAN}", "{7}", "a\nb\x00c", "x" * 128),
]


async def test_a_session_is_opened_with_what_is_given(control: keystay.Control) -> None:
    """The one answer with a key has all that was asked for, and the first revision."""
    session = await control.create_session(
        "opened",
        meta={"name": "Ada", "rights": ["read"]},
        language="de-CH",
        version="1.4.2",
        ttl_s=60,
        max_age_s=90.5,
    )
    assert session.key is not None
    assert session.key.startswith("opened:kst_")
    assert (session.actor_id, session.meta) == ("opened", {"name": "Ada", "rights": ["read"]})
    assert (session.language, session.version, session.revision) == ("de-CH", "1.4.2", 1)
    assert session.expires_at - session.created_at == 60_000
    assert session.ends_at == session.created_at + 90_500


async def test_what_is_not_given_is_as_the_server_has_it(control: keystay.Control) -> None:
    """Only the actor is required."""
    session = await control.create_session("bare")
    assert (session.meta, session.language, session.version) == ({}, "en", None)
    assert session.ends_at is None


async def test_the_client_restores_what_the_backend_opened(
    control: keystay.Control, client: keystay.Client
) -> None:
    """The key of a backend's answer binds a client's connection."""
    opened = await control.create_session("restored", meta={"level": 3})
    restored = await client.restore(opened.key)
    assert (restored.id, restored.meta) == (opened.id, {"level": 3})


async def test_a_session_is_shown_without_its_key(control: keystay.Control) -> None:
    """Nobody but whoever opened it gets a key."""
    opened = await control.create_session("shown")
    shown = await control.get_session(opened.id)
    assert (shown.id, shown.key, shown.revision) == (opened.id, None, 1)


async def test_a_change_reaches_the_client(
    control: keystay.Control, client: keystay.Client
) -> None:
    """A changed session has the next revision, and its holder gets `session.set`."""
    opened = await control.create_session("changed", meta={"level": 1})
    await client.restore(opened.key)
    events = client.events("session.set")
    changed = await control.update_session(
        opened.id, meta={"level": 2}, language="fr", revision=opened.revision
    )
    assert (changed.meta, changed.language, changed.revision) == ({"level": 2}, "fr", 2)
    assert (await anext(events)).data.meta == {"level": 2}


async def test_a_change_of_another_revision_is_refused(control: keystay.Control) -> None:
    """Nobody else's change is overwritten unseen."""
    opened = await control.create_session("conflict")
    await control.update_session(opened.id, language="fr")
    with pytest.raises(keystay.RevisionConflict):
        await control.update_session(opened.id, language="de", revision=opened.revision)
    assert (await control.get_session(opened.id)).language == "fr"


async def test_a_session_is_given_to_another_actor(
    control: keystay.Control, client: keystay.Client
) -> None:
    """The new one has a key of its own; the holder of the old is told `reassigned`."""
    guest = await control.create_session("guest:1", meta={"cart": [7]})
    await client.restore(guest.key)
    events = client.events("session.unset")
    member = await control.reassign_session(guest.id, "member:1")
    assert (member.actor_id, member.meta) == ("member:1", {"cart": [7]})
    assert member.key != guest.key
    assert (await anext(events)).data["reason"] == "reassigned"


async def test_a_session_is_ended(control: keystay.Control, client: keystay.Client) -> None:
    """Its holder is told the reason, and it is there no more."""
    opened = await control.create_session("ended")
    await client.restore(opened.key)
    events = client.events("session.unset")
    await control.revoke_session(opened.id, reason="banned")
    assert (await anext(events)).data["reason"] == "banned"
    for asked in (control.get_session(opened.id), control.revoke_session(opened.id)):
        with pytest.raises(keystay.NoSession):
            await asked
    with pytest.raises(keystay.SessionEnded, match="banned"):
        await client.is_valid(str(opened.key))


@pytest.mark.parametrize("actor_id", ODD_ACTORS)
async def test_an_actor_may_be_called_anything(control: keystay.Control, actor_id: str) -> None:
    """Whatever is in an actor id, paths lead to this actor and no other."""
    opened = [await control.create_session(actor_id) for _ in range(2)]
    assert await control.emit_to_actor(actor_id, "chat.line", "hello") > 0
    assert [session.id async for session in control.list_sessions(actor_id)] == [
        session.id for session in opened
    ]
    assert await control.revoke_sessions(actor_id) == 2
    assert [session async for session in control.list_sessions(actor_id)] == []


async def test_the_reason_that_ends_all_is_told(
    control: keystay.Control, client: keystay.Client
) -> None:
    """`revoke_sessions` tells every holder why."""
    opened = await control.create_session("all")
    await client.restore(opened.key)
    events = client.events("session.unset")
    assert await control.revoke_sessions("all", reason="shutdown") == 1
    assert (await anext(events)).data["reason"] == "shutdown"


async def test_events_reach_those_they_are_for(
    control: keystay.Control, client: keystay.Client, other: keystay.Client
) -> None:
    """To an actor, to one session, to everybody; the cursor is that which clients see."""
    one, two = [await control.create_session("told") for _ in range(2)]
    for holder, session in ((client, one), (other, two)):
        await holder.subscribe("chat")
        await holder.restore(session.key)
    heard, heard_by_other = client.events("chat"), other.events("chat")
    cursors = [
        await control.emit_to_actor("told", "chat.line", {"text": "to both"}),
        await control.emit_to_session(one.id, "chat.line", "to one"),
    ]
    await control.broadcast("chat.line", "to all")
    told = [await anext(heard) for _ in range(3)]
    assert [event.data for event in told] == [{"text": "to both"}, "to one", "to all"]
    assert [event.cursor for event in told[:2]] == cursors
    assert [(await anext(heard_by_other)).data for _ in range(2)] == [
        {"text": "to both"},
        "to all",
    ]


async def test_an_event_may_have_no_data(
    control: keystay.Control, client: keystay.Client
) -> None:
    """Its name may say it all."""
    opened = await control.create_session("plain")
    await client.subscribe("shop")
    await client.restore(opened.key)
    events = client.events("shop")
    await control.emit_to_session(opened.id, "shop.opened")
    assert (await anext(events)).data is None


@pytest.mark.parametrize(
    "fields",
    [
        {"meta": {"x": "y" * 5000}},
        {"meta": {"x": "y" * 70_000}},
        {"meta": {"x": {1, 2}}},
        {"meta": {"x": float("nan")}},
        {"language": "not a tag"},
        {"ttl_s": -1},
        {"idempotency_key": "with space"},
        {"idempotency_key": "line\r\nX-Other: 1"},
        {"idempotency_key": "x" * 256},
        {"idempotency_key": ""},
    ],
)
async def test_what_cannot_be_accepted_is_refused(
    control: keystay.Control, fields: dict[str, Any]
) -> None:
    """Whether the server says so or nothing could be sent, it is `InvalidParams`."""
    with pytest.raises(keystay.InvalidParams):
        await control.create_session("refused", **fields)


async def test_an_actor_that_is_no_text_is_refused(control: keystay.Control) -> None:
    """A lone surrogate is nobody's name."""
    for asked in (control.create_session("\ud800"), control.emit_to_actor("\ud800", "x")):
        with pytest.raises(keystay.InvalidParams):
            await asked


async def test_one_session_too_many_is_refused() -> None:
    """A policy that denies answers `sessionLimit`."""
    async with (
        serving("--policy", "deny:1") as server,
        keystay.Control(server.control, API_KEY) as control,
    ):
        await control.create_session("one")
        with pytest.raises(keystay.SessionLimit):
            await control.create_session("one")


async def test_a_wrong_key_is_refused(server: ServerProcess) -> None:
    """Nothing is done for whoever does not know the API key."""
    async with keystay.Control(server.control, "another-key") as stranger:
        with pytest.raises(keystay.Unauthorized):
            await stranger.create_session("alice")


async def test_the_actors_sessions_come_in_pages() -> None:
    """The next page is asked for when it is needed, from where the last one ended."""
    pages = [
        answer(200, {"sessions": [SESSION, {**SESSION, "id": "YQ.2"}], "next": "a&b"}),
        answer(200, {"sessions": [{**SESSION, "id": "YQ.3"}], "next": None}),
    ]
    async with (
        http_peer(*pages) as peer,
        keystay.Control(peer.url, API_KEY) as control,
    ):
        sessions = control.list_sessions("alice")
        await anext(sessions)
        assert len(peer.asked) == 1
        assert len([session async for session in sessions]) == 2
        assert [asked.target for asked in peer.asked] == [
            "/v1/sessions?actorId=alice",
            "/v1/sessions?actorId=alice&after=a%26b",
        ]


async def test_a_page_whose_last_session_has_ended_since() -> None:
    """The list is begun again, and nothing is told twice or left out."""
    one, two, three = [{**SESSION, "id": f"YQ.{number}"} for number in range(3)]
    pages = [
        answer(200, {"sessions": [one, two], "next": "YQ.1"}),
        problem(404, code="noSession"),
        answer(200, {"sessions": [one, three], "next": None}),
    ]
    async with http_peer(*pages) as peer, keystay.Control(peer.url, API_KEY) as control:
        told = [session.id async for session in control.list_sessions("alice")]
        assert told == ["YQ.0", "YQ.1", "YQ.2"]


async def test_connections_are_told(control: keystay.Control) -> None:
    """Where an actor's connections are, from where, and since when."""
    connection = {"node": "n1", "sessionId": "s", "address": "192.0.2.1", "since": 5}
    async with (
        http_peer(answer(200, {"connections": [connection]})) as peer,
        keystay.Control(peer.url, API_KEY) as control,
    ):
        assert await control.connections("a/b") == [
            keystay.BoundConnection("n1", "s", "192.0.2.1", 5)
        ]
        assert peer.asked[0].target == "/v1/connections?actorId=a%2Fb"


async def test_a_server_below_a_path(server: ServerProcess) -> None:
    """The URL may have a path, where a proxy serves several."""
    async with (
        http_peer(answer(200, SESSION)) as peer,
        keystay.Control(f"{peer.url}/keystay/", API_KEY) as control,
    ):
        await control.get_session("YQ.1")
        assert peer.asked[0].target == "/keystay/v1/sessions/YQ.1"
        assert repr(control) == f"<keystay.Control {peer.url}/keystay>"


@pytest.mark.parametrize(
    "url",
    [
        *("", "127.0.0.1:8331", "ws://127.0.0.1:8331", "http://", "http://host:port"),
        *("http://host:0", "http://user:kst_secret@host", "http://host?key=kst_secret"),
        "http://host#kst_secret",
    ],
)
def test_a_url_that_is_none(url: str) -> None:
    """It is refused before anything is sent, and not quoted: a key may be in it."""
    with pytest.raises(ValueError, match="http://HOST:PORT") as caught:
        keystay.Control(url, API_KEY)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("key", ["", "with space", "line\n", "sn\N{SNOWMAN}w"])
def test_an_api_key_that_is_none(key: str) -> None:
    """What cannot pass through a header is refused, and not quoted."""
    with pytest.raises(ValueError, match="API key") as caught:
        keystay.Control("http://127.0.0.1:8331", key)
    assert not key or key not in str(caught.value)


def test_without_h11() -> None:
    """The SDK needs no h11; `Control` says what to install."""
    program = """
import sys
sys.modules["h11"] = None
import keystay
keystay.verify_webhook, keystay.SessionSet, keystay.connect("ws://127.0.0.1:1")
try:
    keystay.Control("http://127.0.0.1:8331", "key")
except ImportError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={**os.environ}
    )
    assert done.stdout == "keystay.Control needs h11: pip install 'keystay[control]'\n"


def test_h11_is_loaded_when_it_is_needed() -> None:
    """A program that only connects does not wait for h11 to be imported."""
    program = "import sys, keystay; print('h11' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "False\n"
