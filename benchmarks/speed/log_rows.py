"""Rows about logs: how fast one replays, and how fast a policy is estimated from one."""

from __future__ import annotations

import subprocess
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.replay.__main__ import write_log
from benchmarks.speed.ope_side import rate
from benchmarks.speed.table import Row, Series, side_by_side
from learners.evaluation.estimators import parse_estimator, value_of
from learners.evaluation.evaluation import evidence_of
from learners.evaluation.logged import LogFacts, Logged
from learners.evaluation.policies import behave, parse_policies
from learners.evaluation.reward_model import Predicted
from learners.model import NO_REWARDS
from learners.replay import Unit, replay
from learners.spec import parse_spec
from storage.log_source import LogSource

PEERS = Path(".venv-peers")
VW = "vw-estimators==0.2.2"
REPLAYED = 300_000
"""Entries a second that are wanted."""
ESTIMATED = {"ips": 24e6, "dr": 5e6}
"""Rows a second that are wanted: what obp did on the machine that the targets come from, and 3.5 times that."""
ROWS, ACTIONS = 100_000, 10
TOLERANCE = 1e-9


def rows(quick: bool) -> list[Row]:  # noqa: FBT001 - all modules of rows have it
    """Measure all rows; `quick` takes a shorter log and fewer turns."""
    repeat = 3 if quick else 5
    with TemporaryDirectory() as scratch, threadpool_limits(1):
        folder = Path(scratch)
        return [*_replays(folder, 20_000 if quick else 200_000, repeat), *_estimates(folder, repeat)]


def install_vw(venvs: Path = PEERS) -> None:
    """Make the environment of vw-estimators. Raises CalledProcessError where pip fails."""
    home = venvs / "vw-estimators"
    venv.create(home, with_pip=True, clear=True)
    subprocess.run([str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", VW, "numpy"], check=True)


def _replays(folder: Path, entries: int, repeat: int) -> list[Row]:
    logs = [folder / "log.parquet", folder / "log.ndjson.zst"]
    for log in logs:
        write_log(log, entries)
    measured = []
    for key, model in (("replay-parquet", "thompson_bandit"), ("replay-parquet-lin_ts", "lin_ts")):
        digests = {_replayed(log, model)[1] for log in logs}  # also imports what the first run would pay for
        runs = [lambda log=log, model=model: entries / _replayed(log, model)[0] for log in logs]
        ours, lines = side_by_side(repeat, *runs)
        median = Series("parquet", ours).median
        measured.append(
            Row(
                key,
                f"replay of {entries:,} entries, half decisions and half outcomes, {model}, one core",
                "entries/s",
                Series("parquet", ours),
                [Series("the same log as ndjson.zst", lines)],
                f"≥ {REPLAYED:,}",
                median,
                median >= REPLAYED,
                {"outcomes/s": round(median / 2), "same digest from both": len(digests) == 1},
            )
        )
    return measured


def _replayed(log: Path, model: str) -> tuple[float, str]:
    """Return the CPU time that scan and fold take, and the model's digest."""
    (spec,) = parse_spec(model)
    start = time.process_time()
    source = LogSource(log)
    (tenant,) = source.scan(None, lambda _: None)
    result = replay(source, Unit(tenant, spec.text, spec), lambda _: None)
    return time.process_time() - start, result.digest


def _estimates(folder: Path, repeat: int) -> list[Row]:
    arrays = _arrays()
    np.savez(folder / "arrays.npz", **arrays)
    log, predicted = _logged(arrays), Predicted(arrays["predicted"].ravel(), "given", converged=True)
    measured = []
    for name in ("ips", "dr"):
        with ExitStack() as opened:
            sides: dict[str, Callable[[], tuple[float, float]]] = {}
            notes: dict[str, Any] = {"versions": f"numpy {version('numpy')}"}
            for library in ("obp", "vw-estimators") if name == "ips" else ("obp",):
                python = PEERS / library / "bin" / "python"
                if python.exists():
                    sides[library] = opened.enter_context(_peer(python, library, folder / "arrays.npz", name))
                else:
                    notes[library] = "not installed"
            measured.append(_estimate(name, log, predicted, sides, repeat, notes))
    return measured


def _estimate(
    name: str,
    log: Logged,
    predicted: Predicted,
    sides: dict[str, Callable[[], tuple[float, float]]],
    repeat: int,
    notes: dict[str, Any],
) -> Row:
    def own() -> float:
        return _value(name, log, predicted)

    answers = [side()[0] for side in sides.values()]
    if any(abs(answer - own()) > TOLERANCE for answer in answers):
        raise ValueError(f"{name}: {own()} is not {answers}")
    ours, *others = side_by_side(
        repeat, lambda: rate(own, ROWS)[1], *[lambda side=s: side()[1] for s in sides.values()]
    )
    median = Series("rewardloop", ours).median
    return Row(
        name,
        f"{name.upper()} over {ROWS:,} rows × {ACTIONS} actions, arrays to value, one core",
        "rows/s",
        Series("rewardloop", ours),
        [Series(library, runs) for library, runs in zip(sides, others, strict=True)],
        f"≥ {ESTIMATED[name]:,.0f}",
        median,
        median >= ESTIMATED[name],
        notes,
    )


def _value(name: str, log: Logged, predicted: Predicted) -> float:
    """Estimate as `evaluate` does: from the policy's probabilities of all candidates to the value."""
    (policy,) = parse_policies(["column:policy"])
    behaviour = behave(policy, log, replay=False, rng=np.random.default_rng(0))
    estimator = parse_estimator(name)
    seen = evidence_of(log, behaviour, log.usable, predicted if estimator.modelled else None)
    return value_of(estimator.terms(seen))


@contextmanager
def _peer(python: Path, library: str, arrays: Path, name: str) -> Iterator[Callable[[], tuple[float, float]]]:
    """Hand out what asks another library's process for the estimate and its rows a second."""
    command = [str(python), "-W", "ignore", str(Path(__file__).with_name("ope_side.py")), library, str(arrays)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        asked, told = process.stdin, process.stdout
        if asked is None or told is None:
            raise TypeError("pipes were asked for")

        def ask() -> tuple[float, float]:
            print(name, file=asked, flush=True)
            value, speed = told.readline().split()
            return float(value), float(speed)

        yield ask
        asked.close()


def _arrays() -> dict[str, Any]:
    """Return a log of a policy that explores, another policy's probabilities and a rough reward model."""
    rng = np.random.default_rng(12345)
    behaviour, policy = rng.dirichlet(np.ones(ACTIONS), (2, ROWS))
    action = (behaviour.cumsum(axis=1) > rng.random((ROWS, 1))).argmax(axis=1)
    chosen = np.arange(ROWS), action
    means = rng.uniform(0.01, 0.3, ACTIONS)
    reward = (rng.random(ROWS) < means[action]).astype(float)
    predicted = np.clip(means + rng.normal(0, 0.02, (ROWS, ACTIONS)), 0, 1)
    return {
        "action": action,
        "reward": reward,
        "pscore": behaviour[chosen],
        "policy": policy,
        "predicted": predicted,
    }


def _logged(arrays: dict[str, Any]) -> Logged:
    offsets = np.arange(0, (ROWS + 1) * ACTIONS, ACTIONS)
    numbers = np.arange(ROWS)
    counts = dict.fromkeys((one for one in LogFacts.__struct_fields__ if one not in {"source", "first", "last"}), 0)
    return Logged(
        offers=[str(action) for action in range(ACTIONS)],
        categories=[None] * ACTIONS,
        offsets=offsets,
        candidates=np.tile(np.arange(ACTIONS), ROWS),
        chosen=offsets[:-1] + arrays["action"],
        ranks=np.ones(ROWS, np.int64),
        propensities=arrays["pscore"],
        known=np.ones(ROWS, np.bool_),
        rewards=arrays["reward"],
        decisions=numbers,
        features=[{}] * ROWS,
        events=numbers,
        outcomes=NO_REWARDS,
        outcome_events=np.zeros(0, np.int64),
        outcome_rows=np.zeros(0, np.int64),
        removals=[],
        columns={"policy": arrays["policy"].ravel()},
        facts=LogFacts(source="made", first="", last="", **counts),
    )
