"""Configuration writes: decided on what was read, repeated when somebody else was faster, refused with a reason."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from learners.answers import CHAMPION
from learners.errors import LearnersUnavailable
from serve.errors import ApiError, bad_request, not_found, unavailable
from storage import config
from storage.audit import Author
from storage.config import TenantConfig, Write
from storage.entry import Body, unpack_entry
from storage.errors import ConfigConflict

if TYPE_CHECKING:
    from serve.services import Services
    from serve.tenancy import Tenant

RETRIES: Final = 5
"""Two writers of one item meet rarely; five times in a row, they are in a loop."""

LEARNED_WAIT_S: Final = 0.5
"""A push arrives within milliseconds, a lost one is read from the log within 0.2 s."""

Decide = Callable[[TenantConfig], Sequence[Write]]
Tell = Callable[[Sequence[Write]], Sequence[Body]]
"""Returns what the log is told of writes, in the same step."""


async def write(
    services: "Services", tenant: "Tenant", author: Author, decide: Decide, tell: Tell = lambda _: ()
) -> "tuple[Tenant, Sequence[Write]]":
    """Write what `decide` makes of the newest configuration, all or none; return the tenant after it.

    Raises:
        ApiError: 400 for a reference to nothing, 409 for a name or id in use, 503 if others kept writing.
        StorageUnavailable: Redis did not answer; whether it was written is unknown.
    """
    for _ in range(RETRIES):
        writes = decide(tenant.config)
        if not writes:
            return tenant, writes
        try:
            entries = await config.write(services.redis, tenant.partition, tenant.id, writes, tell(writes), author)
        except ConfigConflict as conflict:
            tenant = await services.directory.refresh(tenant.id)
            if conflict.rule != "version":
                raise refused(conflict, writes) from None
        else:
            if entries:
                services.learners.push(tenant.partition, entries)
                await _learned(services, tenant, unpack_entry(entries[-1]).position)
            return await services.directory.refresh(tenant.id), writes
    raise unavailable()


async def _learned(services: "Services", tenant: "Tenant", position: int) -> None:
    """Wait until the learners have taken in what the log was told, so that the next request meets it."""
    with suppress(LearnersUnavailable):  # it is written: a learner that is away will read it
        await services.learners.watch(tenant.partition, {(tenant.id, CHAMPION): (position - 1, -1)}, LEARNED_WAIT_S)


def refused(conflict: ConfigConflict, writes: Sequence[Write]) -> ApiError:
    """Return what a caller is told of a write that broke a rule."""
    write = next(one for one in writes if (one.kind, one.item_id) == (conflict.kind, conflict.item_id))
    match conflict.rule:
        case "exists":
            return ApiError(409, f"id {conflict.item_id!r} is taken")
        case "name":
            unique = "key" if conflict.kind in {"outcomeType", "model"} else "name"
            return ApiError(409, f"{unique} {write.name!r} is taken")
        case "reference":
            reference = next(ref for ref in write.references if ref.field == conflict.field)
            return bad_request(conflict.field, f"{reference.item_id!r} names no {reference.kind}")
        case _:
            return ApiError(409, "it was changed by somebody else at the same moment")


def found(tenant_config: TenantConfig, kind: str, item_id: str) -> config.Item:
    """Return a live item.

    Raises:
        ApiError: 404.
    """
    item = tenant_config.get(kind, item_id)
    if item is None:
        raise not_found(f"{kind} {item_id!r}")
    return item
