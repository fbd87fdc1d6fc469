"""Settings: from the environment, checked, unknown names refused."""

import os

import pytest

from serve.settings import SettingsError, load_settings


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("REWARDLOOP_"):
            monkeypatch.delenv(name)


def test_the_command_line_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REWARDLOOP_PORT", "8100")
    monkeypatch.setenv("REWARDLOOP_LEARNERS", "3")
    settings = load_settings(port=8200, learners=None)
    assert (settings.port, settings.learners, settings.host) == (8200, 3, "127.0.0.1")


def test_an_unknown_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REWARDLOOP_PROT", "8100")
    with pytest.raises(SettingsError, match="REWARDLOOP_PROT is not a setting"):
        load_settings()


def test_a_bad_value_is_told_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REWARDLOOP_PORT", "80000")
    with pytest.raises(SettingsError, match=r"REWARDLOOP_PORT: .*less than or equal to 65535"):
        load_settings()


def test_variables_of_the_client_commands_are_no_mistakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REWARDLOOP_KEY", "rl_x")
    assert load_settings().port == 8000


@pytest.mark.parametrize("url", ["http://h", "redis://:se/cret@h:1", "redis://h:port", "localhost:6379", ""])
def test_an_address_of_redis_is_checked_without_repeating_it(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REWARDLOOP_REDIS_URL", url)
    with pytest.raises(SettingsError, match=r"REWARDLOOP_REDIS_URL: .*must be redis://") as refused:
        load_settings()
    assert "cret" not in str(refused.value)
