"""A learner's state as files: a table for people, lines of JSON for programs. No customer is in either.

The Ray dashboard lists both on its Logs page. It runs blanks together, hence U+00A0 in the table; and it cannot
show a file that is one JSON value, hence at least two lines.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from learners.answers import LearnerStatus
from learners.beliefs import Beliefs, Believed
from learners.model import ArmState
from storage.clock import iso

NAME_WIDTH: Final = 32
BAR_WIDTH: Final = 24
_HEAD: Final = (
    f"  {'offer':{NAME_WIDTH}} {'pulls':>9} {'mean':>10}   {'95 % interval':23}  {'mean, as a bar':{BAR_WIDTH}}"
)


def render_table(status: LearnerStatus, beliefs: Beliefs, time_ms: int) -> str:
    """Return the table: where the learner stands, then each model with its offers, the best first."""
    lines = [
        f"{status.name}  {iso(time_ms)}",
        f"{status.partitions} partitions  position {sum(status.positions.values()):,}  behind {status.behind:,}",
    ]
    for believed in beliefs.models:
        lines += ["", *_model(believed)]
    lines += ["", _left_out(beliefs)]
    return "\n".join(lines).replace(" ", "\u00a0") + "\n"


def render_lines(status: LearnerStatus, beliefs: Beliefs, time_ms: int) -> str:
    """Return a line for the learner, one for each offer of each model, and one for what was left out."""
    first = {
        "learner": status.name,
        "time": iso(time_ms),
        "partitions": status.partitions,
        "position": sum(status.positions.values()),
        "behind": status.behind,
    }
    last = {
        "modelsLeftOut": beliefs.left_out,
        "offersLeftOut": sum(believed.left_out for believed in beliefs.models),
    }
    rows: list[dict[str, Any]] = [first, *_rows(beliefs), last]
    return "".join(msgspec.json.encode(row).decode() + "\n" for row in rows)


def replace_file(path: Path, text: str) -> None:
    """Have `path` hold `text`, at once for whoever reads it; its directory is for its owner alone.

    Raises:
        OSError: the disk is full, say; the file is as it was.
    """
    path.parent.mkdir(mode=0o700, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    try:
        fresh.write_text(text, encoding="utf-8")
        os.replace(fresh, path)  # noqa: PTH105 - one name for what POSIX promises
    finally:
        fresh.unlink(missing_ok=True)


def _model(believed: Believed) -> Iterator[str]:
    model = believed.model
    yield (
        f"tenant {believed.tenant}  model {model.key}  {model.model_type}, {model.status}  "
        f"{model.training_samples:,} rewards"
    )
    if model.error is not None:
        yield f"  cannot run: {model.error}"
    if not believed.arms:
        yield "  no offer has been learned of yet"
        return
    yield _HEAD.rstrip()
    most = max(arm.mean for arm in believed.arms)
    for arm in sorted(believed.arms, key=lambda one: -one.mean):
        yield _arm(arm, most)
    if believed.left_out:
        yield f"  … and {believed.left_out:,} offers that were heard of longer ago"


def _arm(arm: ArmState, most: float) -> str:
    bar = "█" * round(BAR_WIDTH * max(arm.mean, 0.0) / most) if most > 0 else ""
    name = arm.offer_id if len(arm.offer_id) <= NAME_WIDTH else f"{arm.offer_id[: NAME_WIDTH - 1]}…"
    interval = f"{arm.ci_lower:10.4g} … {arm.ci_upper:10.4g}"
    return f"  {name:{NAME_WIDTH}} {arm.pulls:9,} {arm.mean:10.4g}   {interval}  {bar}".rstrip()


def _rows(beliefs: Beliefs) -> Iterator[dict[str, Any]]:
    for believed in beliefs.models:
        model = believed.model
        for arm in believed.arms:
            yield {
                "tenant": believed.tenant,
                "modelId": model.id,
                "modelKey": model.key,
                "modelType": model.model_type,
                "status": model.status,
                "offerId": arm.offer_id,
                "pulls": arm.pulls,
                "mean": arm.mean,
                "ciLower": arm.ci_lower,
                "ciUpper": arm.ci_upper,
                "lastRewardAt": None if arm.last_reward_at is None else iso(arm.last_reward_at),
            }


def _left_out(beliefs: Beliefs) -> str:
    if not beliefs.left_out:
        return "These are all models of this learner."
    return f"These models learned last; {beliefs.left_out:,} others are not shown."
