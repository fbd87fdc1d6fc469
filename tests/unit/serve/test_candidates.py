"""Candidates, away from HTTP: what depends on time and chance."""

import numpy as np

from serve.candidates import FOREVER, Removal, candidates, pick
from storage.clock import parse_iso
from storage.config import Item, TenantConfig

START, END = "2026-03-01T00:00:00.000Z", "2026-03-02T00:00:00.000Z"


def config() -> TenantConfig:
    def items(*docs: dict[str, object]) -> dict[str, Item]:
        return {
            str(doc["id"]): Item(1, live=True, doc={"status": "active", "name": doc["id"], **doc}) for doc in docs
        }

    creatives: list[dict[str, object]] = [
        {"id": f"cr{i}", "offerId": offer, "channelId": "ch", "placementId": None, "weight": weight}
        for i, (offer, weight) in enumerate([("always", 10), ("always", 30), ("timed", 100)])
    ]
    return TenantConfig(
        "t",
        1,
        {
            "offer": items(
                {"id": "always", "schedule": {}},
                {"id": "timed", "schedule": {"startAt": START, "endAt": END}},
            ),
            "channel": items({"id": "ch", "impressionMode": "explicit"}),
            "creative": items(*creatives),
        },
    )


def test_candidates_hold_until_a_schedule_opens_or_closes() -> None:
    start, end = parse_iso(START), parse_iso(END)
    for now, offers, until in (
        (start - 1, ("always",), start),
        (start, ("always", "timed"), end),
        (end - 1, ("always", "timed"), end),
        (end, ("always",), FOREVER),
    ):
        found = candidates(config(), None, None, now)
        assert (found.offers, found.valid_until_ms) == (offers, until)
        assert dict(found.removed) == ({} if "timed" in offers else {"timed": Removal("outOfSchedule")})


def test_creatives_are_picked_by_weight() -> None:
    rng = np.random.default_rng(0)
    choices = candidates(config(), None, None, 0).choices["always"]
    picked = sum(pick(rng, choices).weight == 30 for _ in range(20_000))
    assert abs(picked / 20_000 - 0.75) < 5 * (0.75 * 0.25 / 20_000) ** 0.5  # five standard errors
