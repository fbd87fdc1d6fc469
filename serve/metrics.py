"""Prometheus figures of one replica. No label names a tenant: `/-/metrics` asks for no key."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

LATENCY_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0)


class Metrics:
    """The figures, in a registry of their own so that two apps in one process do not meet.

    Warning: with several replicas behind one ingress each scrape meets one of them; label `replica` tells which.
    """

    def __init__(self, waiting: Callable[[], int], labels: Mapping[str, str]) -> None:
        self._registry = CollectorRegistry()
        self._labels = dict(labels)
        names = list(labels)
        self._requests = Counter(
            "rewardloop_http_requests",
            "Requests answered",
            ["route", "status", *names],
            registry=self._registry,
        )
        self._latency = Histogram(
            "rewardloop_http_request_seconds",
            "Time from request to answer",
            ["route", *names],
            buckets=LATENCY_BUCKETS_S,
            registry=self._registry,
        )
        self._outcomes = Counter(
            "rewardloop_outcomes",
            "Outcomes by what became of them",
            ["status", *names],
            registry=self._registry,
        )
        self._decisions = Counter(
            "rewardloop_decisions",
            "Recommendations by whether anything could be shown",
            ["shown", *names],
            registry=self._registry,
        )
        gauge = Gauge(
            "rewardloop_commits_waiting", "Outcomes and decisions waiting for Redis", names, registry=self._registry
        )
        (gauge.labels(**self._labels) if names else gauge).set_function(waiting)
        # Looking a child up by its labels costs more than counting does.
        self._requests_of = cache(lambda route, status: self._child(self._requests, route=route, status=status))
        self._latency_of = cache(lambda route: self._child(self._latency, route=route))
        self._outcomes_of = cache(lambda status: self._child(self._outcomes, status=status))
        self._decisions_of = cache(lambda shown: self._child(self._decisions, shown=shown))

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        self._requests_of(route, str(status)).inc()
        self._latency_of(route).observe(seconds)

    def outcome(self, status: str, count: int = 1) -> None:
        """Count outcomes by what became of them."""
        self._outcomes_of(status).inc(count)

    def decision(self, shown: int) -> None:
        """Count one recommendation of `shown` offers."""
        self._decisions_of("some" if shown else "none").inc()

    def _child(self, family: Any, **labels: str) -> Any:
        return family.labels(**labels, **self._labels)

    def text(self) -> bytes:
        """Return all figures in Prometheus's text format."""
        return generate_latest(self._registry)
