"""Addresses of Redis: what they mean, and that they are kept to themselves."""

import doctest

import pytest
from redis.asyncio.connection import SSLConnection

from storage import addresses, client, keys, redis_cluster
from storage.addresses import parsed

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("module", [addresses, client, keys, redis_cluster])
def test_the_examples_of_the_docstrings(module: object) -> None:
    found = doctest.testmod(module)  # type: ignore[arg-type]
    assert found.attempted > 0
    assert found.failed == 0


def test_sentinels_have_a_service_a_database_and_a_password_of_their_own() -> None:
    found = parsed("rediss+sentinel://app:p%40ss@[::1]:5000,two/shop?sentinel_username=s&ssl_ca_certs=/ca.pem")
    assert (found.kind, found.hosts, found.service) == ("sentinel", (("::1", 5000), ("two", 26379)), "shop")
    assert (found.options["username"], found.options["password"]) == ("app", "p@ss")
    assert found.options["connection_class"] is SSLConnection
    assert found.options["db"] == 0
    assert found.sentinel_options == {"username": "s", "ssl_ca_certs": "/ca.pem"}


def test_a_cluster_is_some_of_its_nodes() -> None:
    found = parsed("redis+cluster://:secret@one:7000,two")
    assert (found.kind, found.hosts) == ("cluster", (("one", 7000), ("two", 6379)))
    assert found.options == {"password": "secret"}


def test_one_redis_is_as_redis_py_has_it() -> None:
    assert parsed("redis://h:1/2") == addresses.Address("single", {"host": "h", "port": 1, "db": 2})


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://one,two",
        "redis+sentinel://one/",
        "redis+sentinel://one/shop/first",
        "redis+sentinel://one/shop/0/1",
        "redis+sentinel:///shop",
        "redis+sentinel://one,/shop",
        "redis+sentinel://one:port/shop",
        "http+sentinel://one/shop",
        "unix+cluster:///a.sock",
        "redis+cluster://",
        "redis+cluster://one:7000/1",
        "redis+cluster://one:7000?sentinel_password=x",
        "redis+magic://one",
    ],
)
def test_what_makes_no_sense_is_no_address(url: str) -> None:
    assert not client.is_address(url)


@pytest.mark.parametrize(
    "url",
    ["redis://:secret@h", "redis+sentinel://:secret@h/s?sentinel_password=secret", "redis+cluster://:secret@h"],
)
async def test_no_secret_is_in_what_is_printed(url: str) -> None:
    assert "secret" not in repr(parsed(url))
    for made in (client.writer(url), client.writer(url, 1), client.reader(url)):
        assert "secret" not in repr(made)
        assert "secret" not in str(vars(made).get("connection_pool"))
