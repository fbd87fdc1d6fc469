"""On a Redis Cluster of three nodes all is as on one Redis; slots may move, and a primary may die."""

from collections.abc import Iterator
from typing import Any

import pytest

from storage import client, installation, keys, log, tenants
from storage.errors import StorageUnavailable
from storage.redis_cluster import slot_of
from tests.cluster.test_redis_acl import SECRET, advised
from tests.integration.conftest import Api, recorded
from tests.integration.test_archive import (  # noqa: F401
    test_a_new_learner_finishes_what_a_killed_one_began,
    test_segments_move_and_the_history_stays_whole,
)
from tests.integration.test_audit import test_rows_of_concurrent_writers_are_one_chain  # noqa: F401
from tests.integration.test_behavioral_metrics import test_every_value_equals_a_plain_computation  # noqa: F401
from tests.integration.test_catalog import test_concurrent_updates_lose_nothing  # noqa: F401
from tests.integration.test_commit import (  # noqa: F401
    bench,
    test_a_recommendation_resolves_by_rank,
    test_a_recorded_outcome_is_the_entry_the_log_holds,
    test_a_used_key_answers_with_the_first_entry,
    test_an_old_configuration_commits_nothing,
    test_concurrent_commits_of_one_key_record_once,
    test_counters_follow_class_and_delivery,
    test_positions_are_dense_across_tenants_of_a_partition,
    test_the_limit_counts_refused_and_duplicate_requests,
)
from tests.integration.test_erasure import (  # noqa: F401
    test_commits_go_on_and_none_is_lost,
    test_what_was_cut_off_is_completed_by_the_next_request,
)
from tests.integration.test_experiments import (  # noqa: F401
    challenger,
    test_customers_keep_their_variants_and_results_are_what_was_decided,
)
from tests.integration.test_frequency_caps import test_caps_hold_under_concurrency  # noqa: F401
from tests.integration.test_gate import (  # noqa: F401
    test_operations_ask_for_no_key,
    test_operators_make_and_disable_tenants,
)
from tests.integration.test_learner import (  # noqa: F401
    test_a_restarted_learner_goes_on_from_its_checkpoint,
    test_a_zombie_writes_nothing_and_stops,
    test_pushes_in_any_order_and_number_are_learned_once,
)
from tests.integration.test_recommend import (  # noqa: F401
    test_an_acknowledged_reward_is_in_the_next_recommendation_that_asks_for_it,
    test_an_outcome_by_rank_resolves_to_what_was_shown,
)
from tests.integration.test_respond import (  # noqa: F401
    test_a_duplicate_gets_the_first_record_and_no_side_effect,
    test_a_new_outcome_is_acknowledged_with_exactly_the_contracts_keys,
    test_of_64_concurrent_requests_with_one_key_one_records,
    test_the_limit_is_told_and_kept,
    test_two_tenants_share_neither_keys_nor_creatives,
)
from tests.redis_ha import Cluster, Server, cluster
from tests.redis_server import PASSWORD

pytestmark = pytest.mark.anyio

pytest.mark.usefixtures("challenger")(test_customers_keep_their_variants_and_results_are_what_was_decided)


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes, in place of the one Redis of the other modules."""
    with cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture
def redis_replicas() -> int:
    """Waited for where a test does not say otherwise, whatever --redis says."""
    return 0


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The archive that belongs to that cluster."""
    return str(tmp_path_factory.mktemp("archive"))


async def test_each_partition_is_on_one_node_and_all_nodes_have_some(api: Api, redis_server: Cluster) -> None:
    assert (await api.respond("k")).status_code == 201
    found: dict[bytes, set[int]] = {}
    for number, server in enumerate(redis_server.servers):
        with server.connect() as client:
            for name in client.keys("*"):
                found.setdefault(name.partition(b":")[0], set()).add(number)
    assert all(len(nodes) == 1 for nodes in found.values())
    assert set.union(*found.values()) == {0, 1, 2}


class Moving:
    """A partition's slot on its way from one node to another, as `redis-cli --cluster reshard` moves it."""

    def __init__(self, cluster: Cluster, partition: int) -> None:
        self.slot = slot_of(keys.prefix(partition))
        self.source = cluster.primary(self.slot)
        self.target = next(server for server in cluster.servers if server is not self.source)
        self.others = [server for server in cluster.servers if server not in (self.source, self.target)]
        self.nodes = cluster.nodes()

    def _id(self, server: Server) -> str:
        return str(self.nodes[f"127.0.0.1:{server.port}"]["node_id"])

    def begin(self) -> None:
        self.target.ask("CLUSTER", "SETSLOT", str(self.slot), "IMPORTING", self._id(self.source))
        self.source.ask("CLUSTER", "SETSLOT", str(self.slot), "MIGRATING", self._id(self.target))

    def move(self, *names: str | bytes) -> None:
        with self.source.connect() as client:
            client.execute_command(
                "MIGRATE", "127.0.0.1", self.target.port, "", 0, 5000, "AUTH", PASSWORD, "KEYS", *names
            )

    def end(self) -> None:
        with self.source.connect() as client:
            while names := client.execute_command("CLUSTER", "GETKEYSINSLOT", self.slot, 100):  # as bytes
                self.move(*names)
        for server in (self.target, self.source, *self.others):
            server.ask("CLUSTER", "SETSLOT", str(self.slot), "NODE", self._id(self.target))


async def test_a_slot_on_its_way_is_away_and_nothing_is_recorded_twice(api: Api, redis_server: Cluster) -> None:
    first = (await api.respond("before")).json()["interactionId"]
    moving = Moving(redis_server, api.partition)
    moving.begin()
    fresh = await api.respond("meanwhile")
    assert (fresh.status_code, fresh.headers["Retry-After"]) == (503, "1"), "its keys would be somewhere else"
    # The log is at its new place now, the idempotency keys are not: there, "before" would be recorded again.
    moving.move(keys.log_key(api.partition), keys.sequence_key(api.partition))
    assert (await api.respond("before")).status_code == 503
    assert (
        await api.post("/respond/bulk", {"outcomes": [{**OUTCOME, "idempotencyKey": "before"}]})
    ).status_code == 503
    moving.end()
    again = await api.respond("before")
    assert (again.status_code, again.json()["interactionId"]) == (200, first)
    assert (await api.respond("meanwhile")).status_code == 201
    assert len(await recorded(api)) == 2


OUTCOME: dict[str, Any] = {"customerId": "c1", "creativeId": "cr1", "outcome": "click"}


async def test_the_advised_user_is_enough(redis_server: Cluster) -> None:
    for server in redis_server.servers:
        server.ask(*advised(), "+cluster|slots")
    url = redis_server.url.replace(f":{PASSWORD}@", f"rewardloop:{SECRET}@")
    async with client.writer(url) as redis:
        partitions = await installation.ensure(redis, None)
        await tenants.create(redis, partitions, "advised", "T", 0)
        assert await tenants.exists(redis, partitions, "advised")
        assert len(await log.heads(redis, range(partitions))) == partitions
        assert await redis.ping()


async def test_a_cluster_that_is_away_is_away() -> None:
    async with client.reader("redis+cluster://:secret@127.0.0.1:1,127.0.0.1:2") as redis:
        with pytest.raises(StorageUnavailable, match="no node of the cluster answers") as away:
            await log.heads(redis, [0])
        with pytest.raises(StorageUnavailable, match="no node of the cluster answers"):
            await log.heads(redis, [0])
    assert "secret" not in str(away.value)


async def test_sentinels_that_are_away_are_away() -> None:
    async with client.reader(
        "redis+sentinel://:secret@127.0.0.1:1,127.0.0.1:2/shop?sentinel_password=secret"
    ) as redis:
        with pytest.raises(StorageUnavailable, match="no Sentinel names a primary of shop") as away:
            await log.heads(redis, [0])
    assert "secret" not in str(away.value)
