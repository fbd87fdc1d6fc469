"""`rewardloop recount` beside a running service."""

import asyncio

import httpx

from storage import client
from storage.keys import partition_of, prefix
from storage.recounting import DERIVED
from tests.service import Service

TENANT = "recount"
ROWS = ("/interaction-summary", "/interaction-summaries?customerId=c1", "/interaction-history?customerId=c1")


def counts(http: httpx.Client) -> list[object]:
    """Return what was counted, as the service answers it."""
    answers = [http.get(path) for path in ROWS]
    assert {answer.status_code for answer in answers} == {200}
    return [answer.json() for answer in answers]


async def lose_counts(service: Service) -> None:
    """Delete all that was counted for the tenant."""
    start = prefix(partition_of(TENANT, 64))
    async with client.writer(service.redis_url) as redis:
        async for name in redis.scan_iter(match=f"{start}*:{TENANT}*", count=1000):
            if bytes(name).removeprefix(start.encode()).partition(b":")[0] in DERIVED:
                await redis.delete(name)


def test_counts_that_were_lost_are_made_anew_from_the_log(service: Service) -> None:
    headers = service.tenant(TENANT)
    with httpx.Client(base_url=f"{service.url}/api/v1", headers=headers, timeout=30) as http:
        for n, outcome in enumerate(("impression", "click", "purchase", "dismiss") * 5):
            body = {"customerId": f"c{n % 2}", "creativeId": "cr1", "outcome": outcome, "idempotencyKey": f"k{n}"}
            assert http.post("/respond", json={**body, "conversionValue": n}).status_code == 201
        before = counts(http)
        asyncio.run(lose_counts(service))
        assert counts(http) != before
        for _ in range(2):
            told = service.command("recount", "--tenant", TENANT)
            assert told.startswith(f"{TENANT}: counted up to position ")
            assert counts(http) == before
    assert "there is no tenant 'nobody'" in service.command("recount", "--tenant", "nobody", code=1)
