"""Requests drawn from the OpenAPI document, right and wrong: every answer is one that the document tells of."""

from collections import Counter
from itertools import groupby
from typing import Any, Final

import httpx
import pytest
import requests
import schemathesis
from anyio import from_thread, to_thread
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.fuzzing import CASES, cases
from tests.integration.attacks import API, document, operator, prepare
from tests.integration.conftest import Api

pytestmark = pytest.mark.anyio


def resource(operation: Any) -> str:
    """Return what an operation is about: the start of its path."""
    return "/" + str(operation.path).removeprefix(API).split("/")[1]


def by_resource() -> dict[str, list[Any]]:
    """Return the document's operations, by what they are about."""
    found: Any = schemathesis.openapi.from_dict(document()).get_all_operations()
    return {name: list(some) for name, some in groupby(sorted((one.ok() for one in found), key=resource), resource)}


OPERATIONS: Final = by_resource()
CHECKS: Final[list[Any]] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
REFERENCES: Final = {"creativeId": "cr1", "offerId": "o1", "channelId": "ch1", "outcome": "click"}
OURS: Final = {"authorization", "x-api-key", "x-tenant-id"}
"""Headers that open the API; drawn ones would but be refused, as another test shows."""


def referring(case: Any) -> Any:
    """Let the ids in a body name what is there."""
    case.body = _referring(case.body)
    return case


def _referring(value: Any) -> Any:
    if isinstance(value, list):
        return [_referring(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {name: _referring(REFERENCES.get(name, one)) for name, one in value.items()}


def unlimited(case: Any) -> Any:
    """Let no accepted setting keep the requests behind it from being looked at."""
    if isinstance(case.body, dict) and isinstance(limits := case.body.get("rateLimits"), dict):
        high = {name: 1_000_000 for name, value in limits.items() if isinstance(value, int) and value > 0}
        case.body["rateLimits"] = limits | high
    return case


def drawn_from(operation: Any, places: dict[str, str]) -> st.SearchStrategy[Any]:
    """Return requests by the document and against it, to items that are there and to others."""
    there = places.get(resource(operation))
    named = {} if there is None else {"path_parameters": {one.name: there for one in operation.path_parameters}}
    right, wrong = GenerationMode.POSITIVE, GenerationMode.NEGATIVE
    return st.one_of(
        operation.as_strategy(generation_mode=right, **named).map(referring),
        operation.as_strategy(generation_mode=wrong, **named).map(referring),
        operation.as_strategy(generation_mode=right),
        operation.as_strategy(generation_mode=wrong),
    ).map(unlimited)


async def send(http: httpx.AsyncClient, case: Any) -> int:
    """Send a request with a key that may, hold the answer against the document; return its status."""
    sent = requests.Request(**case.as_transport_kwargs(base_url="http://test")).prepare()
    headers: dict[str, Any] = {name: value for name, value in sent.headers.items() if name.lower() not in OURS}
    content: Any = sent.body
    answer = await http.request(str(sent.method), str(sent.url), content=content, headers=headers)
    case.validate_response(answer, checks=CHECKS)
    return answer.status_code


def try_all(http: httpx.AsyncClient, operation: Any, places: dict[str, str]) -> Counter[int]:
    """Send what is drawn for an operation; return how often each status came."""
    came: Counter[int] = Counter()

    @settings(
        max_examples=cases(6),
        deadline=None,
        database=None,
        derandomize=not CASES,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=drawn_from(operation, places))
    def drawn(case: Any) -> None:
        came[from_thread.run(send, http, case)] += 1

    drawn()
    print("\n", operation.label, dict(sorted(came.items())))  # noqa: T201 - the figures of a long run
    return came


@pytest.mark.parametrize("name", OPERATIONS)
async def test_answers_are_documented(api: Api, name: str) -> None:
    places, came = await prepare(api), Counter[int]()
    async with operator(api) as its:
        http = its if name == "/tenants" else api.http
        for operation in sorted(OPERATIONS[name], key=lambda one: one.method == "delete"):
            # Requests are drawn in a thread, and sent in the loop that the application lives in.
            came += await to_thread.run_sync(try_all, http, operation, places)
    assert any(status < 300 for status in came), "some of what is drawn is accepted"
