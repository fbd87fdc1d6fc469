"""The demo: a tenant, a small catalogue, a key, and three lines to paste into a shell."""

import asyncio
import json
from importlib.resources import files
from typing import Final

from serve.cli.admin import load, new_key
from serve.cli.store import Store
from serve.cluster import service_url
from serve.plan import Plan
from serve.secretfile import secret_file
from serve.settings import Settings
from storage import client, config, tenants
from storage.clock import now_ms
from storage.keys import partition_of

TENANT: Final = "demo"
OUTCOME: Final = {
    "customerId": "c-1",
    "creativeId": "gold-card-hero",
    "outcome": "click",
    "idempotencyKey": "first-click",
}


def prepare(settings: Settings, plan: Plan) -> str:
    """Make the demo's tenant, catalogue and key where they are missing; return what to tell the person."""
    key_file = settings.data_dir / "demo.key"  # the store holds only an HMAC; the next start shows the key again
    if asyncio.run(_make_tenant(plan)):
        key_file.unlink(missing_ok=True)  # of a store that is gone
    return _greeting(settings, secret_file(key_file, lambda: asyncio.run(_make_key(plan))))


def _greeting(settings: Settings, key: str) -> str:
    url = service_url(settings)
    headers = f"-H 'X-Tenant-Id: {TENANT}' -H 'Authorization: Bearer {key}'"
    respond = (
        f"curl -s {url}/api/v1/respond {headers} -H 'Content-Type: application/json' -d '{json.dumps(OUTCOME)}'"
    )
    model = f"{url}/api/v1/algorithm-models/{tenants.DEFAULT_MODEL_ID}"
    return f"""\
tenant     {TENANT}
key        {key}

Record an outcome, record it again, see what was learned:
  {respond}
  {respond}
  curl -s '{model}/state?offerId=gold-card' {headers}
"""


async def _make_tenant(plan: Plan) -> bool:
    """Make tenant and catalogue unless they are there; return whether the tenant is new."""
    async with client.writer(plan.redis_url, plan.redis_replicas) as redis:
        is_new = not await tenants.exists(redis, plan.partitions, TENANT)
        if is_new:
            await tenants.create(redis, plan.partitions, TENANT, "Demo", now_ms())
        stored = await config.read(redis, partition_of(TENANT, plan.partitions), TENANT)
        if not stored.of_kind("offer"):  # what somebody changed since then stays
            catalog = (files("serve.demo") / "catalog.json").read_text(encoding="utf-8")
            await load(Store(redis, plan.partitions, plan.pepper), TENANT, json.loads(catalog))
        return is_new


async def _make_key(plan: Plan) -> str:
    async with client.writer(plan.redis_url, plan.redis_replicas) as redis:
        return await new_key(Store(redis, plan.partitions, plan.pepper), TENANT, "demo", ["admin"])
