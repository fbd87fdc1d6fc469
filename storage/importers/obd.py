"""The Open Bandit Dataset (Saito et al. 2020, arXiv:2008.07146) as a public log.

A fashion shop showed items at three positions of a page, chosen by a policy, and logged the clicks. A row is
one item at one position; it becomes a decision line and an outcome line. Rows name no customer, so each is a
customer of its own.

The `user-item_affinity_*` columns are left out of the features: they say how a customer stands to each of the
items, not to the one shown, nearly all are 0, and the dataset's own loader leaves them out of the context, so
estimates made without them compare with the published ones.

Warning:
    Each campaign numbers its items from 0: item 3 of `men` is not item 3 of `all`. Give each campaign a
    tenant of its own.
"""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from storage.clock import iso, parse_iso
from storage.lines import DecisionLine, OutcomeLine, Propensity, Rank, Shown
from storage.public_log import BadLine, DamagedFile

POLICIES: Final = ("random", "bts")
CAMPAIGNS: Final = ("all", "men", "women")
CHANNEL_ID: Final = "web"
NO_CLICK: Final = "no_click"
ITEMS: Final = 80
"""Items of the largest campaign."""

_AFFINITY: Final = "user-item_affinity_"
_USER_FEATURE: Final = "user_feature_"


class _Record(msgspec.Struct, frozen=True):
    """The columns that every row must have."""

    timestamp: str
    item_id: int
    position: Rank
    click: bool
    propensity_score: Propensity


def offer_id(item: int) -> str:
    """Return the offer that stands for an item of the dataset."""
    return f"obd-item-{item}"


def creative_id(item: int) -> str:
    """Return the creative that stands for an item of the dataset."""
    return f"obd-creative-{item}"


def obd_catalog() -> dict[str, Any]:
    """Return the catalogue that the imported logs refer to, as a body of `PUT /api/v1/catalog`."""
    return {
        "categories": [{"id": "fashion", "name": "Fashion"}],
        "channels": [{"id": CHANNEL_ID, "name": "Web", "channelType": "web"}],
        "offers": [
            {"id": offer_id(item), "name": f"Item {item}", "categoryId": "fashion"} for item in range(ITEMS)
        ],
        "creatives": [
            {
                "id": creative_id(item),
                "name": f"Item {item} picture",
                "offerId": offer_id(item),
                "channelId": CHANNEL_ID,
            }
            for item in range(ITEMS)
        ],
        "outcomeTypes": [
            {"key": NO_CLICK, "name": "No click", "classification": "negative", "category": "response"}
        ],
    }


@dataclass(frozen=True, slots=True)
class _Table:
    """What the header and the place of a CSV file say about all of its rows."""

    header: list[str]
    name: str
    """Behaviour policy and campaign, `random-all`; the file's own name where it lies elsewhere."""
    policy: str | None
    candidates: list[str]

    def lines(self, row: int, cells: list[str]) -> tuple[DecisionLine, OutcomeLine]:
        """Return the two lines that a row becomes.

        Raises:
            ValueError: The row is not one of the dataset; msgspec.ValidationError is one too.
        """
        named = dict(zip(self.header, cells, strict=True))
        record = msgspec.convert(named, _Record, strict=False)
        offer = offer_id(record.item_id)
        if offer not in self.candidates:
            raise ValueError(f"item_id {record.item_id} is not an item of the campaign")
        recommendation_id = f"obd-{self.name}-{row:06d}"
        decision = DecisionLine(
            position=2 * row + 1,
            time=iso(parse_iso(record.timestamp)),
            customer_id=recommendation_id,
            features={name: cell for name, cell in named.items() if name.startswith(_USER_FEATURE)},
            recommendation_id=recommendation_id,
            model_key=self.policy,
            candidates=self.candidates,
            decisions=[Shown(record.position, offer, creative_id(record.item_id), record.propensity_score)],
        )
        return decision, _outcome(decision, row, click=record.click)


def _outcome(decision: DecisionLine, row: int, *, click: bool) -> OutcomeLine:
    (shown,) = decision.decisions
    return OutcomeLine(
        position=2 * row + 2,
        time=decision.time,
        customer_id=decision.customer_id,
        # Once more, so that an outcome teaches as much where it is sent without its decision.
        features=decision.features,
        interaction_id=f"int-{decision.recommendation_id}",
        recommendation_id=decision.recommendation_id,
        rank=shown.rank,
        offer_id=shown.offer_id,
        creative_id=shown.creative_id,
        channel_id=CHANNEL_ID,
        outcome="click" if click else NO_CLICK,
        classification="positive" if click else "negative",
        weight=1.0 if click else -1.0,
    )


def _items_beside(path: Path) -> list[int]:
    try:
        with path.with_name("item_context.csv").open(encoding="utf-8", newline="") as file:
            return sorted(int(record["item_id"]) for record in csv.DictReader(file))
    except (OSError, KeyError, ValueError) as error:
        reason = f"no {_AFFINITY}… columns, and no items in item_context.csv beside it ({error!r})"
        raise BadLine(path, 1, reason) from error


def _table(path: Path, header: list[str]) -> _Table:
    missing = [name for name in _Record.__struct_fields__ if name not in header]
    if missing:
        raise BadLine(path, 1, f"not the Open Bandit Dataset, column {missing[0]} is missing")
    try:
        items = [int(name.removeprefix(_AFFINITY)) for name in header if name.startswith(_AFFINITY)]
    except ValueError as error:
        raise BadLine(path, 1, f"a column {_AFFINITY}… names no item: {error}") from error
    policy = path.resolve().parent.parent.name
    known = policy in POLICIES
    return _Table(
        header=header,
        name=f"{policy}-{path.stem}" if known else path.stem,
        policy=policy if known else None,
        candidates=[offer_id(item) for item in items or _items_beside(path)],
    )


def read_obd(path: Path, on_bad: Callable[[BadLine], None] | None = None) -> Iterator[DecisionLine | OutcomeLine]:
    """Yield a decision line and an outcome line for each row of one of the dataset's CSV files.

    The ids are made of policy, campaign and row, so that importing twice makes the same log. Policy and
    campaign are read off the path, `…/random/all/all.csv`.

    Args:
        path: The CSV file.
        on_bad: Is given each row that cannot be used, which is then left out. Without it the first ends the
            reading.

    Raises:
        BadLine: The file is not of the dataset, or a row cannot be used and there is no `on_bad`.
        DamagedFile: The file cannot be read on from here.
    """
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        try:
            table = _table(path, next(reader, []))
            for row, cells in enumerate(reader):
                try:
                    yield from table.lines(row, cells)
                except ValueError as error:
                    bad = BadLine(path, reader.line_num, str(error))
                    if on_bad is None:
                        raise bad from error
                    on_bad(bad)
        except (csv.Error, UnicodeDecodeError) as error:
            raise DamagedFile(path, reader.line_num, error) from error
