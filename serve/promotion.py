"""Automatic promotion: a challenger that has won becomes the champion, once, and its experiment is over."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from learners.errors import LearnersUnavailable
from learners.experiments import Arm, compare
from serve import catalog, configuring, modelling
from serve.errors import ApiError
from serve.experiments import EXPERIMENT, MODEL, Variant, variants
from serve.services import Services
from serve.tenancy import Tenant
from storage import experiments
from storage.audit import Author
from storage.clock import now_ms, parse_iso
from storage.config import Doc, TenantConfig, Write
from storage.entry import ModelChange
from storage.errors import StorageUnavailable
from storage.experiments import Tally
from storage.logs import get_logger

INTERVAL_S: Final = 30.0
"""Experiments run for days; each look reads one small hash for each tenant that asks for it."""
DAY_MS: Final = 86_400_000

_log = get_logger()


async def promoting(services: Services, interval_s: float = INTERVAL_S) -> None:
    """Promote what is due, of the tenants that this replica serves, until cancelled."""
    while True:
        await asyncio.sleep(interval_s)
        for tenant in services.directory.held():
            try:
                await promote_due(services, tenant)
            except (ApiError, StorageUnavailable, LearnersUnavailable) as error:
                _log.warning("cannot promote now, trying again", tenant=tenant.id, error=str(error))


async def promote_due(services: Services, tenant: Tenant) -> str | None:
    """Promote the challenger that has won the tenant's experiment, if one has; return its model's id.

    The one best by rate is taken of those that beat the champion with the confidence asked for, at any time.

    Raises:
        ApiError: 503, others kept writing.
        StorageUnavailable: Redis did not answer.
    """
    doc = tenant.experiment
    if doc is None or not doc["autoPromote"] or now_ms() < _due_ms(doc):
        return None
    sides = variants(tenant.config, doc)
    tallies, _ = await experiments.read(
        services.redis, tenant.partition, tenant.id, doc["id"], [side.name for side in sides]
    )
    winner = _winner(doc, sides, tallies)
    if winner is None or winner.model_id is None:
        return None
    author = Author(f"experiment:{doc['id']}")
    model_id = winner.model_id
    _, writes = await configuring.write(
        services,
        tenant,
        author,
        lambda config: _promotion(config, doc["id"], model_id),
        lambda writes: _told(tenant.id, writes),
    )
    return model_id if writes else None


def _due_ms(doc: Doc) -> float:
    after_days: float = doc["promoteAfterDays"]
    return parse_iso(doc["startedAt"]) + after_days * DAY_MS


def _winner(doc: Doc, sides: Sequence[Variant], tallies: Sequence[Tally]) -> Variant | None:
    arms = [Arm(tally.samples, tally.conversions) for tally in tallies]
    better = [
        (arm.rate, place)
        for place, (side, arm) in enumerate(zip(sides, arms, strict=True))
        if side.role == "challenger" and compare(arm, arms[0]).confident(doc["promoteThreshold"])
    ]
    return sides[max(better)[1]] if better else None


def _promotion(config: TenantConfig, experiment_id: str, model_id: str) -> list[Write]:
    """Return the writes of a promotion; none if somebody else was faster, or has other plans with the model."""
    item, model = config.get(EXPERIMENT.name, experiment_id), config.get(MODEL, model_id)
    if item is None or item.doc["status"] != "active" or model is None or model.doc["status"] != "challenger":
        return []
    time_ms = now_ms()
    ended = catalog.updated(EXPERIMENT, config.tenant, item, {"status": "completed"}, time_ms)
    doc = {**ended.doc, "startedAt": item.doc["startedAt"], "promotedModelId": model_id}
    return [replace(ended, doc=doc), *modelling.promoted(config, model, "champion", time_ms)]


def _told(tenant: str, writes: Sequence[Write]) -> list[ModelChange]:
    return modelling.told(tenant, [write for write in writes if write.kind == MODEL])
