"""The table of the results, as Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

from benchmarks.learning.campaign import Result

HEADER = (
    "| library | policy | forgetting | best setting | mean reward | min..max | share of the oracle's gain "
    "| mean regret | CPU s | note |\n|---|---|---|---|--:|--:|--:|--:|--:|---|"
)
EXPLANATION = """# Learning: cumulative reward in a simulated environment

{offers} offers, {features} features, {rounds:,} customers, seeds {seeds}. The chance of success is
sigmoid(intercept_o + (shared + own_o) . x); intercepts and own weights are drawn anew at half time.
All policies meet the same customers and the same luck, and learn from each reward at once unless the note says
otherwise. Each runs at the setting with the least expected regret on environments of other seeds, told below.

Reward is the number of successes. The share is (reward - uniform) / (oracle - uniform). Regret is expected, against
the best offer of each round. CPU seconds are for one run on one core, simulation excluded.
"""


@dataclass(frozen=True, slots=True)
class _Row:
    library: str
    policy: str
    forgetting: str
    setting: str
    rewards: list[float]
    regret: float
    cpu_s: float | None
    note: str

    def line(self, uniform: float, oracle: float) -> str:
        mean = fmean(self.rewards)
        cells = [
            self.library,
            self.policy,
            self.forgetting,
            self.setting,
            f"{mean:,.0f}",
            f"{min(self.rewards):,.0f}..{max(self.rewards):,.0f}",
            f"{(mean - uniform) / (oracle - uniform):.1%}",
            f"{self.regret:,.0f}",
            "" if self.cpu_s is None else f"{self.cpu_s:.1f}",
            self.note,
        ]
        return "| " + " | ".join(cells) + " |"


def markdown(results: Result) -> str:
    """The whole report: what was played, the table, who could not run, the machines."""
    rows, troubles = _rows(results)
    baselines = results["baselines"]
    uniform, oracle = (fmean(r["reward"] for r in baselines[name]) for name in ("uniform random", "oracle"))
    rows.sort(key=lambda row: -fmean(row.rewards))
    parts = [
        EXPLANATION.format(
            offers=results["environment"]["offers"],
            features=results["environment"]["features"],
            rounds=results["rounds"],
            seeds=", ".join(str(seed) for seed in results["seeds"]),
        ),
        "\n".join([HEADER, *(row.line(uniform, oracle) for row in rows)]),
    ]
    if troubles:
        parts.append("\n".join(["## Did not run", "", *(f"- {trouble}" for trouble in troubles)]))
    parts.append(_origins(results))
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _rows(results: Result) -> tuple[list[_Row], list[str]]:
    rows = [
        _Row("", f"*{name}*", "", "", [r["reward"] for r in runs], fmean(r["regret"] for r in runs), None, "")
        for name, runs in results["baselines"].items()
    ]
    troubles = []
    for library, told in results["libraries"].items():
        if "error" in told:
            troubles.append(f"{library}: {told['error']}")
        for policy in told.get("policies", []):
            errors = [run["error"] for run in policy["runs"] if "error" in run]
            if errors:
                troubles.append(f"{library}, {policy['policy']}, {_setting(policy['setting'])}: {errors[0]}")
            else:
                rows.append(_row(library, policy))
    return rows, troubles


def _row(library: str, policy: Result) -> _Row:
    runs = policy["runs"]
    return _Row(
        library,
        policy["policy"],
        "yes" if policy["forgetting"] else "no",
        f"`{_setting(policy['setting'])}`",
        [run["reward"] for run in runs],
        fmean(run["regret"] for run in runs),
        fmean(run["cpu_s"] for run in runs),
        policy["note"],
    )


def _setting(setting: Result) -> str:
    return " ".join(f"{key}={value}" for key, value in setting.items() if key != "policy")


def _origins(results: Result) -> str:
    lines = ["## Where the numbers come from", ""]
    for library, told in results["libraries"].items():
        if "machine" not in told:
            continue
        machine = told["machine"]
        versions = ", ".join(f"{name} {version}" for name, version in told.get("versions", {}).items())
        lines.append(
            f"- {library}: {versions or 'no version'}; Python {machine['python']}, {machine['cores']} cores "
            f"{machine['machine']}; {_tuning(told)}; `{told['command']}`; {told['wall_s']:.0f} s"
        )
    return "\n".join(lines)


def _tuning(told: Result) -> str:
    trials = [trial for policy in told.get("policies", []) for trial in policy.get("tuning", [])]
    seeds = sorted({seed for trial in trials for seed in trial["seeds"]})
    return f"{len(trials)} settings tried on seeds {', '.join(map(str, seeds))}" if seeds else "not tuned"
