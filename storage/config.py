"""A tenant's configuration: versioned items that are read whole, then by what changed.

An item is a JSON object under a kind and an id. A write names the version it was decided on, so that two writers
cannot overwrite each other, and the references and names it relies on are checked in the store, in the same step.
"""

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import random
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from storage import keys
from storage.audit import COMMAND, GENESIS, Action, Author, Change, Tip, chained
from storage.entry import Body, pack
from storage.errors import ConfigConflict, StorageUnavailable
from storage.scripts import Arg, script

if TYPE_CHECKING:
    from redis.asyncio import Redis

Doc: TypeAlias = dict[str, Any]
"""A JSON object."""

CHAIN_RETRIES: Final = 200
"""Each means that another writer has got further."""
CHAIN_PAUSE_S: Final = 0.01

_EMPTY: Final[Mapping[str, "Item"]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Item:
    """One item of configuration; `live` is false once it is deleted."""

    version: int
    live: bool
    doc: Doc


@dataclass(frozen=True, slots=True)
class TenantConfig:
    """All of a tenant's configuration at one version. A tenant that does not exist has version 0 and no items."""

    tenant: str
    version: int
    items: Mapping[str, Mapping[str, Item]]
    timeline: str = ""
    """Of Redis, see `storage.timeline`: on another one the same version may be another configuration."""

    def of_kind(self, kind: str) -> Mapping[str, Item]:
        """Return the items of a kind by id, deleted ones too."""
        return self.items.get(kind, _EMPTY)

    def get(self, kind: str, item_id: str) -> Item | None:
        """Return an item, None if it is not there or deleted."""
        item = self.of_kind(kind).get(item_id)
        return item if item is not None and item.live else None


@dataclass(frozen=True, slots=True)
class Reference:
    """`field` of an item names the live item `kind`, `item_id`."""

    field: str
    kind: str
    item_id: str


@dataclass(frozen=True, slots=True)
class Write:
    """A new state of an item. `expected` is the version it replaces, None where the id must be free."""

    kind: str
    item_id: str
    expected: int | None
    doc: Doc
    name: str | None = None
    live: bool = True
    references: Sequence[Reference] = field(default_factory=tuple)
    action: Action | None = None
    """What the audit log calls it; None: create, update or delete, whichever it is."""

    def change(self, stored: Item | None) -> Change:
        """Return what this does to the item that is stored."""
        before = stored.doc if stored is not None and stored.live else None
        plain: Action = "create" if before is None else "update" if self.live else "delete"
        return Change(self.action or plain, self.kind, self.item_id, before, self.doc if self.live else None)

    def args(self) -> tuple[Arg, ...]:
        """Return the script's arguments for this item."""
        references = [(ref.field, ref.kind, ref.item_id) for ref in self.references]
        return (
            self.kind,
            self.item_id,
            "" if self.expected is None else self.expected,
            (self.expected or 0) + 1,
            self.name or "",
            "+" if self.live else "-",
            json.dumps(self.doc, separators=(",", ":"), ensure_ascii=False),
            msgspec.msgpack.encode(references),
        )


async def read(redis: "Redis", partition: int, tenant: str, known: TenantConfig | None = None) -> TenantConfig:
    """Return the tenant's configuration, reading only what changed since `known`.

    Raises:
        StorageUnavailable: Redis did not answer.
    """
    items, version, changes, _ = keys.config_keys(partition, tenant)
    at: list[Arg] = [0, ""] if known is None else [known.version, known.timeline]
    newest, timeline, whole, *changed = await script("config_read").run(redis, [items, version, changes], at)
    if known is not None and newest == known.version and not whole:
        return known
    base: Mapping[str, Mapping[str, Item]] = {} if known is None or whole else known.items
    pairs = zip(changed[::2], changed[1::2], strict=True)
    return TenantConfig(tenant, newest, _merged(base, pairs), timeline.decode())


async def write(
    redis: "Redis",
    partition: int,
    tenant: str,
    writes: Sequence[Write],
    bodies: Sequence[Body] = (),
    author: Author = COMMAND,
) -> list[bytes]:
    """Write items, all or none, with rows of the audit log and entries for the log; return those entries, packed.

    Raises:
        ConfigConflict: one of the writes breaks a rule; nothing was written.
        StorageUnavailable: Redis did not answer; whether it was written is unknown.
    """
    names = [
        *keys.config_keys(partition, tenant),
        *(keys.log_key(partition), keys.sequence_key(partition)),
        *keys.audit_keys(partition, tenant),
    ]
    items: list[Arg] = [arg for item in writes for arg in item.args()]
    for _ in range(CHAIN_RETRIES):
        tip, stored = await _before(redis, partition, tenant, writes)
        rows = chained(tip, author, [one.change(old) for one, old in zip(writes, stored, strict=True)])
        told: list[Arg] = [json.dumps(row, separators=(",", ":"), ensure_ascii=False) for row in rows]
        head: list[Arg] = [tip.count, rows[-1]["hash"] if rows else tip.hash]
        args = [*head, *items, "", *told, *(pack(body) for body in bodies)]
        answer, *rest = await script("config_write").run(redis, names, args)
        if answer != b"audit":
            break
        await asyncio.sleep(random() * CHAIN_PAUSE_S)  # noqa: S311 - no secret
    else:
        raise StorageUnavailable(f"others wrote the configuration of {tenant} all the time")
    if answer == b"written":
        entries: list[bytes] = rest[1:]
        return entries
    kind, item_id, field_name = (part.decode() for part in rest)
    raise ConfigConflict(answer.decode(), kind, item_id, field_name)


async def _before(
    redis: "Redis", partition: int, tenant: str, writes: Sequence[Write]
) -> tuple[Tip, list[Item | None]]:
    """Return the end of the audit log, and what is stored of the items that will be written."""
    names = [keys.config_keys(partition, tenant)[0], keys.audit_keys(partition, tenant)[1]]
    fields = [f"{item.kind}:{item.item_id}" for item in writes]
    time_ms, count, last, *stored = await script("config_before").run(redis, names, fields)
    tip = Tip(int(count), last.decode() or GENESIS, int(time_ms))
    return tip, [None if raw is None else _item(raw) for raw in stored]


def _item(raw: bytes) -> Item:
    head, _, text = raw.partition(b":")
    return Item(version=int(head[1:]), live=head[:1] == b"+", doc=json.loads(text))


def _merged(
    base: Mapping[str, Mapping[str, Item]], changed: Iterable[tuple[bytes, bytes]]
) -> dict[str, Mapping[str, Item]]:
    fresh: dict[str, dict[str, Item]] = {}
    for name, raw in changed:
        kind, _, item_id = name.decode().partition(":")
        fresh.setdefault(kind, {})[item_id] = _item(raw)
    return {**base, **{kind: {**base.get(kind, _EMPTY), **items} for kind, items in fresh.items()}}
