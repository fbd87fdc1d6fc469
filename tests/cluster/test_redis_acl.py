"""docs/security.md: the service runs as the Redis user that the page advises, which may do nothing else."""

from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from storage.embedded import EmbeddedRedis
from tests.pages import ROOT, blocks
from tests.service import running, until

SECRET = "s3cret-of-the-test"


def advised() -> list[str]:
    """Return the words of the page's `ACL SETUSER`."""
    [line] = [one.text for one in blocks(ROOT / "docs" / "security.md") if one.text.startswith("ACL SETUSER")]
    return line.replace(">SECRET", f">{SECRET}").split()


def recorded(api: httpx.Client, told: dict[str, Any]) -> bool:
    return api.post("/respond", json=told).is_success


def test_the_advised_user_is_enough_and_no_more(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path / "outside")
    server.start()
    try:
        with redis.Redis(unix_socket_path=str(server.socket)) as root:
            root.execute_command(*advised())
        url = server.url.replace("unix://", f"unix://rewardloop:{SECRET}@")
        with redis.Redis.from_url(url) as user:
            for forbidden in (
                ["FLUSHALL"],
                ["CONFIG", "GET", "*"],
                ["KEYS", "*"],
                ["SET", "other", "1"],
                ["ACL", "LIST"],
            ):
                with pytest.raises(redis.exceptions.NoPermissionError):
                    user.execute_command(*forbidden)
        with running(tmp_path / "data", REWARDLOOP_REDIS_URL=url, REWARDLOOP_ARCHIVE_SEGMENT="5") as service:
            headers = service.tenant("acl")
            api = httpx.Client(base_url=f"{service.url}/api/v1", headers=headers, timeout=30)
            with api:
                for number in range(20):
                    shown = api.post("/recommend", json={"customerId": f"c{number}", "channel": "Web"}).json()
                    told = {
                        "customerId": f"c{number}",
                        "recommendationId": shown["recommendationId"],
                        "rank": 1,
                        "outcome": "click",
                        "idempotencyKey": f"k{number}",
                    }
                    until(partial(recorded, api, told), 20, "it is recorded")
                until(lambda: service.state(headers).get("o1", {}).get("pulls") == 20, 10, "all is learned")
                erased = api.post("/gdpr/erasure", json={"customerId": "c1"}).json()
                assert sum(erased["pseudonymised"].values()) > 0
                assert api.get("/audit-logs/verify").json()["intact"] is True
            service.command("recount", "--tenant", "acl")
            service.command("export", "--tenant", "acl", "--out", str(tmp_path))
            archived = tmp_path / "data" / "archive"
            until(lambda: list(archived.rglob("*.parquet")), 20, "segments went to the archive")
        assert SECRET not in (tmp_path / "data" / "err.txt").read_text()
    finally:
        server.stop()
