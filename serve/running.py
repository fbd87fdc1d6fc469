"""What a running service tells the commands about itself, in `service.json` of its data directory."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Running:
    """The file."""

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir.resolve() / "service.json"

    def read(self) -> dict[str, Any] | None:
        """Return what the service wrote, None if none runs."""
        try:
            info: dict[str, Any] = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return info

    @contextmanager
    def told(self, info: Mapping[str, Any]) -> Iterator[None]:
        """Say that the service runs, while the block lasts."""
        self.path.write_text(json.dumps(info), encoding="utf-8")
        try:
            yield
        finally:
            self.path.unlink(missing_ok=True)
