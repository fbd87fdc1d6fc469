"""The names of Redis keys, all in one place.

Every key of a tenant starts with its partition's hash tag, `{p07}:`, so that a script touches one slot of a
cluster. What the keys hold:

    {pNN}:seq                  the last position given out                           string
    {pNN}:log                  the outcome log, entry ids `<position>-0`, field `e`  stream
    {pNN}:epoch                the fencing epoch of the partition's learner          string
    {pNN}:arch                 the last position that is in the archive              string
    {pNN}:ack                  written before replicas are waited for                string
    {pNN}:erasing              the token of the erasure that goes on                 string, expires
    {pNN}:log:new              the log as that erasure writes it anew                stream
    {pNN}:new:…                keys as a recount makes them anew, see `storage.recounting`
    {pNN}:erasures             how often the log was written anew                    string
    {pNN}:erased               what an erasure has left to do in the archive, see `storage.erased`  hash
    {pNN}:erased:PSEUDONYM     what it has done there                            string, expires
    {pNN}:ckpt                 the learner's state with its position                 string
    {pNN}:cfg:TENANT           configuration, `kind:id` → `+version:json`, `-` if deleted   hash
    {pNN}:cfv:TENANT           version of the configuration: when it was written, ms  string
    {pNN}:cfc:TENANT           the write in which each `kind:id` last changed        sorted set
    {pNN}:cfn:TENANT           names in use, `is:kind:name` → id and `of:kind:id` → `is:…`  hash
    {pNN}:aud:TENANT           the audit log, entry ids `<number>-0`, field `r`      stream
    {pNN}:aut:TENANT           its end: `count` of rows and the last one's `hash`    hash
    {pNN}:i:DIGEST             an idempotency key: fingerprint and position          string, expires
    {pNN}:w:TENANT:ROUTE       admission times (ms) of the last 60 s, newest first   list, expires
    {pNN}:r:TENANT:ID          a recommendation, see `storage.recommendations`       hash, expires
    {pNN}:s:TENANT:all:CUSTOMER, {pNN}:s:TENANT:YYYY-MM:CUSTOMER
                               summaries of a customer, for good and by day, see `storage.summaries`  hash
    {pNN}:h:TENANT:CUSTOMER, {pNN}:h:TENANT
                               the latest events, see `storage.events`             list, expires
    {pNN}:m:TENANT:METRIC:PERIOD  what a metric has measured, see `storage.metrics`  hash, expires
    {pNN}:x:TENANT:EXPERIMENT  counts of its variants, see `storage.experiments`     hash, expires
    {pNN}:xc:TENANT:EXPERIMENT the customers that it has met                       set, expires
    {pNN}:f:TENANT:PERIOD      deliveries of a day, week or month, `scope:id`, see `storage.caps`  hash, expires
    {pNN}:d:TENANT:YYYY-MM-DD  events of a day by what they were resolved to, see `storage.rollup`  hash, expires
    rewardloop:installation    what cannot change once data exists                   hash
    rewardloop:login:DIGEST    a one-time login that nobody has used                 string, expires
"""

from hashlib import blake2b
from typing import Final, NewType
from zlib import crc32

Partition = NewType("Partition", int)

INSTALLATION: Final = "rewardloop:installation"
SYSTEM_TENANT: Final = "_system"
"""Holds the operator's keys and the register of tenants. Tenant ids cannot start with `_`."""


def partition_of(tenant: str, partitions: int) -> Partition:
    """Return the partition, 0 ≤ p < `partitions`, that holds everything of `tenant`."""
    return Partition(crc32(tenant.encode()) % partitions)


def prefix(partition: int) -> str:
    """Return what all keys of the partition start with."""
    return f"{{p{partition:02d}}}:"


def log_key(partition: int) -> str:
    """Return the key of the partition's log."""
    return prefix(partition) + "log"


def sequence_key(partition: int) -> str:
    """Return the key of the last position given out."""
    return prefix(partition) + "seq"


def replicated_key(key: str) -> str:
    """Return the key, beside `key`, that is written before replicas are waited for.

    >>> replicated_key("{p07}:log")
    '{p07}:ack'
    """
    return key.partition(":")[0] + ":ack"


def epoch_key(partition: int) -> str:
    """Return the key of the fencing epoch."""
    return prefix(partition) + "epoch"


def checkpoint_key(partition: int) -> str:
    """Return the key of the learner's checkpoint."""
    return prefix(partition) + "ckpt"


def archived_key(partition: int) -> str:
    """Return the key of the last position in the archive."""
    return prefix(partition) + "arch"


def erasing_key(partition: int) -> str:
    """Return the key of the lock of erasures."""
    return prefix(partition) + "erasing"


def rewritten_log_key(partition: int) -> str:
    """Return the key of the log that an erasure writes."""
    return log_key(partition) + ":new"


def erasures_key(partition: int) -> str:
    """Return the key of the number of erasures."""
    return prefix(partition) + "erasures"


def erased_key(partition: int, pseudonym: str = "") -> str:
    """Return the key of the erasures that the archive has yet to follow, or of what came of one."""
    return f"{prefix(partition)}erased{':' * bool(pseudonym)}{pseudonym}"


def config_keys(partition: int, tenant: str) -> tuple[str, str, str, str]:
    """Return the keys of a tenant's configuration: items, version, changes, names."""
    start = prefix(partition)
    return f"{start}cfg:{tenant}", f"{start}cfv:{tenant}", f"{start}cfc:{tenant}", f"{start}cfn:{tenant}"


def audit_keys(partition: int, tenant: str) -> tuple[str, str]:
    """Return the keys of a tenant's audit log and of its end."""
    return f"{prefix(partition)}aud:{tenant}", f"{prefix(partition)}aut:{tenant}"


def recommendation_key(partition: int, tenant: str, recommendation_id: str) -> str:
    """Return the key of a recommendation's record."""
    return f"{prefix(partition)}r:{tenant}:{recommendation_id}"


def deliveries_key(partition: int, tenant: str, period: str) -> str:
    """Return the key of a tenant's deliveries in a period."""
    return f"{prefix(partition)}f:{tenant}:{period}"


def rollup_key(partition: int, tenant: str, day: str) -> str:
    """Return the key of a tenant's events of a day (YYYY-MM-DD)."""
    return f"{prefix(partition)}d:{tenant}:{day}"


def summary_key(partition: int, tenant: str, period: str, customer_id: str) -> str:
    """Return the key of a customer's summaries: of a month (YYYY-MM) by day, or `all`."""
    return f"{prefix(partition)}s:{tenant}:{period}:{customer_id}"


def metric_key(partition: int, tenant: str, metric: str, period: str) -> str:
    """Return the key of what a metric has measured on a day (YYYY-MM-DD), or over `all` time."""
    return f"{prefix(partition)}m:{tenant}:{metric}:{period}"


def experiment_key(partition: int, tenant: str, experiment_id: str) -> str:
    """Return the key of an experiment's counts."""
    return f"{prefix(partition)}x:{tenant}:{experiment_id}"


def experiment_customers_key(partition: int, tenant: str, experiment_id: str) -> str:
    """Return the key of the customers that an experiment has met."""
    return f"{prefix(partition)}xc:{tenant}:{experiment_id}"


def events_key(partition: int, tenant: str) -> str:
    """Return the key of a tenant's latest events."""
    return f"{prefix(partition)}h:{tenant}"


def customer_events_key(partition: int, tenant: str, customer_id: str) -> str:
    """Return the key of a customer's latest events."""
    return f"{events_key(partition, tenant)}:{customer_id}"


def login_key(digest: str) -> str:
    """Return the key of a one-time login."""
    return f"rewardloop:login:{digest}"


def idempotency_digest(tenant: str, key: str) -> bytes:
    """Return the 16 bytes that stand for a tenant's idempotency key; they bound the memory a key takes."""
    return blake2b(f"{tenant}\0{key}".encode(), digest_size=16).digest()
