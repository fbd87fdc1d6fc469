"""`rewardloop evaluate`: what policies would have earned, from a log of what was shown and what came of it."""

import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from learners.errors import LearnerError
from learners.evaluation.estimators import DEFAULT, ESTIMATORS, parse_estimator
from learners.evaluation.evaluation import Evaluation, PolicyEvaluation, Question, evaluate
from learners.evaluation.logged import LogFacts
from learners.evaluation.policies import parse_policies
from learners.evaluation.reading import read_logged
from learners.evaluation.report import PolicyResult, Report, policy_result, software, write_report
from learners.evaluation.reward_model import OfferFeatures, parse_reward_model
from learners.evaluation.rules import RewardRule, parse_window
from serve.cli.errors import CommandError, OnError, skipping, warn
from serve.cli.progress import progress
from storage.entry import Scalar

_UNJOINED: Final = {
    "before_decision": "outcomes come before the decision they name, and do not count",
    "of_unknown_decisions": "outcomes name a decision or a rank that the log does not have",
    "without_decision": "outcomes name no decision",
}
"""What becomes of outcomes that no row earns, told one line each."""


def evaluate_log(
    path: Annotated[
        Path, typer.Argument(metavar="LOG", help="A log, a folder of them, or an archive.", exists=True)
    ],
    policy: Annotated[
        list[str],
        typer.Option(
            metavar="SPEC",
            help="logged, uniform, constant:OFFER, column:NAME, or a model: lin_ts:explore=[0.1,0.3]. "
            "May be repeated.",
        ),
    ],
    estimator: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help=f"One of {', '.join(ESTIMATORS)}; settings behind a colon: switch_dr:tau=5. May be repeated; "
            f"default: {', '.join(DEFAULT)}.",
        ),
    ] = None,
    reward: Annotated[RewardRule, typer.Option(help="Which of a decision's outcomes is its reward.")] = "max",
    window: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="How long an outcome may take: 30m, 24h, 7d; default: no limit."),
    ] = None,
    reward_model: Annotated[
        str,
        typer.Option(
            metavar="SPEC", help="Of dm, dr and their kin: auto, logistic or ridge, as in logistic:c=10,folds=5."
        ),
    ] = "auto",
    offer_features: Annotated[
        Path | None,
        typer.Option(
            help="JSON object of each offer's features, for the reward model.", exists=True, dir_okay=False
        ),
    ] = None,
    reward_bound: Annotated[
        float | None,
        typer.Option(help="Largest reward there can be, for anytime-valid intervals; default: the log's largest."),
    ] = None,
    level: Annotated[float, typer.Option(help="Of the intervals, above 0 and below 1.")] = 0.95,
    resamples: Annotated[int, typer.Option(help="Of the bootstrap.", min=1, max=1_000_000)] = 1000,
    seed: Annotated[int, typer.Option(help="Of bootstrap and replay.", min=0)] = 0,
    tenant: Annotated[str | None, typer.Option(help="Whose lines, if the log has several tenants.")] = None,
    on_error: Annotated[OnError, typer.Option(help="What a bad line does: end all, or be left out.")] = "fail",
    report: Annotated[Path | None, typer.Option(metavar="FILE.html", help="Write a page for people, too.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,  # noqa: FBT002
) -> None:
    """Estimate what other policies would have earned, from a log with propensities; say how far to trust it."""
    if not 0 < level < 1:
        raise CommandError("--level must be above 0 and below 1")
    if reward_bound is not None and not 0 < reward_bound < float("inf"):
        raise CommandError("--reward-bound must be a finite number above 0")
    try:
        question = Question(
            policies=parse_policies(policy),
            estimators=[parse_estimator(name) for name in estimator or DEFAULT],
            reward_model=parse_reward_model(reward_model),
            offers=None if offer_features is None else _offer_features(offer_features),
            level=level,
            resamples=resamples,
            seed=seed,
            reward_bound=reward_bound,
        )
        with progress("read", lambda: 0) as advance:
            log = read_logged(
                path,
                reward=reward,
                window_ms=None if window is None else parse_window(window),
                columns=[one.argument for one in question.policies if one.fixed == "column"],
                tenant=tenant,
                on_bad=skipping(on_error),
                advance=lambda lines: advance(0, lines),
            )
        _tell_unjoined(log.facts)
        with progress("evaluate", lambda: len(log) * len(question.policies)) as advance:
            evaluation = evaluate(log, question, advance=_adding(advance))
    except LearnerError as error:
        raise CommandError(str(error)) from error
    if report is not None:
        try:
            write_report(_page(path, evaluation), report)
        except OSError as error:
            raise CommandError(f"--report {report}: {error.strerror}") from error
    if as_json:
        typer.echo(msgspec.json.encode(evaluation))
    else:
        _print(evaluation)


def _offer_features(path: Path) -> OfferFeatures:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, dict[str, Scalar]])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise CommandError(f"--offer-features {path}: {error}") from None


def _adding(advance: Callable[[int, int], None]) -> Callable[[int], None]:
    done = 0

    def add(rows: int) -> None:
        nonlocal done
        done += rows
        advance(done, done)

    return add


def _tell_unjoined(facts: LogFacts) -> None:
    for name, what in _UNJOINED.items():
        if count := getattr(facts, name):
            warn(f"{count:,} {what}")


def _page(path: Path, evaluation: Evaluation) -> Report:
    facts = msgspec.to_builtins(evaluation.log)
    histogram = evaluation.propensities
    return Report(
        source=path.name,
        command=shlex.join(["rewardloop", *sys.argv[1:]]),
        versions=software(),
        log=facts,
        policies=[_result(one) for one in evaluation.policies],
        level=evaluation.level,
        reference=evaluation.log.mean_reward,
        propensity_edges=[] if histogram is None else histogram.edges,
        propensity_counts=[] if histogram is None else histogram.counts,
    )


def _result(one: PolicyEvaluation) -> PolicyResult:
    curve = [(point.n, point.log_loss) for point in one.curve if point.log_loss is not None]
    calibration = [(each["predicted"], each["observed"], int(each["count"])) for each in one.calibration]
    return policy_result(msgspec.to_builtins(one), curve, calibration)


def _print(evaluation: Evaluation) -> None:
    console = Console(width=None if sys.stdout.isatty() else 160)
    facts = evaluation.log
    typer.echo(
        f"{facts.source}: {facts.rows:,} rows of {facts.decisions:,} decisions, {facts.joined:,} outcomes joined, "
        f"mean reward {_number(facts.mean_reward)}"
    )
    for one in evaluation.policies:
        percent = f"{100 * evaluation.level:g} %"
        table = Table("estimator", "value", f"{percent} bootstrap", f"{percent} anytime", title=one.policy)
        for each in one.estimates:
            bootstrap = _interval(each.ci_lower, each.ci_upper)
            table.add_row(
                each.estimator, _number(each.value), bootstrap, _interval(each.anytime_lower, each.anytime_upper)
            )
        console.print(table)
        typer.echo(_told("diagnostics", msgspec.to_builtins(one.diagnostics)))
        typer.echo(_told("progressive", msgspec.to_builtins(one.progressive)))
        typer.echo(f"{one.diagnostics.verdict}\n")


def _told(title: str, numbers: Mapping[str, Any]) -> str:
    known = [f"{name} {_number(value)}" for name, value in numbers.items() if isinstance(value, int | float)]
    return f"{title}: {', '.join(known) or 'none'}"


def _interval(lower: float | None, upper: float | None) -> str:
    return "" if lower is None or upper is None else f"{_number(lower)} to {_number(upper)}"


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.6g}"
