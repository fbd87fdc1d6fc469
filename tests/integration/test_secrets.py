"""What an error of our own tells: the place in the code, and nothing of what was asked or of who asked."""

import pytest

from storage import summaries
from tests.integration.conftest import PEPPER, Api

pytestmark = pytest.mark.anyio


async def test_an_unexpected_error_tells_of_no_key_and_no_customer(
    api: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr(summaries, "read", broken)
    answer = await api.get("/interaction-summaries?customerId=planted-customer")
    assert answer.status_code == 500
    told = "".join(capsys.readouterr())
    assert answer.json()["error"]["requestId"] in told
    assert "Traceback" in told
    assert "broken on purpose" in told
    secret = api.http.headers["Authorization"].rpartition("_")[2]
    for planted in (secret[:16], PEPPER.decode(), "planted-customer"):
        assert planted not in told
        assert planted not in answer.text
