"""Gittins: a hashed linear engine; each outcome resolves a decision, made while the clock stands.

Decisions are made a batch ahead: a long list of those that wait makes the engine slower. They read the features, so
learning does not.
"""

from __future__ import annotations

import gittins

from benchmarks.speed.side import BATCH, TAUGHT, Data, Runs, each


def _engine() -> gittins.BanditState:
    return gittins.create(bits=16, horizon=1e12, epsilon=0.02, forgetfulness=1.0)


def _decided(state: gittins.BanditState, data: Data) -> list[str]:
    """Return the ids of decisions, each for the offer of its row."""
    rows = zip(data.dicts, data.offers.tolist(), strict=True)
    return [
        gittins.decide(state, x, [(f"o{offer}", {})], float(i), "s").decision_id
        for i, (x, offer) in enumerate(rows)
    ]


def _learn(data: Data) -> float:
    state, spent = _engine(), 0.0
    for start in range(0, len(data.offers), BATCH):
        cut = slice(start, start + BATCH)
        part = Data(data.x[cut], data.offers[cut], data.rewards[cut])
        ids, rewards = _decided(state, part), part.rewards.astype(float).tolist()
        spent += len(ids) / each(lambda one, reward: gittins.learn(state, one, reward, float(BATCH)), ids, rewards)
    return len(data.offers) / spent


def _decide(data: Data) -> float:
    state = _engine()
    known = data.first(TAUGHT)
    for one, reward in zip(_decided(state, known), known.rewards.astype(float).tolist(), strict=True):
        gittins.learn(state, one, reward, float(TAUGHT))
    candidates = [(f"o{offer}", {}) for offer in range(data.arms)]
    return each(lambda x: gittins.decide(state, x, candidates, float(TAUGHT), "s"), data.dicts)


RUNS: Runs = {"fold-contextual": {"engine, features read before": _learn}, "decide": {"engine": _decide}}
