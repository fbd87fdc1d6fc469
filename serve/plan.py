"""What a replica is opened with."""

from collections.abc import Mapping
from dataclasses import dataclass

from serve.console.dashboard import Dashboard


@dataclass(frozen=True, slots=True)
class Plan:
    """What a replica is opened with; it is pickled to wherever the replica runs."""

    redis_url: str
    partitions: int
    pepper: bytes
    max_queued_commits: int
    archive: str
    labels: Mapping[str, str]
    dashboard: Dashboard | None = None
    redis_replicas: int = 0
