"""A shop that recommends and learns: each visitor is shown one offer and clicks it, or does not.

Start the service with its demo catalogue (`make run`), then:

    REWARDLOOP_TENANT=demo REWARDLOOP_KEY=rl_… python examples/shop.py
"""

import random
import sys

from serve.client import Client, Decision, Outcome, RewardloopError

VISITORS = 300
TASTE = {"gold-card": 0.05, "travel-card": 0.40}
"""How likely a visitor clicks each offer; the shop does not know, the service finds out."""


def visit(client: Client, customer: str, position: int | None) -> tuple[Decision, bool, int | None]:
    """Show one visitor one offer, tell the service what came of it; return both, and how far the log is."""
    recommendation = client.recommend(customer, placement="hero", limit=1, min_log_position=position)
    [shown] = recommendation.decisions
    clicked = random.random() < TASTE[shown.offer_id]  # noqa: S311 - a visitor's whim
    answer = client.respond(
        customer_id=customer,
        outcome="click" if clicked else "no_click",
        recommendation_id=recommendation.recommendation_id,
        rank=shown.rank,
    )
    return shown, clicked, answer.log_position


def catch_up(client: Client) -> int:
    """Tell of last week's clicks, kept in a file of the shop's own, many at a time."""
    kept = [("c-old-1", "gold-card-hero"), ("c-old-2", "travel-card-hero")]
    with client.batch() as batch:
        for customer, creative in kept:
            key = f"last-week-{customer}"  # of our own: sent again tomorrow, it counts once
            batch.add(Outcome(customer_id=customer, outcome="view", creative_id=creative, idempotency_key=key))
    return batch.recorded + batch.duplicates


def main() -> None:
    """Serve some visitors, then show what was learned."""
    with Client() as client:
        print(f"told of {catch_up(client)} outcomes of last week")
        clicks, position = 0, None
        for number in range(VISITORS):
            shown, clicked, position = visit(client, f"visitor-{number}", position)
            clicks += clicked
            if number % 50 == 0:
                print(
                    f"visitor {number:3d} saw {shown.offer_name!r} (chosen with probability {shown.propensity:.2f})"
                )
        print(f"{clicks} of {VISITORS} clicked")
        for arm in client.model_state("model_default").data:
            print(f"{arm.offer_id}: {arm.mean:.3f} ({arm.ci_lower:.3f} … {arm.ci_upper:.3f}), shown {arm.pulls}")


if __name__ == "__main__":
    try:
        main()
    except RewardloopError as error:
        sys.exit(str(error))
