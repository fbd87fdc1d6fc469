"""Pages with lines to run: each is run as a whole, in order, against the real service."""

from pathlib import Path

import pytest

from tests.pages import ROOT, a_clone, check, run, steps
from tests.service import Service


@pytest.mark.parametrize("name", ["guide.md", "migration.md"])
def test_every_line_does_what_the_page_says(name: str, service: Service, tmp_path: Path) -> None:
    found = steps(ROOT / "docs" / name)
    assert len(found) > 3
    printed = run([step.commands for step in found], service.environment, a_clone(tmp_path / "clone"))
    check(found, printed)
