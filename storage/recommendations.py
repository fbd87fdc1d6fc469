"""Recommendations as the commit script recalls them: one hash each.

Fields: `customer`; `digest` of the request; `made` = packed time and features; for each rank N `rN` = the packed
resolution and `dN` = packed propensity, model key, variant and whether it was counted as delivered. An outcome's
decision is `made` and `dN` joined. One of an experiment has `experiment`, `variant`, and `converted` once it had a
positive outcome.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

from storage import keys
from storage.entry import Resolution, Scalar, pack
from storage.scripts import script

if TYPE_CHECKING:
    from redis.asyncio import Redis

Registered: TypeAlias = Literal["created", "repeated", "taken"]

_pack = msgspec.msgpack.encode


@dataclass(frozen=True, slots=True)
class Shown:
    """What stood at one rank of a recommendation."""

    rank: int
    resolution: Resolution
    propensity: float | None = None
    model_key: str | None = None
    variant: str | None = None


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A recommendation made to a customer; `digest` is equal for requests that mean the same."""

    id: str
    customer_id: str
    features: Mapping[str, Scalar]
    shown: Sequence[Shown]
    digest: bytes


def pack_point(propensity: float | None, model_key: str | None, variant: str | None, *, delivered: bool) -> bytes:
    """Return what `dN` holds."""
    return _pack(propensity) + _pack(model_key) + _pack(variant) + _pack(delivered)


async def register(
    redis: "Redis", partition: int, tenant: str, recommendation: Recommendation, ttl_ms: int
) -> Registered:
    """Store a recommendation for `ttl_ms`, unless its id is used: `repeated` by the same, `taken` by another.

    Raises:
        StorageUnavailable: Redis did not answer.
    """
    fields: list[bytes | str] = ["customer", recommendation.customer_id, "digest", recommendation.digest]
    for item in recommendation.shown:
        fields += [f"r{item.rank}", pack(item.resolution)]
        fields += [f"d{item.rank}", pack_point(item.propensity, item.model_key, item.variant, delivered=False)]
    name = keys.recommendation_key(partition, tenant, recommendation.id)
    args = [ttl_ms, _pack(dict(recommendation.features)), *fields]
    answer: Registered = (await script("recommendation").run(redis, [name], args)).decode()
    return answer
