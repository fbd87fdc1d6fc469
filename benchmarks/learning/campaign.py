"""Finds each candidate's best setting on tuning seeds, then plays it on the seeds of the table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from statistics import fmean
from typing import Any

from benchmarks.learning.player import Player, PlayerDied
from benchmarks.learning.registry import Library

Result = dict[str, Any]
KINDS = ("plain", "forgetting")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is played.

    Attributes:
        seeds: Environments of the table.
        rounds: Customers in each.
        tune: False takes each candidate's first setting as it is.
        workers: Processes at a time.
    """

    seeds: tuple[int, ...]
    rounds: int
    tune: bool
    workers: int


def play_library(library: Library, python: Path, plan: Plan, tick: Callable[[int, int], None]) -> Result:
    """Everything the results tell of a library.

    Args:
        library: Who plays.
        python: The interpreter it is installed in.
        plan: What is played.
        tick: Called with (jobs done, jobs known so far).

    Raises:
        PlayerDied: It did not start.
    """
    with ExitStack() as stack:
        players = [
            stack.enter_context(Player(python, library.module, library.packages)) for _ in range(plan.workers)
        ]
        desk = _Desk(players, plan.rounds, tick)
        entries = [
            {"policy": candidate["name"], "forgetting": kind == "forgetting", "note": candidate["note"]}
            | {"settings": candidate[kind]}
            for candidate in players[0].hello["candidates"]
            for kind in KINDS
            if candidate[kind]
        ]
        _tune(entries, desk, library.tuning_seeds if plan.tune else ())
        _play_best(entries, desk, plan.seeds)
        return {"versions": players[0].hello["versions"], "policies": entries}


class _Desk:
    """Hands jobs to whichever player is free."""

    def __init__(self, players: list[Player], rounds: int, tick: Callable[[int, int], None]) -> None:
        self._free: SimpleQueue[Player] = SimpleQueue()
        for player in players:
            self._free.put(player)
        self._workers = len(players)
        self._rounds = rounds
        self._tick = tick
        self._done = self._known = 0

    def play(self, jobs: Iterable[tuple[str, Result, int]]) -> list[Result]:
        """Results of (candidate, setting, seed), in their order."""
        listed = list(jobs)
        self._known += len(listed)
        with ThreadPoolExecutor(self._workers) as pool:
            return list(pool.map(self._one, listed))

    def _one(self, job: tuple[str, Result, int]) -> Result:
        candidate, setting, seed = job
        asked = {"candidate": candidate, "setting": setting, "seed": seed, "rounds": self._rounds}
        player = self._free.get()
        try:
            return player.ask(asked)
        except PlayerDied as death:
            return asked | {"error": f"crashed: {death}"}
        finally:
            self._free.put(player)
            self._done += 1
            self._tick(self._done, self._known)


def _tune(entries: list[Result], desk: _Desk, seeds: tuple[int, ...]) -> None:
    """Gives each entry its `setting`, the one of least expected regret; a lone setting needs no trial."""
    tried = [(entry, setting) for entry in entries if len(entry["settings"]) > 1 for setting in entry["settings"]]
    results = desk.play((entry["policy"], setting, seed) for entry, setting in tried for seed in seeds)
    for index, (entry, setting) in enumerate(tried):
        mine = results[index * len(seeds) : (index + 1) * len(seeds)]
        good = len(mine) > 0 and all("error" not in result for result in mine)
        regret = round(fmean(result["regret"] for result in mine), 2) if good else None
        entry.setdefault("tuning", []).append({"setting": setting, "seeds": list(seeds), "regret": regret})
    for entry in entries:
        settings = entry.pop("settings")
        judged = [trial for trial in entry.get("tuning", []) if trial["regret"] is not None]
        entry["setting"] = min(judged, key=lambda trial: trial["regret"])["setting"] if judged else settings[0]


def _play_best(entries: list[Result], desk: _Desk, seeds: tuple[int, ...]) -> None:
    results = desk.play((entry["policy"], entry["setting"], seed) for entry in entries for seed in seeds)
    kept = ("seed", "digest", "reward", "expected", "regret", "cpu_s", "error")
    for index, entry in enumerate(entries):
        mine = results[index * len(seeds) : (index + 1) * len(seeds)]
        entry["runs"] = [{key: result[key] for key in kept if key in result} for result in mine]
