"""Three minutes of torture, under a seed that the failure tells; `make torture` does it for longer."""

import os
import secrets
from pathlib import Path

from tests.faults.torture.run import torture
from tests.faults.torture.telling import told

SECONDS = 180.0


def test_the_promises_hold_under_torture(tmp_path: Path) -> None:
    seed = int(os.environ.get("TORTURE_SEED", secrets.randbelow(2**31)))
    run = torture(tmp_path, seed, SECONDS)
    assert not run.violations, told(run)
    assert len(run.faults) >= 5
    assert len(run.log) > 1_000
