"""
The backend's side: it opens, changes, reassigns and ends sessions, and sends events.
"""

import asyncio
import json
import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import httpx

from tests.soak.nodes import Node
from tests.soak.record import Request
from tests.soak.recorder import Recorder, SharedKey, state_of
from tests.support.backend import backend_of

PAUSE_S = (0.05, 0.5)
ANSWER_S = 60.0
SHORT_TTL_S = 8.0
"""Shorter than an outage; a session that is held is extended when 5/12 of it are gone."""
EVENT_NAME = "game.tick"
MAX_BURST = 10
"""Events that are sent right after one another: some will meet a client that moves."""
MAX_KEYS = 6
"""Keys of one actor that its clients share before no more are opened."""
LANGUAGES = ("en", "de", "fr", "pt-BR")

ACTIONS = {
    "emit": 30,
    "emitAll": 30,
    "open": 25,
    "change": 20,
    "end": 10,
    "reassign": 4,
    "endAll": 1,
}
"""What it does, and how often."""


class Backend:
    """One worker that acts at random, and asks whichever node it likes."""

    def __init__(
        self,
        recorder: Recorder,
        nodes: Sequence[Node],
        actor_ids: Sequence[str],
        rng: random.Random,
    ) -> None:
        self._recorder = recorder
        self._nodes = nodes
        self._actor_ids = actor_ids
        self._rng = rng

    async def work(self, is_ending: asyncio.Event) -> None:
        """Do this and that until the end."""
        async with backend_of(api_key="test-api-key", timeout=ANSWER_S) as client:
            while not is_ending.is_set():
                await self._do_something(client)
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._rng.uniform(*PAUSE_S)):
                        await is_ending.wait()

    async def _do_something(self, client: httpx.AsyncClient) -> None:
        [action] = self._rng.choices(list(ACTIONS), list(ACTIONS.values()))
        actor_id = self._rng.choice(self._actor_ids)
        keys = self._recorder.keys_of(actor_id)
        key = self._rng.choice(keys) if keys else None
        match action:
            case "open" if len(keys) < MAX_KEYS:
                await self._open(client, actor_id)
            case "change" if key is not None:
                await self._change(client, key)
            case "reassign" if key is not None:
                await self._reassign(client, key)
            case "end" if key is not None:
                await self._end(client, actor_id, key.session_id)
            case "endAll":
                await self._end(client, actor_id, "")
            case "emit" if key is not None:
                await self._emit_some(client, actor_id, key.session_id)
            case "emitAll":
                await self._emit_some(client, actor_id, "")

    async def _open(self, client: httpx.AsyncClient, actor_id: str) -> None:
        is_short = self._rng.random() < 0.4
        body: dict[str, Any] = {"actorId": actor_id}
        if is_short:
            body["ttl"] = SHORT_TTL_S
        request = Request("open", actor_id, self._recorder.now())
        done, answer = await self._send(client, request, "POST", "/v1/sessions", body)
        if done.status == 201:
            done = replace(done, opened_id=answer["id"])
            self._recorder.share(SharedKey(answer["key"], answer["id"], actor_id, is_short))
        self._recorder.add(done)

    async def _change(self, client: httpx.AsyncClient, key: SharedKey) -> None:
        """Change meta and language, mostly under the revision that was read before."""
        path, number = f"/v1/sessions/{key.session_id}", self._recorder.number()
        revision = await self._revision(client, path) if self._rng.random() < 0.8 else None
        language = self._rng.choice(LANGUAGES)
        body: dict[str, Any] = {"meta": {"number": number}, "language": language}
        if revision is not None:
            body["revision"] = revision
        request = Request(
            "change",
            key.actor_id,
            self._recorder.now(),
            key.session_id,
            number=number,
            revision=revision,
            state=state_of(number, language),
        )
        done, answer = await self._send(client, request, "PATCH", path, body)
        if done.status == 200:
            done = replace(done, new_revision=answer["revision"])
        self._recorder.add(done)

    async def _revision(self, client: httpx.AsyncClient, path: str) -> int | None:
        with suppress(httpx.TransportError):
            response = await client.get(self._rng.choice(self._nodes).control + path)
            if response.status_code == 200:
                revision: int = response.json()["revision"]
                return revision
        return None

    async def _reassign(self, client: httpx.AsyncClient, key: SharedKey) -> None:
        others = [each for each in self._actor_ids if each != key.actor_id]
        if not others:
            return
        target = self._rng.choice(others)
        path = f"/v1/sessions/{key.session_id}/reassign"
        request = Request(
            "reassign",
            key.actor_id,
            self._recorder.now(),
            key.session_id,
            number=self._recorder.number(),
            target=target,
        )
        done, answer = await self._send(client, request, "POST", path, {"actorId": target})
        if done.status == 201:
            done = replace(done, opened_id=answer["id"])
            self._recorder.withdraw(key.session_id)
            self._recorder.share(SharedKey(answer["key"], answer["id"], target, key.is_short))
        self._recorder.add(done)

    async def _end(self, client: httpx.AsyncClient, actor_id: str, session_id: str) -> None:
        reason = f"ban{self._recorder.number()}"
        kind = "end" if session_id else "endAll"
        path = f"/v1/sessions/{session_id}" if session_id else f"/v1/actors/{actor_id}/sessions"
        request = Request(kind, actor_id, self._recorder.now(), session_id, reason)
        done, answer = await self._send(client, request, "DELETE", f"{path}?reason={reason}")
        if done.status == 200:
            done = replace(done, ended=answer["ended"])
        self._recorder.add(done)

    async def _emit_some(
        self, client: httpx.AsyncClient, actor_id: str, session_id: str
    ) -> None:
        count = self._rng.randint(1, MAX_BURST)
        for _ in range(count):
            await self._emit(client, actor_id, session_id)

    async def _emit(self, client: httpx.AsyncClient, actor_id: str, session_id: str) -> None:
        """Send an event to one session, or to all of the actor's."""
        number = self._recorder.number()
        kind = "emit" if session_id else "emitAll"
        path = f"/v1/sessions/{session_id}" if session_id else f"/v1/actors/{actor_id}"
        body = {"name": EVENT_NAME, "data": {"number": number, "actorId": actor_id}}
        request = Request(kind, actor_id, self._recorder.now(), session_id, number=number)
        done, answer = await self._send(client, request, "POST", f"{path}/events", body)
        if done.status == 201:
            done = replace(done, cursor=answer["cursor"])
        self._recorder.add(done)

    async def _send(
        self,
        client: httpx.AsyncClient,
        request: Request,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
    ) -> tuple[Request, Any]:
        """Send the request; return it with its answer's status, and the body of the answer."""
        url = self._rng.choice(self._nodes).control + path
        try:
            response = await client.request(method, url, json=body)
        except httpx.TransportError:
            return request, None
        answer = json.loads(response.content) if response.content else None
        done = replace(request, answered=self._recorder.now(), status=response.status_code)
        return done, answer
