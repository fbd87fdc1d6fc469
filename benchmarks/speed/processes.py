"""What each part of a service costs: CPU seconds and memory of its processes."""

from __future__ import annotations

from collections import Counter
from typing import Final

import psutil

ROLES: Final = (
    ("replica", "ray::ServeReplica"),
    ("learner", "ray::LearnerActor"),
    ("HAProxy", "haproxy"),
    ("proxy", "ray::ProxyActor"),
    ("Redis", "redis-server"),
)


def cpu_seconds(pid: int) -> Counter[str]:
    """Return the CPU seconds that the processes below `pid` have used, by role; `Ray` is all that is Ray's own."""
    spent: Counter[str] = Counter()
    for process in _tree(pid):
        try:
            times = process.cpu_times()
            spent[_role(process)] += times.user + times.system
        except psutil.Error:
            continue
    return spent


def memory_mib(pid: int) -> dict[str, float]:
    """Return the memory (PSS) of the processes below `pid`, by role, in MiB."""
    held: Counter[str] = Counter()
    for process in _tree(pid):
        try:
            held[_role(process)] += process.memory_full_info().pss
        except psutil.Error:
            continue
    return {role: round(size / 2**20, 1) for role, size in held.items()}


def _tree(pid: int) -> list[psutil.Process]:
    top = psutil.Process(pid)
    return [top, *top.children(recursive=True)]


def _role(process: psutil.Process) -> str:
    title = " ".join(process.cmdline()[:1])
    return next((role for role, mark in ROLES if mark in title), "Ray")
