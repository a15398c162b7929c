"""
`control/openapi.py`: the description of the API says what the server does.
"""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema_rs
import pytest
import pytest_asyncio

from tests.server.control.endpoints.test_sessions import opened
from tests.server.control.fuzz import API_KEY, fuzz
from tests.support.server_process import serving

pytestmark = pytest.mark.asyncio(loop_scope="session")

METHODS = {"get", "post", "patch", "delete"}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def document(stranger: httpx.AsyncClient) -> Any:
    """The OpenAPI document. It needs no key."""
    answer = await stranger.get("/v1/openapi.json")
    assert answer.status_code == 200
    return answer.json()


def operations(document: Any) -> Iterator[tuple[str, str, Any]]:
    """Method, path and description of each operation."""
    for path, item in document["paths"].items():
        for method in METHODS & set(item):
            yield method.upper(), path, item[method]


def schema(document: Any, reference: dict[str, str]) -> dict[str, Any]:
    """A schema, with those that it refers to beside it."""
    return {**reference, "components": document["components"]}


@pytest.mark.long
async def test_it_is_openapi_3_1(document: Any) -> None:
    """The document is valid OpenAPI 3.1, and each of its schemas is JSON Schema 2020-12."""
    # Imported late: it takes longer than the test.
    import schemathesis

    schemathesis.openapi.from_dict(document).validate()
    for described in document["components"]["schemas"].values():
        jsonschema_rs.meta.validate(
            {"$schema": "https://json-schema.org/draft/2020-12/schema", **described}
        )


async def test_each_schema_has_an_example(document: Any) -> None:
    """It is one of what it describes, and whoever reads the document sees it."""
    for name, described in document["components"]["schemas"].items():
        [example] = described["examples"]
        reference = {"$ref": f"#/components/schemas/{name}"}
        jsonschema_rs.validate(schema(document, reference), example)


async def test_each_operation_has_a_name_of_its_own(document: Any) -> None:
    """Generated clients have a method for each."""
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(names)) == len(names) >= 12


@pytest.mark.long
async def test_the_server_does_what_is_described() -> None:
    """
    Requests right and wrong get no status, type or body that is not in the description.

    What fits the description is accepted, and what does not is refused; the same
    requests each time. `make fuzz-api` sends more.
    """
    async with serving(env={"KEYSTAY_API_KEY": API_KEY}) as server, asyncio.timeout(60):
        code, output = await fuzz(
            server,
            *("--max-examples=5", "--seed=1", "--generation-deterministic"),
            "--phases=examples,coverage,fuzzing",
        )
    assert code == 0, output


async def test_a_session_is_as_described(backend: httpx.AsyncClient, document: Any) -> None:
    """A session has the fields that the description names, and no others."""
    session = await opened(backend, actorId="alice", meta={"a": [1, None]}, maxAge=9000)
    described = document["components"]["schemas"]["SessionWithKey"]
    assert set(session) == set(described["properties"])
    reference = {"$ref": "#/components/schemas/SessionWithKey"}
    jsonschema_rs.validate(schema(document, reference), session)


async def test_unknown_fields_and_parameters_are_refused(
    backend: httpx.AsyncClient, document: Any
) -> None:
    """Every operation refuses what its description does not name."""
    for method, path, operation in operations(document):
        if not operation["security"]:
            continue
        path = path.format(id="YQ.0000000000000000", actorId="a")
        answer = await backend.request(method, path, params={"no-such": "1"})
        assert "no-such" in answer.json()["detail"], (method, path)
        if "requestBody" in operation:
            body = json.dumps({"name": "a", "actorId": "a", "no-such": 1})
            answer = await backend.request(method, path, content=body)
            assert answer.status_code == 400, (method, path)
            assert "there is no field" in answer.json()["detail"], (method, path)
