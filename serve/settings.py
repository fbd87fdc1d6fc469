"""Settings of the service, read once from the environment (`REWARDLOOP_…`) and the command line."""

import os
from pathlib import Path
from typing import Final

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from storage.client import is_address

PREFIX: Final = "REWARDLOOP_"
CLIENT_VARIABLES: Final = frozenset({"REWARDLOOP_KEY", "REWARDLOOP_TENANT", "REWARDLOOP_URL"})
"""Read by the client and the commands that talk to a running service, not by the service."""


class SettingsError(Exception):
    """A setting has a value it cannot have, or a name that no setting has."""


class Settings(BaseSettings):
    """All settings. Each can be given as an environment variable: `REWARDLOOP_` and the name in capitals."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    data_dir: Path = Field(
        Path(".rewardloop"), description="Directory of the embedded Redis, the HMAC pepper and the logs."
    )
    host: str = Field(
        "127.0.0.1", description="Address that HTTP is served on. Anything but loopback is your decision."
    )
    port: int = Field(8000, ge=1, le=65535, description="Port that HTTP is served on.")
    dashboard_port: int = Field(8265, ge=1, le=65535, description="Port of the Ray dashboard, always on loopback.")
    redis_url: str | None = Field(
        None,
        description="Address of Redis: one (redis://, rediss://, unix://), redis+sentinel://, redis+cluster://; "
        "none: an embedded one.",
    )
    redis_replicas: int = Field(
        0, ge=0, le=16, description="Replicas of Redis that must have what is acknowledged; 503 where too few do."
    )
    partitions: int | None = Field(
        None,
        ge=1,
        le=4096,
        description="Partitions of a new installation (64); it can never change afterwards.",
    )
    learners: int = Field(1, ge=1, le=256, description="Learner actors that share the partitions.")
    replicas: int = Field(1, ge=1, le=256, description="Replicas of the HTTP service.")
    haproxy: bool = Field(True, description="Use Ray Serve's HAProxy ingress where it exists (Linux).")
    pepper: str | None = Field(
        None,
        min_length=32,
        description="Secret that API keys are sealed with; none: made once, in the data directory.",
    )
    max_queued_commits: int = Field(
        8192,
        ge=1,
        le=1_000_000,
        description="Outcomes a replica holds for Redis, half of them of one partition; more get 503.",
    )
    max_ongoing_requests: int = Field(
        512,
        ge=1,
        le=100_000,
        description="Requests a replica works on at a time; others wait for half a second, then get 503.",
    )
    checkpoint_interval_s: float = Field(
        5.0, gt=0, le=3600, description="Seconds between checkpoints of a learner that has learned something."
    )
    archive: str | None = Field(
        None,
        description="Folder of the archive, or a URI pyarrow knows (s3://…); none: in the data directory.",
    )
    archive_segment: int = Field(
        20_000, ge=1, le=1_000_000, description="Entries of a partition that go to the archive as one segment."
    )
    offer_gauges: bool = Field(
        False,
        description="Prometheus gauges of offers on Ray's metrics port, which names tenants and asks for no key.",
    )
    drain_s: float = Field(0.1, ge=0, le=3600, description="Seconds an ingress waits for clients before it stops.")
    ray_address: str | None = Field(None, description="Ray cluster to join; none: a local one, on loopback only.")

    @field_validator("redis_url")
    @classmethod
    def _address(cls, url: str | None) -> str | None:
        if url is not None and not is_address(url):
            raise ValueError(
                "must be redis://[user:password@]host:port/db, rediss://…, unix://PATH, "
                "redis+sentinel://host:port,host:port/SERVICE or redis+cluster://host:port,host:port; "
                "percent-encode what is special in a password"
            )
        return url


def load_settings(**given: object) -> Settings:
    """Return the settings from the environment, overridden by those of `given` that are not None.

    Raises:
        SettingsError: one line that names the setting and the rule.
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields} | CLIENT_VARIABLES
    for name in os.environ:
        if name.startswith(PREFIX) and name not in known:
            raise SettingsError(f"{name} is not a setting; docs/settings.md lists them all")
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        raise SettingsError(f"{PREFIX}{str(first['loc'][0]).upper()}: {first['msg']}") from error
