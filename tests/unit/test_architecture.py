"""The rules of the house: who imports whom."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("storage", "learners", "serve")
ALLOWED = {"storage": {"storage"}, "learners": {"learners", "storage"}, "serve": {"serve", "learners", "storage"}}
MAY_IMPORT_RAY = {
    "learners/actor.py",
    "learners/remote.py",
    "learners/replay_runner.py",
    "serve/cluster.py",
    "serve/deployment.py",
}
MAY_IMPORT_RAY_SERVE = {"serve/deployment.py"}


def modules() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    place = str(path.relative_to(ROOT))
    own = {name.split(".")[0] for name in imports(path)} & set(PACKAGES)
    assert own <= ALLOWED[place.split("/", maxsplit=1)[0]]
    ray = {name for name in imports(path) if name.split(".")[0] == "ray"}
    assert not ray or place in MAY_IMPORT_RAY
    assert not any(name.startswith("ray.serve") for name in ray) or place in MAY_IMPORT_RAY_SERVE


def test_models_need_neither_ray_nor_redis() -> None:
    for path in (*(ROOT / "learners" / "models").glob("*.py"), ROOT / "learners" / "shard.py"):
        assert not {"ray", "redis"} & {name.split(".")[0] for name in imports(path)}


def test_all_logs_are_written_by_one_logger() -> None:
    for path in modules():
        names = {name.split(".")[0] for name in imports(path)}
        assert "structlog" not in names or path == ROOT / "storage" / "logs.py", path.name


def test_names_of_lua_files_are_those_that_are_called() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "storage").glob("*.py"))
    for path in (ROOT / "storage" / "lua").glob("*.lua"):
        assert f'"{path.stem}"' in source, path.name


def test_python_is_one_we_run_on() -> None:
    assert (3, 11) <= sys.version_info[:2] < (3, 13)
