"""Redis with replicas, Sentinels and clusters, as somebody runs them who wants no single point of failure."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import redis as sync_redis

from storage.embedded import find_binary
from tests.redis_server import PASSWORD
from tests.service import free_port, until

DEADLINE_S: Final = 30.0
SERVICE: Final = "shop"
DOWN_AFTER_MS: Final = 1_500
"""What a Sentinel or a cluster takes for dead: long for a server that only waits for a busy machine."""
SLOTS: Final = 16_384


@dataclass
class Server:
    """A redis-server of its own on loopback, with a password; it can be killed and started again."""

    folder: Path
    options: dict[str, str]
    port: int = field(default_factory=free_port)
    password: str = PASSWORD
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def connect(self) -> sync_redis.Redis:
        return sync_redis.Redis(port=self.port, password=self.password, socket_timeout=5)

    def ask(self, *command: str) -> Any:
        if command[0] == "CLUSTER":
            command = (" ".join(command[:2]), *command[2:])  # so redis-py makes sense of the answer
        with self.connect() as client:
            return client.execute_command(*command)

    def start(self, *mode: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "redis.conf"
        settings = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "dir": str(self.folder),
            "requirepass": self.password,
            **self.options,
        }
        if not config.exists():  # Sentinels keep what they know in it
            config.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        with (self.folder / "redis.log").open("ab") as log:
            self.process = subprocess.Popen([find_binary(), str(config), *mode], stdout=log, stderr=log)
        until(self.answers, DEADLINE_S, "redis-server answers")

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "redis.log").read_text()[-2_000:]
        try:
            return bool(self.ask("PING"))
        except sync_redis.ConnectionError:
            return False

    def kill(self) -> None:
        """End it by kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None

    def info(self) -> dict[str, Any]:
        with self.connect() as client:
            told: dict[str, Any] = client.info("replication")
            return told

    def follows(self) -> bool:
        """Tell whether it is a replica that has joined its primary."""
        return self.info().get("master_link_status") == "up"

    def cut_off(self) -> None:
        """Have a replica lose its primary: it gets nothing more, and still counts as a replica."""
        self.ask("CONFIG", "SET", "masterauth", "not-the-password")
        self.ask("CLIENT", "KILL", "TYPE", "master")
        until(lambda: self.info()["master_link_status"] == "down", DEADLINE_S, "the replica is cut off")

    def may_join(self) -> None:
        """Undo `cut_off`, also in the file that a Sentinel had the server write its settings to."""
        self.ask("CONFIG", "SET", "masterauth", self.password)
        self.ask("CONFIG", "REWRITE")

    def join_again(self) -> None:
        self.may_join()
        until(self.follows, DEADLINE_S, "the replica has joined again")


def data_options(**more: str) -> dict[str, str]:
    return {
        "masterauth": PASSWORD,
        "save": '""',
        "appendonly": "yes",
        "appendfsync": "always",
        "repl-diskless-sync": "yes",
        "repl-diskless-sync-delay": "0",
        "repl-ping-replica-period": "1",
        **more,
    }


@contextmanager
def started(server: Server, *mode: str) -> Iterator[Server]:
    server.start(*mode)
    try:
        yield server
    finally:
        server.kill()


@contextmanager
def with_replica(folder: Path, **options: str) -> Iterator[tuple[Server, Server]]:
    """Run a primary and a replica that follows it while the block lasts."""
    primary = Server(folder / "primary", data_options(**options))
    with started(primary):
        replica = Server(folder / "replica", data_options(replicaof=f"127.0.0.1 {primary.port}", **options))
        with started(replica):
            until(replica.follows, DEADLINE_S, "the replica follows")
            yield primary, replica


@dataclass
class Watched:
    """A primary, a replica, and a Sentinel that puts one in the other's place."""

    servers: list[Server]
    sentinel: Server

    @property
    def url(self) -> str:
        told = f"127.0.0.1:{self.sentinel.port}/{SERVICE}?sentinel_password={self.sentinel.password}"
        return f"redis+sentinel://:{PASSWORD}@127.0.0.1:1,{told}"  # nobody answers at the first

    def primary(self, _slot: int = 0) -> Server:
        """Return who is the primary by the Sentinel."""
        told = self.sentinel.ask("SENTINEL", "get-master-addr-by-name", SERVICE)
        return next(server for server in self.servers if server.port == int(told[1]))

    def replica(self, _slot: int = 0) -> Server | None:
        [other] = [server for server in self.servers if server is not self.primary()]
        return other

    def ready(self) -> bool:
        """Tell whether all is as it should be: the primary, its replica, and the Sentinel knows of both."""
        told = self.sentinel.ask("SENTINEL", "replicas", SERVICE)
        return len(told) == 1 and self.primary().info()["connected_slaves"] == 1

    def fail_over(self, _slot: int = 0) -> Server:
        """Kill the primary and wait for another; return the dead one."""
        dead = self.primary()
        dead.kill()
        until(lambda: self.primary() is not dead and self.primary().info()["role"] == "master", 60, "a new primary")
        return dead

    def revive(self, dead: Server) -> None:
        """Start a killed server again, as a replica: the Sentinel would wait ten seconds before it makes it one."""
        dead.start("--replicaof", "127.0.0.1", str(self.primary().port))
        until(dead.follows, 60, "it follows")
        until(self.ready, 60, "the Sentinel knows")


@contextmanager
def watched(folder: Path) -> Iterator[Watched]:
    """Run a primary, a replica and a Sentinel while the block lasts."""
    with with_replica(folder) as (primary, replica):
        options = {
            "sentinel": f"monitor {SERVICE} 127.0.0.1 {primary.port} 1",
            "sentinel auth-pass": f"{SERVICE} {PASSWORD}",
            "sentinel down-after-milliseconds": f"{SERVICE} {DOWN_AFTER_MS}",
            "sentinel failover-timeout": f"{SERVICE} 5000",
        }
        sentinel = Server(folder / "sentinel", options, password="watches-over-them")
        with started(sentinel, "--sentinel"):
            found = Watched([primary, replica], sentinel)
            until(found.ready, DEADLINE_S, "the Sentinel knows the replica")
            yield found


@dataclass
class Cluster:
    """A Redis Cluster. The first servers are primaries, each with an equal share of the slots."""

    servers: list[Server]

    @property
    def url(self) -> str:
        return f"redis+cluster://:{PASSWORD}@127.0.0.1:1," + ",".join(
            f"127.0.0.1:{one.port}" for one in self.servers
        )

    def nodes(self) -> dict[str, dict[str, Any]]:
        """Return what the first server that lives knows of each node, by its address."""
        alive = next(server for server in self.servers if server.process is not None)
        told: dict[str, dict[str, Any]] = alive.ask("CLUSTER", "NODES")
        return told

    def _at(self, address: str) -> Server:
        return next(server for server in self.servers if address == f"127.0.0.1:{server.port}")

    def owner(self, slot: int) -> Server | None:
        """Return the server that has a slot, None while nobody has it."""
        for address, row in self.nodes().items():
            if any(int(span[0]) <= slot <= int(span[-1]) for span in row["slots"] if "fail" not in row["flags"]):
                return self._at(address)
        return None

    def primary(self, slot: int) -> Server:
        owner = self.owner(slot)
        assert owner is not None
        return owner

    def replica(self, slot: int) -> Server | None:
        """Return the replica of who has a slot, None where there is none."""
        nodes = self.nodes()
        primary = nodes[f"127.0.0.1:{self.primary(slot).port}"]["node_id"]
        return next((self._at(address) for address, row in nodes.items() if row["master_id"] == primary), None)

    def hand_over(self, slot: int) -> None:
        """Have the replica take the primary's place, which lives on as a replica."""
        replica = self.replica(slot)
        assert replica is not None
        replica.ask("CLUSTER", "FAILOVER")

    def fail_over(self, slot: int) -> Server:
        """Kill who has a slot and wait for another to have it; return the dead one."""
        dead = self.primary(slot)
        dead.kill()
        until(lambda: self.owner(slot) not in (None, dead), 60, "a new owner")
        until(self.ready, 60, "the cluster is ready")
        return dead

    def revive(self, dead: Server) -> None:
        """Start a killed server again; it becomes a replica of who has its slots now."""
        dead.start()
        until(dead.follows, 60, "it follows")

    def ready(self) -> bool:
        alive = [server for server in self.servers if server.process is not None]
        return all(server.ask("CLUSTER", "INFO")["cluster_state"] == "ok" for server in alive)


@contextmanager
def cluster(folder: Path, primaries: int = 3, replicas: int = 0) -> Iterator[Cluster]:
    """Run a cluster while the block lasts; the first `replicas` of its primaries have a replica each."""
    options = data_options(
        **{
            "cluster-enabled": "yes",
            "cluster-config-file": "nodes.conf",
            "cluster-node-timeout": str(DOWN_AFTER_MS),
            "cluster-replica-validity-factor": "0",
        }
    )
    with ExitStack() as stack:
        folders = [folder / f"node-{number}" for number in range(primaries + replicas)]
        servers = [Server(folder, options) for folder in folders]
        for server in servers:
            stack.enter_context(started(server))
        found = Cluster(servers)
        first = servers[0]
        for epoch, server in enumerate(servers, 1):
            server.ask("CLUSTER", "SET-CONFIG-EPOCH", str(epoch))
        for number, server in enumerate(servers[:primaries]):
            share = range(number * SLOTS // primaries, (number + 1) * SLOTS // primaries)
            server.ask("CLUSTER", "ADDSLOTS", *map(str, share))
            if server is not first:
                first.ask("CLUSTER", "MEET", "127.0.0.1", str(server.port))
        for server in servers[primaries:]:
            first.ask("CLUSTER", "MEET", "127.0.0.1", str(server.port))
        until(
            lambda: all(len(one.ask("CLUSTER", "NODES")) == len(servers) for one in servers),
            DEADLINE_S,
            "all have met",
        )
        for number, server in enumerate(servers[primaries:]):
            server.ask("CLUSTER", "REPLICATE", found.nodes()[f"127.0.0.1:{servers[number].port}"]["node_id"])
            until(server.follows, DEADLINE_S, "the replica follows")
        until(found.ready, DEADLINE_S, "the cluster is ready")
        yield found
