"""Starting the service: what cannot work is told before anything is started."""

from pathlib import Path

import pytest

from serve.cluster import ServiceError, make_plan
from serve.settings import Settings


def test_an_archive_that_cannot_be_is_told_at_once(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, archive="nowhere://bucket")
    with pytest.raises(ServiceError, match="archive nowhere://bucket: ") as caught:
        make_plan(settings, "unix:///nothing.sock")
    assert "\n" not in str(caught.value)
