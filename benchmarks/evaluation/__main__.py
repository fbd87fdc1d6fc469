"""`python -m benchmarks.evaluation`: our estimates beside obp's, on the same logs."""

from __future__ import annotations

import json
import platform
import subprocess
import venv
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import typer

from learners.evaluation.estimators import parse_estimator
from learners.evaluation.evaluation import Question, evaluate
from learners.evaluation.logged import Logged
from learners.evaluation.policies import parse_policies
from learners.evaluation.reading import read_logged
from learners.evaluation.reward_model import Predicted, RewardModelConfig

PEERS = Path(".venv-peers")
OUT = Path("benchmarks/results")
REQUIREMENTS = (
    "numpy==1.26.4",
    "pandas==2.3.3",
    "scikit-learn==1.9.1",
    "scipy==1.17.1",
    "matplotlib",
    "seaborn",
    "tqdm",
    "pyyaml",
)
"""What obp 0.5.7 runs on; its own pins are of 2022 and have no wheels for Python 3.11."""
OBP = ("--no-deps", "--ignore-requires-python", "obp==0.5.7")
TOLERANCE = 1e-9
REGRESSION = RewardModelConfig(kind="logistic", folds=3, seed=12345, scale=False)
"""The regression of the other side: the same folds, the same solver, the same columns."""

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Off-policy estimates beside obp's.")


@app.command()
def install(venvs: Annotated[Path, typer.Option(help="Where virtual environments go.")] = PEERS) -> None:
    """Make obp's environment."""
    home = venvs / "obp"
    venv.create(home, with_pip=True, clear=True)
    pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *REQUIREMENTS], check=True)
    subprocess.run([*pip, *OBP], check=True)


@app.command()
def compare(
    venvs: Annotated[Path, typer.Option(help="Where `install` put obp's environment.")] = PEERS,
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = OUT,
) -> None:
    """Have obp answer, answer ourselves, write evaluation.json and evaluation.md; exit code 1 if we disagree."""
    python = venvs / "obp" / "bin" / "python"
    if not python.exists():
        raise typer.BadParameter(f"{python} is not there; `python -m benchmarks.evaluation install` makes it")
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        theirs = Path(__file__).with_name("obp_side.py")
        subprocess.run([str(python), "-W", "ignore", str(theirs), scratch], check=True)
        answers = json.loads((folder / "obp.json").read_text())
        rows = [row for name, answer in answers.items() for row in _compared(name, answer, folder)]
    results = {"tolerance": TOLERANCE, "versions": _versions(), "rows": rows}
    out.mkdir(parents=True, exist_ok=True)
    (out / "evaluation.json").write_text(json.dumps(results, indent=1) + "\n")
    (out / "evaluation.md").write_text(_page(results))
    worst = max(row["difference"] for row in rows)
    print(f"{len(rows)} estimates, largest difference {worst:.2g}")
    raise typer.Exit(1 if worst > TOLERANCE else 0)


def _compared(name: str, answer: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    with np.load(folder / f"{name}.npz") as arrays:
        problem = dict(arrays)
    path = folder / f"{name}.ndjson"
    _write_log(problem, path)
    log = read_logged(path, columns=["policy"])
    given = Predicted(problem["predicted"].ravel(), "obp's", converged=True)
    actions = problem["action_context"].tolist()
    offers = {str(i): {f"x{j}": x for j, x in enumerate(row)} for i, row in enumerate(actions)}
    same, own = (_values(log, list(answer["values"]), predicted, offers) for predicted in (given, None))
    return [
        {
            "log": name,
            "estimator": estimator,
            "truth": answer["truth"],
            "obp": value,
            "rewardloop": same[estimator],
            "difference": abs(same[estimator] - value),
            "ownRegression": own[estimator],
        }
        for estimator, value in answer["values"].items()
    ]


def _write_log(problem: dict[str, Any], path: Path) -> None:
    """Write a problem in the public log format, decisions with the policy's probabilities in a column."""
    names = [str(action) for action in range(problem["policy"].shape[1])]
    context, policy = problem["context"].astype(float).tolist(), problem["policy"].tolist()
    with path.open("w") as log:
        for n, action in enumerate(problem["action"].tolist()):
            common = {"time": "2026-01-01T00:00:00Z", "customerId": f"c{n}", "recommendationId": f"r{n}"}
            rank = int(problem["position"][n]) + 1
            decision = {
                "features": {f"f{i}": value for i, value in enumerate(context[n])},
                "candidates": names,
                "decisions": [{"rank": rank, "offerId": names[action], "propensity": float(problem["pscore"][n])}],
                "policy": policy[n],
            }
            won = bool(problem["reward"][n])
            outcome = {
                "offerId": names[action],
                "outcome": "click",
                "classification": "positive" if won else "negative",
                "weight": float(won),
            }
            log.write(json.dumps({"kind": "decision", **common, **decision}) + "\n")
            log.write(json.dumps({"kind": "outcome", **common, **outcome}) + "\n")


def _values(log: Logged, names: list[str], predicted: Predicted | None, offers: Any) -> dict[str, float | None]:
    question = Question(
        policies=parse_policies(["column:policy"]),
        estimators=[parse_estimator(name) for name in names],
        reward_model=REGRESSION,
        offers=offers,
        resamples=2,
    )
    answer = evaluate(log, question, predicted=predicted)
    return {one.estimator: one.value for one in answer.policies[0].estimates}


def _versions() -> dict[str, str]:
    names = ("rewardloop", "numpy", "scikit-learn")
    return {"python": platform.python_version(), "obp": "0.5.7", **{name: version(name) for name in names}}


def _page(results: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    lines = [
        "# Off-policy estimates beside obp's",
        "",
        "Made by `python -m benchmarks.evaluation compare`; obp has an environment of its own (`install`).",
        f"Versions: {versions}.",
        "",
        "`rewardloop` has obp's predicted rewards, so all but the estimator is the same; `own regression` is ours",
        "from end to end, with the settings of obp's. Regressions differ by where their solvers stop.",
        "",
        "| log | estimator | truth | obp | rewardloop | difference | own regression |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in results["rows"]:
        truth = "" if row["truth"] is None else f"{row['truth']:.6f}"
        lines.append(
            f"| {row['log']} | {row['estimator']} | {truth} | {row['obp']:.10f} | {row['rewardloop']:.10f} "
            f"| {row['difference']:.1e} | {row['ownRegression']:.8f} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    app()
