"""The files of deploy/, as tests read them."""

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"


def documents(path: Path) -> list[dict[str, Any]]:
    """Return the documents of a YAML file."""
    return [one for one in yaml.safe_load_all(path.read_text(encoding="utf-8")) if one is not None]


def kubernetes() -> list[dict[str, Any]]:
    """Return every object of deploy/kubernetes."""
    return [one for path in sorted((DEPLOY / "kubernetes").glob("*.yaml")) for one in documents(path)]


def named(kind: str, name: str) -> dict[str, Any]:
    """Return the object of that kind and name."""
    [found] = [one for one in kubernetes() if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


def compose() -> dict[str, Any]:
    """Return deploy/compose.yaml."""
    [found] = documents(DEPLOY / "compose.yaml")
    return found
