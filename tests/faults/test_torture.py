"""Three minutes of torture; `make torture` does it for longer. A seed orders the faults."""

import os
from pathlib import Path

from tests.faults.torture.run import torture
from tests.faults.torture.telling import told

SECONDS = 180.0
SEED = "5"


def test_the_promises_hold_under_torture(tmp_path: Path) -> None:
    run = torture(tmp_path, int(os.environ.get("TORTURE_SEED", SEED)), SECONDS)
    assert not run.violations, told(run)
    assert len(run.faults) >= 15
    assert len(run.log) > 1_000
    assert any(one.status == 200 for one in run.probes)
    assert any(one.status != 200 for one in run.probes)
