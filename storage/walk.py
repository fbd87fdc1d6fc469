"""Lines on their way to entries: each tenant's positions rise, and outcomes find their decisions."""

from collections.abc import Iterator
from itertools import compress

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from storage.decision_features import DecisionFeatures
from storage.entry import Decision, Entry, Scalar
from storage.line_entries import entry_of
from storage.lines import DecisionLine, Line, OutcomeLine
from storage.outcomes import LESSON, NO_FEATURES, TEACHING, Outcomes
from storage.plain_rows import kind_mask, mask_of
from storage.public_log import Row


class Walk:
    """Goes through the lines of a log, in their order, once. With `tenant` others' lines are passed over."""

    def __init__(self, tenant: str | None) -> None:
        self.tenant = tenant
        self._last: dict[str, int] = {}
        self._decisions: dict[str, DecisionFeatures] = {}

    def entry(self, row: Row) -> tuple[Entry, bool] | None:
        """Return a line's entry, and whether it misses its decision; None for another tenant's.

        Raises:
            BadLine: the line breaks a rule, or its position does not rise.
        """
        line = row.line()
        tenant = line.tenant or ""
        if self.tenant not in (None, tenant):
            return None
        last = self._last.get(tenant, 0)
        position = last + 1 if line.position is None else line.position
        if position <= last:
            raise row.bad(f"position {position} comes after {last}")
        self._last[tenant] = position
        if isinstance(line, DecisionLine):
            return self._decision(line, position, tenant), False
        features, unjoined = self._features(line, tenant)
        return entry_of(line, position, features), unjoined

    def outcomes(self, rows: pa.RecordBatch) -> list[Outcomes] | None:
        """Return what plain rows teach, tenant by tenant; None, and nothing is done, if positions do not rise."""
        parts = []
        for tenant, own in _by_tenant(rows):
            if self.tenant in (None, tenant):
                positions = _positions(own, self._last.get(tenant, 0))
                if positions is None:
                    return None
                parts.append((tenant, own, positions))
        return [self._outcomes(*part) for part in parts]

    def close(self) -> None:
        """Forget all decisions."""
        for decisions in self._decisions.values():
            decisions.close()

    def _outcomes(self, tenant: str, rows: pa.RecordBatch, positions: NDArray[np.int64]) -> Outcomes:
        decision = kind_mask(rows, "decision")
        asks = ~decision & mask_of(rows["decidedAt"].is_null()) & mask_of(rows["recommendationId"].is_valid())
        names = pc.if_else(pa.array(decision | asks), rows["recommendationId"], None)
        texts = pc.if_else(pa.array(decision), rows["features"].fill_null(NO_FEATURES), None)
        found = self._decisions.setdefault(tenant, DecisionFeatures()).join(names, texts)
        self._last[tenant] = last = int(positions[-1])
        teaches = ~decision & mask_of(pc.is_in(rows["classification"], TEACHING))
        return Outcomes(
            tenant=tenant,
            entries=len(rows),
            decisions=int(decision.sum()),
            unjoined=found.count(None) - int((~decision & ~asks).sum()),
            last=last,
            positions=positions[teaches],
            rows=rows.select(LESSON).filter(pa.array(teaches)),
            decided=list(compress(found, teaches[~decision].tolist())),
        )

    def _decision(self, line: DecisionLine, position: int, tenant: str) -> Entry:
        self._decisions.setdefault(tenant, DecisionFeatures()).put(line.recommendation_id, line.features)
        body = Decision(tenant, line.recommendation_id, line.customer_id, line.features, line.candidates, [], "", 0)
        return Entry(position, line.recorded_ms, body)

    def _features(self, line: Line, tenant: str) -> tuple[dict[str, Scalar] | None, bool]:
        if not isinstance(line, OutcomeLine) or line.recommendation_id is None or line.decided_at is not None:
            return None, False
        known = self._decisions.get(tenant)
        features = None if known is None else known.get(line.recommendation_id)
        return features, features is None


def _positions(rows: pa.RecordBatch, last: int) -> NDArray[np.int64] | None:
    """Return the position of each row, behind `last`; None if they do not rise, or only some are given."""
    column = rows["position"]
    if column.null_count:
        return last + np.arange(1, len(rows) + 1) if column.null_count == len(rows) else None
    positions: NDArray[np.int64] = column.to_numpy()
    return positions if (np.diff(positions, prepend=last) > 0).all() else None


def _by_tenant(rows: pa.RecordBatch) -> Iterator[tuple[str, pa.RecordBatch]]:
    tenants = rows["tenant"].fill_null("")
    names = tenants.unique().to_pylist()
    for name in names:
        yield name, rows if len(names) == 1 else rows.filter(pc.equal(tenants, name))
