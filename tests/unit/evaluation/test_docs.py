"""docs/evaluation.md: its example is run, and it names all there is."""

import doctest
from pathlib import Path

import pytest

from learners.evaluation.diagnostics import Diagnostics
from learners.evaluation.estimators import ESTIMATORS
from learners.evaluation.reward_model import RewardModelConfig

PAGE = Path(__file__).parents[3] / "docs" / "evaluation.md"


def test_the_example_does_what_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    results = doctest.testfile(str(PAGE), module_relative=False)
    assert results.attempted > 8
    assert results.failed == 0


def test_every_estimator_diagnostic_and_setting_is_named() -> None:
    text = PAGE.read_text()
    diagnostics = [name for name in Diagnostics.__struct_encode_fields__ if name != "rowsWeighed"]
    settings = [str(field.alias) for field in RewardModelConfig.model_fields.values() if field.alias != "kind"]
    missing = [name for name in [*ESTIMATORS, *diagnostics, *settings] if name not in text]
    assert missing == []
