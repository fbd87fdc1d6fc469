"""The rate limit against a model, with the clock in the test's hand.

The script reads Redis's clock, so the test runs the same `admit.lua` under a clock that it moves.
"""

import redis as sync_redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.embedded import EmbeddedRedis
from storage.scripts import joined

WINDOW_MS = 60_000
UNDER_A_CLOCK = """
local answers = {}
for n = 1, tonumber(ARGV[5]) do
  local admitted, remaining, wait = admit(ARGV[1], 't', ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]))
  answers[n] = {admitted and 1 or 0, remaining, wait}
end
return answers
"""

steps = st.lists(
    st.tuples(
        st.one_of(st.just(0), st.integers(1, 30_000), st.integers(59_990, 60_010), st.integers(-500, -1)),
        st.integers(1, 4),
    ),
    max_size=60,
)
"""How far the clock moves, and how many requests one call of the script brings."""


class Limiter:
    def __init__(self, server: EmbeddedRedis, route: str) -> None:
        source = joined("batch", "admit") + UNDER_A_CLOCK
        self._client = sync_redis.Redis(unix_socket_path=str(server.socket))
        self._script = self._client.register_script(source)
        self._route = route
        self._client.delete(f"w:t:{route}")

    def admit(self, limit: int, now: int, requests: int = 1) -> list[tuple[bool, int, int]]:
        answers = self._script(args=["", self._route, limit, now, requests])
        return [(bool(admitted), remaining, wait) for admitted, remaining, wait in answers]

    def close(self) -> None:
        self._client.close()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(limit=st.integers(1, 6), moves=steps)
def test_no_window_admits_more_than_the_limit_and_none_less(
    redis_server: EmbeddedRedis, limit: int, moves: list[tuple[int, int]]
) -> None:
    limiter = Limiter(redis_server, "model")
    now, admitted = 1_000_000, list[int]()
    for move, requests in moves:
        now += move
        clock = max([now, *admitted[-1:]])  # a clock that steps back is held at the newest admission
        for ok, remaining, wait in limiter.admit(limit, now, requests):
            recent = [t for t in admitted if clock - t <= WINDOW_MS]
            assert ok == (len(recent) < limit)
            if ok:
                admitted.append(clock)
                assert remaining == limit - len(recent) - 1
            else:
                # After exactly `wait` a place is free, and one ms earlier none is.
                assert len([t for t in admitted if clock + wait - t <= WINDOW_MS]) < limit
                assert len([t for t in admitted if clock + wait - 1 - t <= WINDOW_MS]) >= limit
    limiter.close()
    for start in admitted:
        assert len([t for t in admitted if start <= t <= start + WINDOW_MS]) <= limit


def test_a_lowered_limit_holds_at_once(redis_server: EmbeddedRedis) -> None:
    limiter = Limiter(redis_server, "lowered")
    assert all(limiter.admit(5, 1000 + i)[0][0] for i in range(5))
    [(admitted, _, wait)] = limiter.admit(2, 1010)
    assert not admitted
    assert limiter.admit(2, 1010 + wait)[0][0]
    limiter.close()
