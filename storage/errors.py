"""What can go wrong in storage; each class says when."""


class StorageError(Exception):
    """Storage could not do what was asked."""


class StorageUnavailable(StorageError):
    """Redis did not answer, or refused to write; whether the write happened is unknown."""


class Overloaded(StorageError):
    """More commits wait than the bounded queue holds; nothing was written."""


class InstallationMismatch(StorageError):
    """The store was made with another number of partitions; serving it would split tenants in two."""


class StaleEpoch(StorageError):
    """A newer learner owns the partition; this one may write nothing more."""


class NewTimeline(StorageError):
    """Redis goes on with another history of writes, which may lack the end of the one that was read."""


class LogGap(StorageError):
    """The log lacks a position that it must hold."""


class EmbeddedRedisError(StorageError):
    """The embedded Redis could not be started, adopted or stopped."""


class DamagedEntry(StorageError):
    """The log or the archive holds bytes that are no entry."""


class ConfigConflict(StorageError):
    """A configuration write lost: `rule` says which rule, `kind` and `item_id` which item.

    Rules: `exists` (the id is taken), `version` (changed since it was read), `name` (another item has the name),
    `reference` (`field` names an item that is not there).
    """

    def __init__(self, rule: str, kind: str, item_id: str, field: str = "") -> None:
        super().__init__(f"{kind} {item_id}: {rule}{' ' + field if field else ''}")
        self.rule = rule
        self.kind = kind
        self.item_id = item_id
        self.field = field


class UnknownTenant(StorageError):
    """No tenant has this id."""


class ArchiveError(StorageError):
    """The archive could not be read or written."""
